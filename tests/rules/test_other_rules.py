"""RLVMR tags, shaping, and DAPO's length penalty and group filter."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rules import dapo, rlvmr, shaping

from .texts import MODEL_OUTPUT

FLAGS = st.tuples(MODEL_OUTPUT, st.booleans(), st.booleans())
NUMBERS = st.floats(-1e3, 1e3)


def _turns(*turns, success=True):
    messages, valid, available = zip(*turns, strict=True)
    return [tuple(turn) for turn in rlvmr.tag_rewards(messages, valid, available, success=success)]


def _say(tag, action):
    return f"<{tag}>x</{tag}><action>{action}</action>"


def test_planning_is_paid_by_success():
    assert _turns((_say("planning", "a"), True, True)) == [("<planning>", 1.0)]
    assert _turns((_say("planning", "a"), True, True), success=False) == [("<planning>", 0.0)]
    assert _turns((_say("planning", "a"), False, True)) == [("none", 0.0)]


def test_exploring_is_paid_for_actions_that_no_valid_turn_tried():
    go = _say("explore", "go")
    assert [turn[1] for turn in _turns((go, True, True), (go, True, True))] == [1.0, 0.0]
    assert [turn[1] for turn in _turns((go, False, True), (go, True, True))] == [0.0, 1.0]
    assert [turn[1] for turn in _turns((go, True, False), (_say("explore", "stay"), True, True))] == [1.0, 1.0]


def test_reflecting_is_paid_for_a_change_after_a_failure():
    go, stay = _say("reflection", "go"), _say("reflection", "stay")
    assert _turns((go, True, True))[0] == ("<reflection>", 1.0)  # nothing went before
    assert _turns((go, True, True), (stay, True, True))[1] == ("<reflection>", 0.0)
    assert _turns((go, True, False), (stay, True, True))[1] == ("<reflection>", 1.0)
    assert _turns((go, False, True), (go, True, True))[1] == ("<reflection>", 0.0)


def test_the_first_tag_in_order_of_precedence_counts_and_monitoring_never():
    assert _turns(("<reflection><planning>", True, True))[0][0] == "<planning>"
    assert _turns((_say("monitor", "a"), True, True)) == [("none", 0.0)]


@given(st.lists(FLAGS, max_size=6), st.booleans())
def test_tag_rewards_never_raise(turns, success):
    messages, valid, available = zip(*turns, strict=True) if turns else ((), (), ())
    found = rlvmr.tag_rewards(messages, valid, available, success=success, planning=0.5)
    assert len(found) == len(turns)
    for turn, ok in zip(found, valid, strict=True):
        assert turn.tag in (*rlvmr.TAGS, "none")
        assert turn.reward in (0.0, 0.5, 1.0)
        assert ok or turn == ("none", 0.0)


def test_tag_rewards_want_equal_lengths():
    with pytest.raises(ValueError, match="equally long"):
        rlvmr.tag_rewards(["x"], [True, True], [True], success=True)


@given(st.lists(NUMBERS, min_size=1, max_size=10), st.floats(0, 1))
def test_shaping_telescopes(potentials, gamma):
    rewards = shaping.potential_shaping(potentials, gamma=gamma)
    total = math.fsum(gamma**k * reward for k, reward in enumerate(rewards))
    assert total == pytest.approx(gamma ** len(rewards) * potentials[-1] - potentials[0], abs=1e-6)


@given(st.lists(NUMBERS, min_size=2, max_size=10))
def test_shaping_that_ends_at_zero_never_changes_what_is_best(potentials):
    # Whatever was done in between, the return moves by -Φ(s_0), which no action changes.
    rewards = shaping.potential_shaping(potentials, terminal_zero=True)
    assert math.fsum(rewards) == pytest.approx(-potentials[0], abs=1e-6)


def test_a_circle_earns_nothing():
    assert math.fsum(shaping.potential_shaping([0.0, 1.0, 0.5, 1.0, 0.0])) == 0.0


@pytest.mark.parametrize("potentials", [[], [0.0, math.nan], [math.inf]])
def test_bad_potentials_are_refused(potentials):
    with pytest.raises(ValueError, match="potentials"):
        shaping.potential_shaping(potentials)


@given(st.floats(-1e6, 1e6), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), NUMBERS)
def test_preference_is_bounded_and_monotone(reward, references, shift):
    value = shaping.preference_as_reward(reward, references)
    assert 0.0 <= value <= 1.0
    assert shaping.preference_as_reward(reward + 1.0, references) >= value
    mirrored = shaping.preference_as_reward(-reward, [-reference for reference in references])
    assert value + mirrored == pytest.approx(1.0)


def test_preference_by_hand():
    assert shaping.preference_as_reward(2.0, [2.0]) == 0.5
    assert shaping.preference_as_reward(1.0, [0.0, 2.0]) == pytest.approx(0.5)
    assert shaping.preference_as_reward(math.log(3), [0.0]) == pytest.approx(0.75)
    assert shaping.preference_as_reward(math.inf, [math.inf]) == 0.5
    with pytest.raises(ValueError, match="empty"):
        shaping.preference_as_reward(0.0, [])
    with pytest.raises(ValueError, match="numbers"):
        shaping.preference_as_reward(math.nan, [0.0])


@given(st.integers(0, 2000), st.integers(1, 1000), st.data())
def test_the_length_penalty_falls_from_the_buffer_on(length, max_length, data):
    buffer = data.draw(st.integers(1, max_length))
    penalty = dapo.overlong_penalty(length, max_length=max_length, buffer=buffer, factor=2.0)
    assert penalty <= 0.0
    assert (penalty == 0.0) == (length <= max_length - buffer)
    assert penalty >= dapo.overlong_penalty(length + 1, max_length=max_length, buffer=buffer, factor=2.0)
    assert dapo.overlong_penalty(max_length, max_length=max_length, buffer=buffer, factor=2.0) == -2.0


@pytest.mark.parametrize("buffer", [0, 101])
def test_a_bad_buffer_is_refused(buffer):
    with pytest.raises(ValueError, match="buffer"):
        dapo.overlong_penalty(5, max_length=100, buffer=buffer)


def test_groups_of_equal_outcomes_carry_no_signal():
    flags = dapo.informative([1, 0, 1, 1, 0.3, 0.3, 1], ["a", "a", "b", "b", "c", "c", "alone"])
    assert flags == [True, True, False, False, False, False, False]
    with pytest.raises(ValueError, match="equally long"):
        dapo.informative([1.0], [])
