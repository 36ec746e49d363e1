"""Goals: always reachable, disjoint between splits, as hard as the knobs say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.core.errors import ConfigError
from agentgym.core.tasks import SPLITS
from agentgym.environments.shopping.catalog import CatalogSpec, StoredCatalogue, open_catalogue
from agentgym.environments.shopping.catalog.generate import in_split
from agentgym.environments.shopping.catalog.vocabulary import family_of
from agentgym.environments.shopping.goals import Difficulty, Goal, draw_goal, goal_number
from agentgym.environments.shopping.shop.rewards import matches, potential, succeeded


def shop(split: str, size: int = 500) -> StoredCatalogue:
    return open_catalogue(CatalogSpec(size, 0, split))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SPLITS),
    st.integers(0, 2**31 - 1),
    st.sampled_from([(2, 2), (3, 4), (6, 6)]),
    st.integers(0, 4),
    st.sampled_from(["precise", "vague", "mixed"]),
)
def test_every_goal_can_be_reached(
    split: str, number: int, constraints: tuple[int, int], distractors: int, style: str
) -> None:
    catalogue = shop(split)
    drawn = draw_goal(catalogue, split, 0, number, Difficulty(constraints, distractors, style))  # type: ignore[arg-type]
    goal = drawn.goal
    position = catalogue.position(goal.asin)
    assert position is not None
    product = catalogue.product(position)
    assert goal.fits(product)
    assert position in catalogue.search(goal.query(), 50)
    assert succeeded(matches(goal, product, goal.options))
    assert potential(goal, product, goal.options, listed=True) == 1.0
    assert drawn.near_misses >= distractors
    assert constraints[0] <= len(goal.attributes) + len(goal.options) <= constraints[1]
    assert in_split(split, goal_number(goal.type, goal.attributes, goal.options))
    assert 0.0 <= drawn.difficulty <= 1.0
    assert Goal.from_dict(goal.to_dict()) == goal
    assert drawn == draw_goal(catalogue, split, 0, number, Difficulty(constraints, distractors, style))  # type: ignore[arg-type]


def test_instructions_say_everything() -> None:
    for number in range(60):
        for style in ("precise", "vague"):
            goal = draw_goal(shop("train"), "train", 0, number, Difficulty(style=style)).goal  # type: ignore[arg-type]
            words = family_of(goal.type).attributes
            for attribute in goal.attributes:
                assert (attribute if style == "precise" else words[attribute]) in goal.instruction
                if style == "vague":
                    assert f" {attribute} " not in goal.instruction
            assert goal.type in goal.instruction
            assert all(value in goal.instruction for value in goal.options.values())
            assert f"{goal.price_cap:.0f} dollars" in goal.instruction


def test_goals_of_different_splits_differ() -> None:
    wishes: dict[str, set[int]] = {
        split: {
            goal_number(goal.type, goal.attributes, goal.options)
            for goal in (draw_goal(shop(split), split, 0, n, Difficulty((2, 2), 0)).goal for n in range(200))
        }
        for split in SPLITS
    }
    assert not wishes["train"] & wishes["validation"]
    assert not wishes["train"] & wishes["test"]
    assert not wishes["validation"] & wishes["test"]


def test_pages_put_the_first_fitting_product_later() -> None:
    catalogue = shop("train", 1000)
    later = 0
    for number in range(20):
        drawn = draw_goal(catalogue, "train", 0, number, Difficulty(pages=2))
        found = catalogue.search(drawn.goal.query(), 50)
        fitting = [rank for rank, position in enumerate(found) if drawn.goal.fits(catalogue.product(position))]
        assert drawn.page == fitting[0] // 10 + 1
        later += drawn.page >= 2
    assert later >= 15


@pytest.mark.parametrize(
    "knobs",
    [
        {"constraints": (1, 2)},
        {"constraints": (4, 3)},
        {"constraints": (2, 7)},
        {"distractors": 7},
        {"style": "rude"},
        {"pages": 0},
        {"pages": 6},
    ],
)
def test_knobs_have_limits(knobs: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Difficulty(**knobs)  # type: ignore[arg-type]


def test_matches_compare_whole_values() -> None:
    catalogue = shop("train")
    goal = draw_goal(catalogue, "train", 0, 1, Difficulty()).goal
    position = catalogue.position(goal.asin)
    assert position is not None
    product = catalogue.product(position)
    nearly = {name: f"x-{value}" for name, value in goal.options.items()}
    assert matches(goal, product, nearly)["match_options"] == 0.0
    assert matches(goal, product, {})["match_options"] == 0.0
    assert potential(goal, product, {}, listed=False) < 1.0


def test_hard_knobs_still_find_goals_in_the_smallest_split() -> None:
    for number in range(5):
        drawn = draw_goal(shop("test"), "test", 0, number, Difficulty((6, 6), 5))
        assert drawn.near_misses >= 5


def test_a_catalogue_too_small_for_the_knobs_says_so() -> None:
    catalogue = shop("test", 100)
    most = next(n for n in range(7, -1, -1) if n == 0 or len(catalogue.bases_with(n)))
    if most < 6:
        with pytest.raises(ConfigError, match="larger catalogue"):
            draw_goal(catalogue, "test", 0, 0, Difficulty(distractors=6))
