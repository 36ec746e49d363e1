"""Group scorers: tournaments, selections, test weights."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.credit import Batch, CreditError, make
from agentgym.credit.kernels import arena
from agentgym.credit.scorers import Arena, Dcpo, Prof, Verpo
from credit.batches import quick

strengths = st.lists(st.floats(0, 10), min_size=1, max_size=17, unique=True)


def judge_of(values, calls=None):
    def judge(first, second):
        if calls is not None:
            calls.append((first, second))
        return values[first], values[second]

    return judge


@quick(20)
@given(strengths)
def test_the_strongest_wins_every_tournament(values):
    n = len(values)
    for ranking in (
        arena.single_elimination(judge_of(values), n),
        arena.single_elimination(judge_of(values), n, byes="released"),
        arena.round_robin(judge_of(values), n),
        arena.swiss(judge_of(values), n),
    ):
        assert sorted(ranking) == list(range(n))
        assert ranking[0] == int(np.argmax(values))


@quick(20)
@given(strengths)
def test_numbers_of_judgements(values):
    n = len(values)
    for play, expected in (
        (arena.single_elimination, 2 * (n - 1)),
        (arena.round_robin, n * (n - 1) // 2),
        (arena.swiss, (n // 2) * (n - 1).bit_length()),
    ):
        calls = []
        play(judge_of(values, calls), n)
        assert len(calls) == expected
        assert all(first != second for first, second in calls)


@pytest.mark.parametrize("n", [3, 5, 6, 7, 9, 12])
def test_top_seeds_get_the_byes_and_the_release_gives_them_elsewhere(n):
    values = list(range(n, 0, -1))
    calls = []
    arena.single_elimination(judge_of(values, calls), n)
    first_round = calls[n - 1 : n - 1 + n - (1 << (n - 1).bit_length()) // 2]
    free = (1 << (n - 1).bit_length()) - n
    assert not set(range(free)) & set(itertools.chain(*first_round)), "the best seeds don't play in the first round"
    released = []
    arena.single_elimination(judge_of(values, released), n, byes="released")
    if n in (5, 6):
        assert any(0 in match for match in released[n - 1 : n - 1 + n // 2])


def test_swiss_prefers_opponents_who_have_not_met():
    calls = []
    arena.swiss(judge_of([3, 1, 4, 1.5, 9, 2.6], calls), 6, rounds=5)
    assert len(calls) == 15
    assert len({frozenset(match) for match in calls}) == 13, "greedy pairing is left with two rematches"


def test_arena_rewards_are_standardised_within_groups():
    batch = Batch.build([0, 0, 0, 1], [[0.0]] * 4)
    scores = Arena(mode="round_robin")(batch, judge_of([1.0, 5.0, 3.0, 9.0]))
    assert scores["arena_reward"].tolist() == pytest.approx([-1.0, 1.0, 0.0, 0.0], rel=1e-5)
    credit = make("arena")(batch.with_columns(scores))
    assert credit.trajectory.tolist() == scores["arena_reward"].tolist()
    with pytest.raises(CreditError, match="the judge is missing"):
        Arena()(batch)
    with pytest.raises(CreditError, match=r"Arena\.mode is 'ladder'; expected one of"):
        Arena(mode="ladder")


def test_prof_drops_what_contradicts_the_outcome():
    """Four correct (quality 4 3 2 1) and two incorrect (5 and 0); four stay, two of each."""
    quality = [4.0, 3.0, 2.0, 1.0, 5.0, 0.0]
    batch = Batch.build(
        [0] * 6, [[0.0]] * 6, outcomes=[1, 1, 1, 1, 0, 0], columns={"process_reward": [[q] for q in quality]}
    )
    assert Prof(keep=4)(batch)["selected"].tolist() == [True, True, False, False, True, True]
    assert Prof(keep=3)(batch)["selected"].tolist() == [True, True, False, False, False, True]
    assert Prof(keep=3, rank_incorrect=False)(batch)["selected"].tolist() == [True, True, False, False, True, False]
    kept = batch.select(Prof(keep=4)(batch)["selected"])
    assert kept.outcome.tolist() == [1, 1, 0, 0]


@quick(20)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.floats(-1, 1)), min_size=1, max_size=14), st.integers(1, 6)
)
def test_prof_keeps_as_many_and_as_evenly_as_it_can(rows, keep):
    groups, correct, quality = (list(column) for column in zip(*rows, strict=True))
    columns = {"process_reward": [[q] for q in quality]}
    batch = Batch.build(groups, [[0.0]] * len(rows), outcomes=np.array(correct, dtype=float), columns=columns)
    chosen = Prof(keep=keep)(batch)["selected"]
    for group in set(groups):
        here = np.array(groups) == group
        right = np.array(correct) & here
        assert (chosen & here).sum() == min(keep, here.sum())
        kept_right, kept_wrong = (chosen & right).sum(), (chosen & here & ~right).sum()
        uneven = abs(int(kept_right) - int(kept_wrong))
        short = min(right.sum(), (here & ~right).sum())
        assert uneven <= 1 or min(kept_right, kept_wrong) == short


def test_dcpo_keeps_the_contrast():
    """The best two are equal: the shorter stays. The worst two are equal: the longer stays."""
    batch = Batch.build(
        [0] * 4 + [1] * 2,
        [[0.0]] * 6,
        spans=[[(0, length)] for length in (5, 3, 2, 7, 1, 1)],
        outcomes=[1.0, 1.0, 0.0, 0.0, 0.5, 0.5],
    )
    assert Dcpo()(batch)["selected"].tolist() == [False, True, False, True, False, False]
    assert Dcpo(pairs=2)(batch)["selected"].tolist() == [True] * 4 + [False] * 2
    with pytest.raises(CreditError, match=r"Dcpo\.pairs is 0; expected a number in \[1, inf\]"):
        Dcpo(pairs=0)


def test_verpo_weighs_hard_tests_up():
    """Test 0 is passed by all, test 1 by one of two, test 2 by nobody: only test 1 tells them apart."""
    passed = [[[0, 0, 0], [1, 1, 0]], [[1, 0, 0], [1, 0, 0]]]
    batch = Batch.build([0, 0], [[0.0] * 2] * 2, columns={"test_passed": [np.array(p, dtype=float) for p in passed]})
    assert Verpo()(batch)["test_reward"].tolist() == [0.0, 1.0, 0.0, 0.0]


@quick(20)
@given(st.integers(0, 9999))
def test_verpo_telescopes_and_breaking_a_test_costs_what_repairing_it_earns(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 5, size=6)
    state = [np.where(rng.random((count, 4)) < 0.2, np.nan, rng.random((count, 4)) < 0.5) for count in counts]
    batch = Batch.build([0, 0, 0, 1, 1, 1], [[0.0] * count for count in counts], columns={"test_passed": state})
    reward = Verpo()(batch)["test_reward"]
    total = np.bincount(batch.turn_trajectory, reward)
    assert (total >= -1e-12).all()
    assert (total <= 1 + 1e-12).all()
    for i, rows in enumerate(state):
        if np.isnan(rows).all():
            assert total[i] == 0.0
