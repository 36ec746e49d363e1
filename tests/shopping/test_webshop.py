"""WebShop-v0 against recorded official pages, and its odd corners."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agentgym
from agentgym.core.errors import AgentGymError, ConfigError
from agentgym.environments.shopping.webshop.official import draw_price_cap, load_goals, load_products
from agentgym.environments.shopping.webshop.ranking import ListCatalogue, make_ranker
from agentgym.environments.shopping.webshop.site import Place, Site, Visit, parse_action

GOLDEN = Path(__file__).parents[1] / "golden"
DATA = GOLDEN / "webshop_data"
RECORDED = json.loads((GOLDEN / "webshop.json").read_text(encoding="utf-8"))
CUT = 600
"""Characters to which recorded observations were cut."""


def make(**kwargs: Any) -> agentgym.AgentEnv:
    return agentgym.make("agentgym/WebShop-v0", data_dir=str(DATA), **kwargs)


def test_recorded_actions() -> None:
    for case in RECORDED["parse_action"]:
        assert list(parse_action(case["x"])) == case["y"]


@pytest.mark.parametrize("name", RECORDED["flows"])
def test_recorded_flows(name: str) -> None:
    products = load_products(DATA)
    site = Site(ListCatalogue(products, make_ranker("reference", products)))
    show = site.text_rich if name == "rich" else site.text
    first, *steps = RECORDED["flows"][name]
    visit = Visit(re.split(r" \[SEP\] |\n", first["obs"])[2])
    assert show(visit)[:CUT] == first["obs"]
    for step in steps:
        action, argument = parse_action(step["a"])
        if argument is not None:
            site.act(visit, action, argument, np.random.default_rng(0))
        if visit.place is Place.DONE:
            visit.reward = step["reward"]
        assert show(visit)[:CUT] == step["obs"]
        assert visit.options == step["options"]
        assert (visit.place is Place.DONE) == step["done"]
        if step["avail"] is not None:
            assert site.clickables(visit) == step["avail"]["clickables"]
            assert (visit.place is Place.INDEX) == step["avail"]["has_search_bar"]


@pytest.mark.parametrize("name", RECORDED["flows"])
def test_recorded_flows_through_the_environment(name: str) -> None:
    env = make(observation_mode="text_rich" if name == "rich" else "text")
    first, *steps = RECORDED["flows"][name]
    wanted = re.split(r" \[SEP\] |\n", first["obs"])[2]
    goal = next(
        task
        for split in ("train", "validation", "test")
        for task in map(env.game.tasks().get, env.game.tasks().ids(split) or ())
        if task.reference["goal"]["instruction_text"].startswith(wanted.partition(", and price")[0])
    )
    observation, _ = env.reset(options={"task_id": goal.task_id})
    own = goal.reference["goal"]["instruction_text"]  # the recorded cap was drawn without a seed
    assert observation.replace(own, wanted)[:CUT] == first["obs"]
    for step in steps:
        observation, reward, terminated, truncated, _ = env.step(step["a"])
        assert observation.replace(own, wanted)[:CUT] == step["obs"]
        assert (reward, terminated, truncated) == (step["reward"], step["done"], False)
        if not terminated:
            assert env.game.available_actions() == step["avail"]  # type: ignore[attr-defined]


def test_goals_have_the_official_order_and_seeded_caps() -> None:
    products = load_products(DATA)
    goals = load_goals(DATA, products)
    # the order that the released code prints for these files: a shuffle seeded with 233
    assert [goal["asin"] for goal in goals[:3]] == [goal["asin"] for goal in load_goals(DATA, products, seed=5)[:3]]
    assert goals == load_goals(DATA, products)
    assert goals != load_goals(DATA, products, seed=5)
    assert all(goal["price_upper"] > next(p.price for p in products if p.asin == goal["asin"]) for goal in goals)


def test_price_caps() -> None:
    import random

    rng = random.Random(0)
    assert {draw_price_cap(15.0, rng)[0] for _ in range(200)} == {30.0, 40.0, 50.0}
    assert draw_price_cap(975.0, rng) == (990.0, ", and price lower than 990.00 dollars")
    assert draw_price_cap(981.0, rng) == (1_000_000, "")


def test_synthetic_goals_cover_every_combination() -> None:
    products = load_products(DATA)
    goals = [goal for goal in load_goals(DATA, products, human=False) if goal["asin"] == products[0].asin]
    assert len(goals) == np.prod([len(values) for values in products[0].options.values()])
    assert all(" with color: " in goal["instruction_text"] for goal in goals)


def write_products(folder: Path, *changes: dict[str, Any]) -> Path:
    template = json.loads((DATA / "items_shuffle_1000.json").read_text(encoding="utf-8"))[0]
    entries = [{**template, "asin": f"B{number:09d}", **change} for number, change in enumerate(changes)]
    (folder / "items_shuffle.json").write_text(json.dumps(entries), encoding="utf-8")
    (folder / "items_ins_v2.json").write_text("{}", encoding="utf-8")
    (folder / "items_human_ins.json").write_text("{}", encoding="utf-8")
    return folder


def test_official_fields(tmp_path: Path) -> None:
    products = load_products(
        write_products(
            tmp_path,
            {"pricing": "$1,234.50"},
            {"pricing": "$10.00 to $20.00"},
            {"pricing": ""},
            {"asin": "nan"},
            {"asin": "TOOLONGNAME"},
            {"asin": "B000000000"},
            {"customization_options": {"Fit/Type": [{"value": " A/B "}], "Style": None}, "small_description": "one"},
        )
    )
    assert [product.price_tag for product in products] == ["$1234.5", "$10.0 to $20.0", "$100.0", "$38.75"]
    assert 10 <= products[1].price <= 20
    assert products[3].options == {"fit/type": ("a | b",)}
    assert products[3].bullets == ("one",)
    assert products[3].attributes == ("DUMMY_ATTR",)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"items_shuffle\.json"):
        agentgym.make("agentgym/WebShop-v0", data_dir=str(tmp_path))
    with pytest.raises(AgentGymError, match="B000000000"):
        load_products(write_products(tmp_path, {"pricing": "cheap"}))


def test_invalid_actions_are_silent() -> None:
    env = make()
    before, _ = env.reset(seed=0)
    for message in (
        "buy it",
        "click[nope]",
        "search[]",
        " search[mug]",
        "Search[mug]",
        "search[<a> mug]",
        "search[<c>]",
    ):
        after, reward, _, _, info = env.step(message)
        assert (after, reward, info["action_executable"]) == (before, 0.0, False)


def test_keywords_can_forge_a_page_as_they_can_officially() -> None:
    env = make()
    env.reset(seed=0)
    env.step("search[search_results mug]")
    asin = env.game.available_actions()["clickables"][2]  # type: ignore[attr-defined]
    env.step(f"click[{asin}]")
    observation = env.step("click[< prev]")[0]
    assert "Page 0 (Total results: 7)" in observation


def test_random_listing_follows_the_seed() -> None:
    pages = []
    for seed in (1, 1, 2):
        env = make()
        env.reset(seed=seed, options={"task_id": "goal/20"})
        pages.append(env.step("search[<r>]")[0])
    assert pages[0] == pages[1] != pages[2]
    assert "Total results: 50" in pages[0]


def test_ranker_is_the_callers() -> None:
    env = make(ranker=lambda query, k: [5, 3, 10_000, -1])
    env.reset(seed=0)
    observation = env.step("search[anything]")[0]
    assert re.findall(r"B0000000\d\d", observation) == ["B000000005", "B000000003"]
    with pytest.raises(AgentGymError, match="reference"):
        make(ranker="lucene")


def test_attribute_page() -> None:
    env = make(show_attrs=True)
    env.reset(seed=0)
    env.step("search[mug]")
    env.step(f"click[{env.game.available_actions()['clickables'][2]}]")  # type: ignore[attr-defined]
    observation = env.step("click[attributes]")[0]
    assert observation.endswith("Home › Kitchen › mug")


def test_procedural_goals_pay_in_full_for_their_product() -> None:
    for human in (True, False):
        env = agentgym.make("agentgym/WebShop-v0", num_products=300, human_goals=human)
        for seed in range(20):
            env.reset(seed=seed)
            total = 0.0
            while env.running:
                _, reward, _, _, info = env.step(env.expert_message())
                total += float(reward)
            assert info["success"]
            assert total == 1.0
