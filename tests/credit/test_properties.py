"""What must hold for every method, and what single methods claim."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.credit import METHODS, Batch, CreditError, Norm, find, make, method_names
from credit.batches import batches, quick, random_batch

ALL = [*method_names(), "gae_bootstrap"]

MAY_REFUSE = {"bilevel_gae_released": "the released rule finds no end"}
NEEDS_WHOLE_SCORES = {"rlvmr", "rlvmr_released"}
ON_PROCESS_REWARD = {name for name in ALL if name.startswith("istar_released")}


def build(name):
    if name == "gae_bootstrap":
        return make("gae", truncation="bootstrap")
    signal = {"signal": "process_reward"} if name in ON_PROCESS_REWARD else {}
    return make(name, **signal)


def fitted(name, batch):
    """The batch without absent scores where the method has no rule for them."""
    if name in NEEDS_WHOLE_SCORES | ON_PROCESS_REWARD:
        return batch.with_columns({"process_reward": np.nan_to_num(batch.extra["process_reward"])})
    return batch


def credit_of(name, batch):
    try:
        return build(name)(fitted(name, batch))
    except CreditError as refusal:
        assert name in MAY_REFUSE and MAY_REFUSE[name] in str(refusal)
        return None


def reordered(batch, order):
    """The batch with its trajectories in another order."""
    parts = [batch.select(np.arange(batch.n_trajectories) == i) for i in order]
    joined = {}
    for field in dataclasses.fields(Batch):
        if field.name not in ("extra", "turn_offsets", "token_offsets", "turn_start", "turn_end"):
            joined[field.name] = np.concatenate([getattr(part, field.name) for part in parts])
    shift = np.concatenate([[0], np.cumsum([part.n_tokens for part in parts])])
    for name in ("turn_start", "turn_end"):
        joined[name] = np.concatenate([getattr(part, name) + s for part, s in zip(parts, shift, strict=False)])
    joined["token_offsets"] = shift
    joined["turn_offsets"] = np.concatenate([[0], np.cumsum([part.n_turns for part in parts])])
    extra = {name: np.concatenate([part.extra[name] for part in parts]) for name in batch.extra}
    return Batch(**joined, extra=extra), parts


@pytest.mark.parametrize("name", ALL)
@quick(15)
@given(
    batches(),
    st.sampled_from([None, [0.0], [0.0, 1.0], [-1.0, 0.0, 1.0]]),
    st.sampled_from([1e-200, 1e-9, 1.0, 1e5, 1e11]),
    st.integers(0, 9999),
)
def test_finite_and_exactly_zero_where_nothing_is_trained(name, batch, levels, scale, seed):
    other = random_batch(seed, groups=2, scale=scale, levels=levels, forks=True)
    for found, given_batch in ((credit_of(name, batch), batch), (credit_of(name, other), other)):
        if found is None:
            continue
        for values in (found.token, found.turn, found.trajectory):
            assert np.isfinite(values).all()
        if found.value_target is not None:
            assert np.isfinite(found.value_target).all()
        assert not found.token[~given_batch.trained].any()
        assert not found.turn[~given_batch.owned].any()
        for share in ("no_signal_groups", "shaping_only_groups", "sign_agreement"):
            assert 0.0 <= found.diagnostics.get(share, 0.0) <= 1.0
        assert sum(found.diagnostics["credit_by_position"]) == pytest.approx(1.0) or not np.any(found.token)


@pytest.mark.parametrize("name", [name for name in ALL if name != "gae_bootstrap"])
@quick(15)
@given(batches(tokens=False))
def test_batches_without_tokens_get_turn_credit_or_a_refusal(name, batch):
    try:
        found = build(name)(fitted(name, batch))
    except CreditError as refusal:
        assert "has no tokens" in str(refusal) or "lacks the column" in str(refusal)
        return
    assert found.token.shape == (0,)
    assert np.isfinite(found.turn).all()


ORDER_MATTERS = {"gigpo_similar"}
"""Greedy clusters depend on who comes first, as in the released code."""


@pytest.mark.parametrize("name", [name for name in ALL if name not in ORDER_MATTERS])
@quick(15)
@given(batches(forks=False), st.randoms(use_true_random=False))
def test_the_order_of_trajectories_does_not_matter(name, batch, random):
    order = list(range(batch.n_trajectories))
    random.shuffle(order)
    moved, parts = reordered(batch, order)
    one, other = credit_of(name, batch), credit_of(name, moved)
    if one is None or other is None:
        assert one is None and other is None
        return
    np.testing.assert_allclose(other.trajectory, one.trajectory[order], rtol=1e-7, atol=1e-9)
    tokens = np.split(one.token, batch.token_offsets[1:-1])
    np.testing.assert_allclose(other.token, np.concatenate([tokens[i] for i in order]), rtol=1e-7, atol=1e-9)
    assert sum(part.n_turns for part in parts) == batch.n_turns


WITHIN_GROUPS = [
    name
    for name in ALL
    if "batch" not in (METHODS["gae"] if name == "gae_bootstrap" else find(name)[0]).population
    and not name.endswith(("_ppo", "_trl_batch", "pure_released", "pure_released_sum", "igpo_2025"))
    and name not in ("istar_released_reinforce_pp", "arena")
]


@pytest.mark.parametrize("name", WITHIN_GROUPS)
@quick(15)
@given(batches(groups=2))
def test_groups_do_not_see_each_other(name, batch):
    whole = credit_of(name, batch)
    for group in range(batch.n_groups):
        keep = batch.group_index == group
        alone = credit_of(name, batch.select(keep))
        np.testing.assert_allclose(alone.turn, whole.turn[keep[batch.turn_trajectory]], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_same_batch_gives_the_same_bytes(name):
    batch = random_batch(11, groups=3, forks=True, masked=0.0)
    one, two = credit_of(name, batch), credit_of(name, random_batch(11, groups=3, forks=True, masked=0.0))
    assert one is None or one.token.tobytes() == two.token.tobytes()


LONERS_GET_NOTHING = [name for name, info in METHODS.items() if re.search(r"Group of one: 0[ .]", info.doc)]


def test_many_methods_claim_to_give_a_group_of_one_nothing():
    assert {"grpo", "turn_rloo", "pure", "mt_grpo", "tempo", "abc", "red", "spa_released"} <= set(LONERS_GET_NOTHING)


@pytest.mark.parametrize("name", LONERS_GET_NOTHING)
@quick(15)
@given(batches(groups=3, largest=1, forks=False))
def test_a_group_of_one_gets_nothing(name, batch):
    found = credit_of(name, batch)
    assert not found.turn.any()
    assert not found.token.any()
    assert found.diagnostics["no_signal_groups"] == 1.0


@pytest.mark.parametrize(
    "name", ["grpo", "grpo_verl", "grpo_trl", "dr_grpo", "rloo", "opo", "turn_rloo", "gigpo", "gigpo_std"]
)
@pytest.mark.parametrize("level", [0.0, 0.1, -2.3])
@quick(15)
@given(st.integers(0, 9999))
def test_equal_rewards_give_exactly_nothing(name, level, seed):
    """An all-failed group too: one turn each, so that outcome and return are the same."""
    batch = random_batch(seed, groups=2, turns=1, levels=[level])
    if "verl" in name:
        batch = batch.select(np.bincount(batch.group_index)[batch.group_index] > 1)
    found = credit_of(name, batch)
    assert not found.turn.any()


def shifted(batch, by):
    """Every trajectory's return and outcome raised by the same amount, in its last turn."""
    extra = {name: value for name, value in batch.extra.items() if name != "token_reward"}
    return dataclasses.replace(
        batch, outcome=batch.outcome + by, turn_reward=batch.turn_reward + by * batch.is_last_turn, extra=extra
    )


