"""The WebShop reward against recorded official outputs, and the strict variant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.errors import ConfigError
from agentgym.environments.shopping import COLOURS, normalize_color, title_nouns, token_set_ratio, webshop_reward

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "webshop.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["tag"])
def test_recorded_rewards(case: dict[str, Any]) -> None:
    got = webshop_reward(
        case["product"],
        case["goal"],
        case["price"],
        case["options"],
        nouns_product=case["nouns_product"],
        nouns_goal=case["nouns_goal"],
    )
    assert got == {"reward": case["reward"], **case["info"]}


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["tag"])
def test_our_own_nouns_give_the_recorded_rewards(case: dict[str, Any]) -> None:
    got = webshop_reward(case["product"], case["goal"], case["price"], case["options"])
    assert got["reward"] == case["reward"]
    assert title_nouns(case["goal"]["name"]) == case["nouns_goal"]


def test_recorded_ratios() -> None:
    for case in GOLDEN["token_set_ratio"]:
        other = tuple(case["g_tuple"]) if "g_tuple" in case else case["g"]
        assert token_set_ratio(case["p"], other) == case["score"], case


def test_recorded_colours() -> None:
    assert len(COLOURS) == len(set(COLOURS)) == 102
    for case in GOLDEN["normalize_color"]:
        assert normalize_color(case["x"]) == case["y"]


def purchase(options: dict[str, str], goal_options: Any, *, attributes: list[str], strict: bool) -> dict[str, Any]:
    product = {
        "name": "Oak Mug",
        "Title": "Oak Mug",
        "query": "mug",
        "product_category": "Home › Kitchen",
        "Attributes": attributes,
        "BulletPoints": [],
        "Description": "",
    }
    goal = {**product, "attributes": ["leak proof"], "goal_options": goal_options, "price_upper": 30.0}
    return webshop_reward(product, goal, 10.0, options, strict=strict)


@pytest.mark.parametrize(
    ("selected", "wanted"),
    [
        ("large", "x-large"),
        ("xx-large", "x-large"),
        ("pack of 6", "pack of 12"),
        ("5 oz", "15 oz"),
        ("men size 9", "men size 10"),
        ("dark red", "dark green"),
    ],
)
def test_strict_tells_options_apart_that_the_official_reward_confuses(selected: str, wanted: str) -> None:
    for strict, share in ((False, 1.0), (True, 0.0)):
        got = purchase({"size": selected}, [wanted], attributes=["leak proof"], strict=strict)
        assert got["r_option"] == share


def test_strict_needs_whole_attributes() -> None:
    assert purchase({}, [], attributes=["proof"], strict=False)["r_att"] == 1.0
    assert purchase({}, [], attributes=["proof"], strict=True)["r_att"] == 0.0
    assert purchase({}, [], attributes=["Leak-Proof"], strict=True)["r_att"] == 1.0


def test_strict_lets_one_value_satisfy_one_goal_option() -> None:
    assert purchase({"color": "red"}, ["red", "red"], attributes=[], strict=False)["r_option"] == 1.0
    assert purchase({"color": "red"}, ["red", "red"], attributes=[], strict=True)["r_option"] == 0.5


def test_strict_minds_option_names_where_the_goal_gives_them() -> None:
    assert purchase({"trim": "red"}, {"color": "red"}, attributes=[], strict=True)["r_option"] == 0.0
    assert purchase({"color": "Red "}, {"color": "red"}, attributes=[], strict=True)["r_option"] == 1.0


@pytest.mark.parametrize("change", [{"attributes": []}, {"price_upper": 0}])
def test_impossible_goals_are_refused(change: dict[str, Any]) -> None:
    case = GOLDEN["cases"][0]
    with pytest.raises(ConfigError):
        webshop_reward(case["product"], {**case["goal"], **change}, 1.0, {})


@given(st.text(), st.text())
def test_ratio_is_symmetric_and_bounded(first: str, second: str) -> None:
    ratio = token_set_ratio(first, second)
    assert 0 <= ratio <= 100
    assert ratio == token_set_ratio(second, first)


@given(st.text())
def test_nouns_are_a_list_of_words(title: str) -> None:
    assert all(noun == noun.lower() and noun.strip() for noun in title_nouns(title))
