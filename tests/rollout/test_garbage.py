"""The garbage collector during rollouts: calmer, and afterwards as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from agentgym.rollout.garbage import ALLOCATIONS, seldom_collected


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_it_is_calmer_inside_and_as_it_was_outside() -> None:
    with seldom_collected():
        assert gc.get_threshold() == (ALLOCATIONS, 10, 10)
        with pytest.raises(KeyError), seldom_collected():
            raise KeyError
        assert gc.get_threshold() == (ALLOCATIONS, 10, 10), "the outer one still holds"
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("own", [(0, 10, 10), (1_000_000, 5, 5)])
def test_what_a_user_has_set_off_or_higher_stays(own: tuple[int, int, int]) -> None:
    gc.set_threshold(*own)
    with seldom_collected():
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_what_is_set_meanwhile_stays() -> None:
    with seldom_collected():
        gc.set_threshold(5_000, 3, 3)
    assert gc.get_threshold() == (5_000, 3, 3)