def scaled(batch, by):
    extra = {name: value for name, value in batch.extra.items() if name != "token_reward"}
    return dataclasses.replace(batch, outcome=batch.outcome * by, turn_reward=batch.turn_reward * by, extra=extra)


@pytest.mark.parametrize(
    "name", ["grpo", "dr_grpo", "rloo", "opo", "grpo_trl_batch", "reinforce_pp_baseline", "oprl_scored"]
)
@quick(15)
@given(batches(forks=False), st.floats(-5, 5))
def test_adding_a_constant_to_every_episode_changes_nothing(name, batch, by):
    one, other = credit_of(name, batch), credit_of(name, shifted(batch, by))
    np.testing.assert_allclose(other.trajectory, one.trajectory, atol=1e-7)


@pytest.mark.parametrize("name", ["dr_grpo", "rloo", "opo", "turn_rloo", "anchored_rloo", "gigpo"])
@quick(15)
@given(batches(), st.floats(0.01, 100))
def test_without_a_standard_deviation_credit_scales_with_the_reward(name, batch, by):
    one, other = credit_of(name, batch), credit_of(name, scaled(batch, by))
    np.testing.assert_allclose(other.turn, by * one.turn, rtol=1e-6, atol=1e-9)


@quick(15)
@given(batches(), st.floats(0.1, 100))
def test_with_a_standard_deviation_the_scale_of_rewards_cancels(batch, by):
    method = make("grpo", norm=Norm(eps=0.0))
    np.testing.assert_allclose(method(scaled(batch, by)).turn, method(batch).turn, rtol=1e-6, atol=1e-9)


