"""ShoppingTiny-v0: shelves, rows, short pages."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentgym
from agentgym.core.errors import ConfigError
from agentgym.core.tasks import SPLITS
from agentgym.environments.shopping.tiny.game import ROWS
from agentgym.environments.shopping.tiny.tasks import Shelf, draw_shelf


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(SPLITS), st.integers(0, 2))
def test_exactly_one_product_fits_and_some_look_as_if(seed: int, split: str, traps: int) -> None:
    shelf = draw_shelf(random.Random(seed), split, traps)
    wish = shelf.wish
    assert sum(map(wish.fits, shelf.products)) == 1
    assert sum(map(wish.looks_right, shelf.products)) == 1 + traps
    too_dear = [p for p in shelf.products if (p.type, p.material) == (wish.type, wish.material) and p.price > wish.cap]
    assert len(too_dear) == 3 - traps
    assert Shelf.from_dict(shelf.to_dict()) == shelf


def test_splits_share_no_wish_and_no_product() -> None:
    shelves = {split: [draw_shelf(random.Random(n), split, 1) for n in range(300)] for split in SPLITS}
    wishes = {split: {shelf.wish for shelf in shelves[split]} for split in SPLITS}
    products = {split: {p for shelf in shelves[split] for p in shelf.products} for split in SPLITS}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not wishes[first] & wishes[second]
        assert not products[first] & products[second]


def test_the_right_search_shows_the_right_product() -> None:
    env = agentgym.make("agentgym/ShoppingTiny-v0")
    for seed in range(50):
        first, _ = env.reset(seed=seed)
        kind, material = first.split()[1:3]
        observation = env.step(f"search[{kind} {material}]")[0]
        rows = observation.splitlines()
        assert len(rows) == ROWS
        assert [row.split()[0] for row in rows] == [str(n) for n in range(1, ROWS + 1)]
        shelf = Shelf.from_dict(env.task.data)
        assert any(shelf.wish.fits(shelf.products[n]) for n in env.game.state.rows)


def test_episodes_are_short_and_of_few_words() -> None:
    env = agentgym.make("agentgym/ShoppingTiny-v0")
    vocabulary: set[str] = set()
    turns, words = [], []
    for seed in range(300):
        observation, _ = env.reset(seed=seed)
        texts = [observation]
        while env.running:
            texts.append(env.expert_message())
            observation, _, _, _, info = env.step(texts[-1])
            texts.append(observation)
        pieces = [piece for text in texts for piece in re.findall(r"\w+|[^\w\s]|\n", text)]
        vocabulary.update(pieces)
        turns.append(info["turn"])
        words.append(len(pieces))
    assert 4 <= sum(turns) / len(turns) <= 6
    assert max(turns) <= 8
    assert sum(words) / len(words) < 130
    assert len(vocabulary) < 80
    assert env.system_prompt == ""


def test_a_row_is_opened_a_color_chosen_and_bought() -> None:
    env = agentgym.make("agentgym/ShoppingTiny-v0")
    first, _ = env.reset(seed=0)
    env.step(f"search[{first.split()[1]}]")
    observation = env.step("click[1]")[0]
    color = re.findall(r"colors (\w+)", observation)[0]
    assert env.step(f"click[{color}]")[0].endswith(f"chosen {color}")
    observation, _, terminated, _, info = env.step("buy[]")
    assert terminated
    assert observation == "bought"
    assert {"match_product", "match_option", "match_price", "outcome"} <= set(info["rewards"])


@pytest.mark.parametrize("message", ["click[9]", "click[0]", "click[red]", "buy[]", "back[]", "hm", "click[١]"])
def test_what_the_first_page_does_not_offer_changes_nothing(message: str) -> None:
    env = agentgym.make("agentgym/ShoppingTiny-v0")
    first, before = env.reset(seed=0)
    observation, _, _, _, info = env.step(message)
    assert not (info["action_valid"] and info["action_executable"])
    assert info["state_key"] == before["state_key"]
    assert observation.endswith(first)


def test_progress_telescopes() -> None:
    env = agentgym.make("agentgym/ShoppingTiny-v0")
    for seed in range(30):
        env.reset(seed=seed)
        total = 0.0
        while env.running:
            total += env.step(env.expert_message())[4]["rewards"]["progress"]
        assert total == pytest.approx(1.0)


def test_traps_are_bounded() -> None:
    with pytest.raises(ConfigError, match="traps must be 0 to 2"):
        agentgym.make("agentgym/ShoppingTiny-v0", traps=3)
