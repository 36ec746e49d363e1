"""Shopping-v0: the known flaws are gone, progress telescopes, bad input is answered."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentgym
from agentgym.core.errors import ConfigError
from agentgym.environments.shopping.shop.game import MAX_QUERY, ShoppingGame
from agentgym.environments.shopping.shop.rewards import SCHEMES


def make(**kwargs: Any) -> agentgym.AgentEnv:
    return agentgym.make("agentgym/Shopping-v0", products=300, **kwargs)


def game(env: agentgym.AgentEnv) -> ShoppingGame:
    assert isinstance(env.game, ShoppingGame)
    return env.game


def to_item(env: agentgym.AgentEnv, seed: int = 0) -> str:
    """Opens a fitting product the expert's way."""
    observation, _ = env.reset(seed=seed)
    while "[buy now]" not in observation:
        observation = env.step(env.expert_message())[0]
    return observation


def test_search_works_on_the_search_page_only() -> None:
    env = make()
    env.reset(seed=0)
    env.step("search[mug]")
    for _ in range(2):
        before = game(env).state_key()
        observation, _, _, _, info = env.step("search[lamp]")
        assert not info["action_executable"]
        assert info["state_key"] == before
        assert "click[back to search]" in observation
        env.step(f"click[{game(env).clickable()[-1]}]")
    env.step("click[back to search]")
    assert env.step("search[lamp]")[4]["action_executable"]


@pytest.mark.parametrize("query", ["<r>", "<c> kitchen", "<q> travel mug", "<a> leak proof"])
def test_catalogue_dumping_words_are_plain_words(query: str) -> None:
    env = make()
    env.reset(seed=0)
    plain = game(env).catalogue.search(query.replace("<", " ").replace(">", " "), 50)
    env.step(f"search[{query}]")
    assert game(env).state.results == plain


def test_only_pages_that_exist_can_be_opened() -> None:
    env = make()
    env.reset(seed=0)
    env.step("search[pillow]")
    assert not env.step("click[< prev]")[4]["action_executable"]
    n_pages = game(env).n_pages
    for _ in range(n_pages - 1):
        assert env.step("click[next >]")[4]["action_executable"]
    observation, _, _, _, info = env.step("click[next >]")
    assert not info["action_executable"]
    assert f"page {n_pages} of {n_pages}" in observation


def test_options_are_shown_chosen_and_exact() -> None:
    env = make()
    to_item(env)
    product = game(env).product
    assert product is not None
    name, values = next(iter(product.options.items()))
    for value in values[:2]:
        observation = env.step(f"click[{value.upper()}]")[0]
        assert f"*{value}*" in observation
        assert game(env).state.options[name] == value
    _, _, _, _, info = env.step(f"click[{values[0]} or so]")
    assert not info["action_executable"]


def test_leaving_a_product_forgets_its_options() -> None:
    env = make()
    to_item(env)
    env.step(env.expert_message())
    assert game(env).state.options
    env.step("click[features]")
    assert game(env).state.options
    env.step("click[< prev]")
    env.step("click[< prev]")
    assert not game(env).state.options


def test_buying_the_wrong_thing_pays_nothing_by_default() -> None:
    env = make()
    to_item(env)
    _, reward, terminated, _, info = env.step("click[buy now]")
    assert terminated
    assert not info["success"]
    assert info["rewards"]["outcome"] == 0.0
    assert reward == 0.0
    assert env.ledger.total == 0.0


def test_success_pays_outcome_and_releases_progress() -> None:
    env = make()
    env.reset(seed=1)
    while env.running:
        info = env.step(env.expert_message())[4]
    assert info["success"]
    turns = info["turn"]
    assert env.ledger.total == pytest.approx(1.0 + 0.2 * 1.0 - 0.01 * turns)


def random_action(shop: ShoppingGame, draw: st.DataObject) -> str:
    kinds = ["search[mug]", "click[nowhere]", "junk", *(f"click[{name}]" for name in shop.clickable())]
    return draw.draw(st.sampled_from(kinds))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 1000))
def test_progress_telescopes_to_the_last_potential(data: st.DataObject, seed: int) -> None:
    env = make()
    env.reset(seed=seed)
    shop = game(env)
    paid = []
    for _ in range(12):
        info = env.step(env.expert_message() if data.draw(st.booleans()) else random_action(shop, data))[4]
        paid.append(info["rewards"].get("progress", 0.0))
        assert math.fsum(paid) == pytest.approx(shop.state.potential, abs=1e-9)
        assert 0.0 <= shop.state.potential <= 1.0
        if not env.running:
            break


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=300), st.sampled_from(["search[{}]", "click[{}]", "{}"]), st.integers(0, 3))
def test_any_message_is_answered(text: str, form: str, depth: int) -> None:
    env = make()
    env.reset(seed=3)
    for _ in range(depth):
        env.step(env.expert_message())
    if not env.running:
        return
    before = game(env).state_key()
    observation, _, terminated, _, info = env.step(form.format(text) if form != "{}" else text)
    assert observation
    assert not terminated
    if not info["action_executable"]:
        assert info["state_key"] == before
        assert "Instruction:" in observation


@pytest.mark.parametrize(
    "message",
    [
        "search[" + "a" * 100_000 + "]",
        "click[B0FAKE0000]",
        "click[]",
        "search[]",
        "click[\x00]",
        "🙂",
        "search[[[",
        "][",
    ],
)
def test_bad_input_is_told_what_would_be_right(message: str) -> None:
    env = make()
    env.reset(seed=0)
    observation, _, _, _, info = env.step(message)
    assert not (info["action_valid"] and info["action_executable"])
    assert "search[" in observation or str(MAX_QUERY) in observation


def test_close_clicks_get_a_suggestion() -> None:
    env = make()
    to_item(env)
    assert "Did you mean 'features'" in env.step("click[feature]")[0]


def test_nothing_found_is_said() -> None:
    env = make()
    env.reset(seed=0)
    observation, _, _, _, info = env.step("search[zzzz qqqq]")
    assert info["action_executable"]
    assert "Nothing was found" in observation


def test_dense_turns_cannot_be_farmed() -> None:
    weights = SCHEMES["dense"].weights
    assert weights["format"] + weights["executable"] < weights["turn_cost"]


def test_knobs_reach_the_goals() -> None:
    env = make(constraints=[2, 2], instructions="vague", distractors=0)
    _, _ = env.reset(seed=0)
    goal = game(env).state.goal
    assert len(goal.attributes) + len(goal.options) == 2
    assert re.search(r"limit|won't spend|up to", goal.instruction)
    with pytest.raises(ConfigError, match="constraints"):
        make(constraints=[1, 2, 3])
    with pytest.raises(ConfigError, match="pages"):
        make(pages=9)


def test_a_task_of_another_catalogue_is_refused() -> None:
    other = agentgym.make("agentgym/Shopping-v0", products=1000)
    other.reset(seed=5)
    position = other.game.catalogue.position(other.task.data["goal"]["asin"])  # type: ignore[attr-defined]
    if position >= 300:
        with pytest.raises(ConfigError, match="doesn't have"):
            make().game.start(other.task, other.game.rng)