@quick(15)
@given(batches())
def test_group_relative_advantages_sum_to_zero(batch):
    for name in ("grpo", "dr_grpo", "rloo"):
        method = make(name, reward="outcome")
        trajectory = method(
            dataclasses.replace(batch, owned=np.ones(batch.n_turns, dtype=bool), **NO_TREE(batch))
        ).trajectory
        np.testing.assert_allclose(np.bincount(batch.group_index, trajectory), 0.0, atol=1e-9)


def NO_TREE(batch):
    return {"parent": np.full(batch.n_trajectories, -1), "fork_turn": np.zeros(batch.n_trajectories, dtype=int)}


@quick(15)
@given(batches(), st.floats(0, 1))
def test_redistribution_preserves_the_reward(batch, beta):
    abc = make("abc", beta=beta)
    total = np.bincount(batch.token_trajectory, abc.token_reward(batch), batch.n_trajectories)
    has_policy_token = np.bincount(batch.token_trajectory, batch.policy_mask, batch.n_trajectories) > 0
    np.testing.assert_allclose(total, np.where(has_policy_token, batch.outcome, 0.0), atol=1e-9)
    red = np.bincount(batch.token_trajectory, make("red").token_reward(batch), batch.n_trajectories)
    score, start = batch.extra["prefix_score"], batch.extra["prompt_score"]
    for i, (a, b) in enumerate(zip(batch.token_offsets[:-1], batch.token_offsets[1:], strict=True)):
        policy = np.flatnonzero(batch.policy_mask[a:b])
        before = 0.0 if not len(policy) else start[i] if policy[0] == 0 else score[a + policy[0] - 1]
        assert red[i] == pytest.approx(score[b - 1] - before if len(policy) else 0.0, abs=1e-9)


@quick(15)
@given(batches(forks=False), st.floats(0.1, 1.0))
def test_potential_based_shaping_telescopes(batch, gamma):
    """Shaping by γΦ(s') − Φ(s), 0 at the end, leaves GiGPO's comparison of turns in one state unchanged."""
    potential = np.array([0.3, -1.0, 2.0, 0.7])[batch.codes("anchor")]
    after = np.where(batch.is_last_turn, 0.0, np.append(potential[1:], 0.0))
    shaped = batch.with_turn_rewards(batch.turn_reward + gamma * after - potential)
    step = make("gigpo", gamma=gamma, omega=1.0, reward="outcome")
    np.testing.assert_allclose(step(shaped).turn, step(batch).turn, atol=1e-9)


