"""Published schemes: each does what its paper says, on any components."""

import pytest

from agentgym import Condition, Level, RewardScheme, rescore
from agentgym.core import schemes
from agentgym.core.errors import ConfigError
from agentgym.core.schemes import (
    GRA_SWE_LEVELS,
    atom_searcher,
    gra,
    gra_swe,
    hrm,
    posterior_grpo,
    ppr,
    searchllm,
    toolrl,
)
from agentgym.credit import METHODS, RECIPES


def total(scheme, *turns, progress=0.0):
    return rescore(turns, scheme, "terminated", progress=progress).total


@pytest.mark.parametrize(
    ("strict", "outcome", "paid"), [(False, 0.5, 1.5), (True, 0.5, 0.5), (True, 0.6, 1.6), (False, 0.4, 0.4)]
)
def test_gra_counts_a_level_only_above_its_gate(strict, outcome, paid):
    scheme = gra([["outcome"], ["step"]], [0.5], strict=strict)
    assert total(scheme, {"step": 1.0}, {"outcome": outcome}) == pytest.approx(paid)


def test_gra_has_as_many_levels_as_asked_for():
    scheme = gra([["a"], ["b"], ["c"]], [1.0, 1.0], weights={"c": 10.0})
    assert total(scheme, {"a": 1.0, "b": 0.5, "c": 1.0}) == 1.5
    assert total(scheme, {"a": 1.0, "b": 1.0, "c": 1.0}) == 12.0
    with pytest.raises(ConfigError, match="threshold for each level"):
        gra([["a"], ["b"]], [])
    with pytest.raises(ConfigError, match="no level names"):
        gra([["a"], ["b"]], [0.0], weights={"z": 1.0})


def test_the_swe_preset_asks_for_a_patch():
    scheme = gra_swe("stage", ["step"])
    paid = {name: total(scheme, {"step": 0.25}, {"stage": value}) - value for name, value in GRA_SWE_LEVELS.items()}
    assert paid == pytest.approx({"no submission": 0, "empty patch": 0, "tests fail": 0.25, "tests pass": 0.25})


def test_hrm_and_searchllm():
    levels = [Level(("right",), (Condition("right", 1.0),)), Level(("kind",), ())]
    assert total(hrm(levels), {"right": 0.0, "kind": 1.0}) == 0.0
    assert total(hrm(levels), {"right": 1.0, "kind": 1.0}) == 2.0
    scheme = searchllm([Condition("grounded", 1.0, "min")], ["helpful"], floor=-2.0)
    assert total(scheme, {"grounded": 1.0, "helpful": 0.5}, {"grounded": 0.0}) == -2.0
    assert total(scheme, {"grounded": 1.0, "helpful": 0.5}) == 0.5


def test_ppr_posterior_and_schedules():
    assert total(ppr("step", "done"), {"step": 0.9}, {"step": 0.1, "done": 1.0}) == pytest.approx(2.0)
    assert total(ppr("step", "done"), {"step": 0.9}, {"step": 0.0, "done": 0.0}) == pytest.approx(-1.1)
    assert total(posterior_grpo("f", "o", "t"), {"f": 1.0, "t": 0.9, "o": 1.0}) == pytest.approx(2.9)
    turn = {"p": 1.0, "o": 1.0}
    assert [total(atom_searcher("p", "o"), turn, progress=x) for x in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 1.0, 1.0])
    assert total(atom_searcher("p", "o"), {"p": 1.0}, progress=0.5) == pytest.approx(0.25)
    assert [total(toolrl("p", "o"), turn, progress=x) for x in (0.0, 1.0)] == pytest.approx([4.0, 4.0])
    assert total(toolrl("p", "o"), {"p": 1.0}, progress=1.0) == pytest.approx(1.0)


def test_recipes_name_schemes_and_methods_that_exist():
    assert all(callable(getattr(schemes, recipe.scheme)) and recipe.method in METHODS for recipe in RECIPES.values())


def test_they_are_plain_data():
    for scheme in (
        gra([["a"], ["b"]], [0.5]),
        ppr("a", "b"),
        toolrl("a", "b"),
        searchllm([Condition("a", 1.0)], ["b"]),
    ):
        assert RewardScheme.from_dict(scheme.to_dict()) == scheme