SMOOTH = [
    "turn_rloo",
    "gigpo",
    "gae",
    "turn_gae",
    "bilevel_gae",
    "reinforce_pp",
    "igpo",
    "oprl_scored",
    "prorag",
    "spa",
]


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("column", ["turn_reward", "process_reward", "progress", "gain"])
def test_a_turn_with_a_reward_of_exactly_zero_is_a_turn(name, column):
    """Credit doesn't jump when a reward passes through zero."""
    batch = random_batch(5, groups=2, largest=4, turns=4, forks=False, masked=0.0)
    batch = batch.with_columns({"belief": np.linspace(-3, -1, batch.n_turns)})

    def at(value):
        k = 1
        if column == "turn_reward":
            reward = batch.turn_reward.copy()
            reward[k] = value
            return make(name)(batch.with_turn_rewards(reward)).token
        if column == "gain":
            belief = batch.extra["belief"].copy()
            belief[k + 1] = belief[k] + value
            return make(name)(batch.with_columns({"belief": belief})).token
        changed = batch.extra[column].copy()
        changed[k] = value
        return make(name)(batch.with_columns({column: changed})).token

    np.testing.assert_allclose(at(0.0), at(1e-9), atol=1e-6)
    np.testing.assert_allclose(at(0.0), at(-1e-9), atol=1e-6)


def test_absent_is_not_zero():
    beliefs = [[-2.0, -1.0, -1.0], [-2.0, -1.5, -1.0]]
    batch = Batch.build([0, 0], [[0.0] * 3] * 2, outcomes=[1.0, 0.0], columns={"belief": beliefs})
    method = make("igpo_separate")
    measured = method(batch).turn
    absent = method(batch.with_columns({"belief": np.array([-2.0, -1.0, np.nan, -2.0, -1.5, -1.0])})).turn
    assert not np.allclose(measured, absent)
    scores = [[0.0, 1.0], [1.0, 2.0]]
    with_zero = Batch.build([0, 0], [[0.0] * 2] * 2, outcomes=[1.0, 0.0], columns={"process_reward": scores})
    without = with_zero.with_columns({"process_reward": np.array([np.nan, 1.0, 1.0, 2.0])})
    for name in ("prorag", "oprl_scored", "pure", "pure_min"):
        assert not np.allclose(make(name)(with_zero).turn, make(name)(without).turn), name


def test_truncated_episodes_bootstrap_only_on_request():
    batch = Batch.build(
        [0, 0],
        [[0.0, 1.0], [0.0]],
        spans=[[(0, 1), (1, 2)], [(0, 1)]],
        truncated=[False, True],
        columns={"value": [[0.0, 0.0], [0.0]], "turn_value": [[0.0, 0.0], [0.0]], "bootstrap_value": [5.0, 5.0]},
    )
    for name in ("gae", "turn_gae", "bilevel_gae"):
        plain = make(name, whiten=False)(batch)
        longer = make(name, whiten=False, truncation="bootstrap")(batch)
        assert plain.turn[2] == 0.0
        assert longer.turn[2] == pytest.approx(5.0 if name != "bilevel_gae" else 0.95 * 5.0)
        assert longer.turn[:2].tolist() == plain.turn[:2].tolist(), "a terminated episode has no future"


def test_phantom_advantages_are_reported():
    """Every episode of the first group failed, and shaping alone trains it."""
    batch = Batch.build([0, 0, 1, 1], [[0.3], [0.1], [1.0], [0.0]], outcomes=[0.0, 0.0, 1.0, 0.0])
    assert make("grpo")(batch).diagnostics["shaping_only_groups"] == 0.5
    assert make("grpo", reward="outcome")(batch).diagnostics["shaping_only_groups"] == 0.0
    assert make("grpo", reward="outcome")(batch).diagnostics["no_signal_groups"] == 0.5
    unknown = Batch.build([0, 0], [[0.3], [0.1]])
    assert "shaping_only_groups" not in make("grpo")(unknown).diagnostics


def test_diagnostics_of_turns():
    batch = Batch.build([0, 0], [[3.0, 1.0], [0.0, 1.0]], outcomes=[1.0, 0.0])
    found = make("turn_rloo")(batch)
    assert found.turn.tolist() == [3.0, 0.0, -3.0, 0.0]
    assert found.diagnostics["credit_by_position"] == [1.0, 0.0]
    assert found.diagnostics["sign_agreement"] == 1.0
