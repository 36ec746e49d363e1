"""Methods that must coincide where their ideas do, and formulas worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.credit import Batch, Norm, make
from agentgym.credit.kernels.anchors import similarity_codes
from agentgym.credit.kernels.igpo import information_gain
from agentgym.credit.kernels.normalise import leave_one_out, normalise, whiten
from agentgym.credit.kernels.pure import softmin_weighted
from agentgym.credit.kernels.redistribute import attention_distribution
from agentgym.credit.segments import discounted_to_go
from credit.batches import batches, quick, random_batch, spans_of

flat = batches(forks=False)


def same(one, other, **tolerance):
    np.testing.assert_allclose(one.token, other.token, **{"rtol": 1e-9, "atol": 1e-9, **tolerance})
    np.testing.assert_allclose(one.turn, other.turn, **{"rtol": 1e-9, "atol": 1e-9, **tolerance})


def unique_anchors(batch):
    return batch.with_columns({"anchor": np.arange(batch.n_turns)})


def turn_rewarded(batch):
    """Without token rewards of their own, so that turn and token methods read the same numbers."""
    return batch.with_turn_rewards(batch.turn_reward)


@quick(20)
@given(flat)
def test_unique_anchors_reduce_gigpo_to_grpo(batch):
    batch = unique_anchors(batch)
    same(make("gigpo")(batch), make("dr_grpo")(batch))
    same(make("gigpo_std")(batch), make("grpo")(batch))
    same(make("tempo_turns")(batch), make("grpo")(batch))
    same(make("anchored_rloo")(batch), make("turn_rloo")(batch))


@quick(20)
@given(flat)
def test_tempo_without_shared_prefixes_is_grpo(batch):
    batch = batch.with_columns({"token_id": np.arange(batch.n_tokens)})
    np.testing.assert_allclose(make("tempo")(batch).token, make("grpo")(batch).token, atol=1e-9)


@quick(20)
@given(batches(forks=False, turns=1))
def test_one_turn_episodes(batch):
    batch = turn_rewarded(batch)
    same(make("turn_rloo")(batch), make("rloo")(batch))
    parameters = {"gamma": 0.9, "lam": 0.8}
    same(make("bilevel_gae", **parameters)(batch), make("gae", **parameters)(batch))


@quick(20)
@given(flat)
def test_rloo_is_a_multiple_of_centring(batch):
    n = np.bincount(batch.group_index)[batch.group_index]
    centred = make("dr_grpo")(batch).trajectory * n / np.maximum(n - 1, 1)
    np.testing.assert_allclose(make("rloo")(batch).trajectory, centred, atol=1e-9)


@quick(20)
@given(flat, st.floats(0, 1))
def test_gae_with_lambda_one_and_no_values_is_the_return(batch, gamma):
    batch = turn_rewarded(batch).with_columns(
        {"value": np.zeros(batch.n_tokens), "turn_value": np.zeros(batch.n_turns)}
    )
    turn = make("turn_gae", gamma=gamma, lam=1.0, whiten=False)(batch)
    np.testing.assert_allclose(turn.turn, discounted_to_go(batch.turn_reward, batch.turn_offsets, gamma), atol=1e-9)
    whole = make("gae", gamma=gamma, lam=1.0)(batch)
    same(whole, make("reinforce_pp", gamma=gamma)(batch))


@quick(20)
@given(batches(forks=False, masked=0.0), st.floats(0, 1), st.floats(0, 1))
def test_a_critic_that_knows_the_returns_leaves_no_advantage(batch, gamma, lam):
    batch = turn_rewarded(batch)
    to_go = discounted_to_go(batch.turn_reward, batch.turn_offsets, gamma)
    found = make("turn_gae", gamma=gamma, lam=lam, whiten=False)(batch.with_columns({"turn_value": to_go}))
    np.testing.assert_allclose(found.turn, 0.0, atol=1e-9)


@quick(20)
@given(flat)
def test_terms_of_weight_zero_leave_the_outcome(batch):
    whole = batch.with_columns({"process_reward": np.nan_to_num(batch.extra["process_reward"])})
    grpo = make("grpo", reward="outcome")(batch)
    same(make("oprl_scored", alpha=0.0)(batch), grpo)
    same(make("rlvmr", episode_weight=1.0, step_weight=0.0)(whole), grpo)
    same(make("portool", fork_weight=0.0)(batch), grpo)
    loose = make("grpo", reward="outcome", norm=Norm(eps=1e-4))(batch)
    same(make("prorag", beta=0.0)(batch), loose)
    same(make("mt_grpo", weight=0.0)(batch), loose)
    alone = Norm(scale="none")
    equal_steps = batch.with_columns({"process_reward": np.ones(batch.n_turns)})
    same(make("oprl_scored", episode_norm=alone)(equal_steps), make("dr_grpo", reward="outcome")(batch))


@quick(20)
@given(flat)
def test_spa_with_progress_alone_is_the_turn_baseline(batch):
    same(make("spa", beta=0.0)(batch.with_turn_rewards(batch.extra["progress"])), make("spa", beta=0.0)(batch))
    same(make("spa", beta=0.0)(batch), make("turn_rloo")(batch.with_turn_rewards(batch.extra["progress"])))


@quick(20)
@given(batches(forks=False, masked=0.0))
def test_nothing_redistributed_is_the_turn_baseline(batch):
    at_end = batch.with_turn_rewards(np.where(batch.is_last_turn, batch.outcome[batch.turn_trajectory], 0.0))
    same(make("abc", beta=0.0)(batch), make("turn_rloo")(at_end), atol=1e-7)
    same(make("red", beta=0.0)(batch), make("turn_rloo")(at_end), atol=1e-7)


@quick(20)
@given(flat)
def test_reinforce_pp_baseline_whitens_centred_rewards(batch):
    centred = make("dr_grpo")(batch).trajectory
    expected = whiten(np.repeat(centred, np.diff(batch.token_offsets)), batch.trained)
    np.testing.assert_allclose(make("reinforce_pp_baseline")(batch).token, expected, atol=1e-9)


@quick(20)
@given(st.integers(0, 9999), st.sampled_from([0.9, 1.0]), st.booleans())
def test_igpo_release_agrees_with_the_paper_form_where_its_rules_hold(seed, gamma, joint):
    """No environment tokens, no gain of 0: then non-zero rewards are the turn ends, and Σ mask − 1 is the last token."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 5, size=5)
    spans = [[(2 * t, 2 * t + 2) for t in range(count)] for count in counts]
    batch = Batch.build(
        [0, 0, 0, 1, 1],
        [[0.0] * count for count in counts],
        spans=spans,
        outcomes=rng.normal(size=5),
        columns={"belief": [-np.abs(rng.normal(size=count)) - 0.1 for count in counts]},
    )
    parameters = {"gain": "log_prob", "joint": joint, "gamma": gamma}
    same(make("igpo_released", **parameters)(batch), make("igpo", **parameters)(batch), atol=1e-7)


def test_gains_of_beliefs():
    """Three beliefs give two gains; the last turn's is absent."""
    belief = np.log([0.1, 0.2, 0.5, 0.25])
    offsets = np.array([0, 3, 4])
    np.testing.assert_allclose(information_gain(belief, offsets)[:2], [0.1, 0.3])
    np.testing.assert_allclose(information_gain(belief, offsets, "log_prob")[:2], np.log([2, 2.5]))
    assert np.isnan(information_gain(belief, offsets)[2:]).all()


def test_igpo_by_hand():
    """Gains .2 and −.1, outcomes 1 and 0 in one population: mean .275, so deviations −.075 −.375 .725 −.275."""
    batch = Batch.build(
        [0, 0],
        [[0.0, 0.0], [0.0, 0.0]],
        outcomes=[1.0, 0.0],
        columns={"belief": [np.log([0.2, 0.4]), np.log([0.3, 0.2])]},
    )
    found = make("igpo", gamma=0.5, norm=Norm(scale="none"))(batch).turn
    assert found.tolist() == pytest.approx([-0.075 + 0.5 * 0.725, 0.725, -0.375 - 0.5 * 0.275, -0.275])


def test_anchored_baseline_by_hand():
    """State b is visited twice by the first trajectory (returns 3, 1) and once by the second (return 5)."""
    batch = Batch.build(
        [0, 0, 0],
        [[0.0, 2.0, 1.0], [0.0, 5.0], [4.0]],
        columns={"anchor": [["a", "b", "b"], ["a", "b"], ["c"]]},
    )
    found = make("anchored_rloo")(batch).turn
    # a: 3 against 5, 5 against 3; b: own visits left out; c: nobody else, so against the same turn: (3 + 5) / 2.
    assert found.tolist() == [3 - 5, 3 - 5, 1 - 5, 5 - 3, 5 - (3 + 1) / 2, 4 - (3 + 5) / 2]


def test_turn_baseline_counts_finished_siblings_as_zero():
    batch = Batch.build([0, 0, 0], [[1.0, 2.0], [4.0], [0.0, 6.0]])
    # Turn 0: returns 3, 4, 6. Turn 1: 2, (0), 6.
    assert make("turn_rloo")(batch).turn.tolist() == pytest.approx([3 - 5, 2 - 3, 4 - 4.5, 6 - 3.5, 6 - 1])


def test_gigpo_by_hand():
    """γ 0.5: returns of the first are 0.5, 1; of the second 0, 0. State a: 0.5 and 0, mean 0.25."""
    batch = Batch.build([0, 0], [[0.0, 1.0], [0.0, 0.0]], columns={"anchor": [["a", "b"], ["a", "c"]]})
    found = make("gigpo", gamma=0.5, omega=2.0)(batch).turn
    assert found.tolist() == [0.5 + 2 * 0.25, 0.5, -0.5 - 2 * 0.25, -0.5]


def test_softmin_goes_from_the_mean_to_the_minimum():
    score, offsets = np.array([0.5, -0.2, 0.9, 0.1]), np.array([0, 3, 4])
    assert softmin_weighted(score, offsets, None)[:3].sum() == pytest.approx(0.4)
    assert softmin_weighted(score, offsets, 1e6)[:3].sum() == pytest.approx(0.4, abs=1e-5)
    assert softmin_weighted(score, offsets, 1e-3)[:3].sum() == pytest.approx(-0.2)
    assert softmin_weighted(score, offsets, 0.1)[3] == 0.1


def test_pure_min_by_hand():
    """Suffix minima −1, 2 and 3, 3: means 0.5 and 3, each the other's baseline."""
    batch = Batch.build([0, 0], [[0.0] * 2] * 2, columns={"process_reward": [[-1.0, 2.0], [3.0, 4.0]]})
    assert make("pure_min")(batch).turn.tolist() == pytest.approx([-1 - 3.5, 2 - 3.5, 3 - 0.5, 4 - 0.5])


def test_mt_grpo_by_hand():
    """The tool's result answers the second turn of the first trajectory; the other one never gets a result."""
    batch = Batch.build(
        [0, 0],
        [[0.0] * 3, [0.0]],
        outcomes=[1.0, 0.0],
        columns={"process_reward": [[0.0, 1.0, np.nan], [0.0]], "tool_result": [[False, True, False], [False]]},
    )
    half = 0.5**0.5
    expected = [2 * half, 2 * half, half, -2 * half]
    assert make("mt_grpo")(batch).turn.tolist() == pytest.approx(expected, rel=1e-3)
    assert make("mt_grpo_released")(batch).turn.tolist() == pytest.approx([*expected[:3], -half], rel=1e-3)


def test_remax_and_opo_by_hand():
    batch = Batch.build(
        [0, 0], [[1.0], [0.0]], spans=[spans_of(3), spans_of(1)], columns={"greedy_return": [0.25, 0.25]}
    )
    assert make("remax")(batch).trajectory.tolist() == [0.75, -0.25]
    assert make("opo")(batch).trajectory.tolist() == [0.25, -0.75]


def test_gdpo_keeps_small_rewards_from_drowning():
    rewards = [[100.0, 0.001], [0.0, 0.002], [0.0, 0.0], [100.0, 0.0]]
    batch = Batch.build([0] * 4, [[0.0]] * 4, columns={"component_reward": rewards})
    plain = make("gdpo", eps=0.0)(batch).trajectory
    assert plain[1] > plain[2], "the second reward counts although it is a hundred thousand times smaller"


def test_token_rewards_reach_only_earlier_tokens():
    batch = Batch.build([0, 1], [[0.0, 1.0], [0.0]], spans=[spans_of(2, 2), spans_of(2)])
    found = make("reinforce_pp", gamma=0.5)(batch).token
    assert found[0] < found[1] < found[3] < found[4]
    cut = make("reinforce_pp_verl", gamma=0.5)(batch).token
    assert cut[0] == cut[1] == cut[5], "verl's scan pays nothing before an observation"


def test_attention_without_any_weight_is_uniform():
    assert attention_distribution(np.zeros((4, 4)), 1, 3).tolist() == [1 / 3] * 3


@quick(20)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
def test_normaliser_against_numpy(values):
    x, group = np.array(values), np.zeros(len(values), dtype=np.int64)
    found = normalise(x, group, Norm(eps=0.0, ddof=0))
    if len(x) == 1 or x.std() < 1e-9:
        assert np.abs(found).max() < 4
    else:
        np.testing.assert_allclose(found, (x - x.mean()) / x.std(), rtol=1e-6, atol=1e-6)
    if len(x) > 1:
        others = [np.delete(x, i).mean() for i in range(len(x))]
        np.testing.assert_allclose(leave_one_out(x, group), others, rtol=1e-6, atol=1e-6)


@quick(20)
@given(st.lists(st.sampled_from(["go north", "go norht", "open the door", "open the d00r", "look"]), max_size=12))
def test_similar_states_by_a_plain_loop(texts):
    from difflib import SequenceMatcher

    leaders, expected = [], []
    for text in texts:
        found = [i for i, leader in enumerate(leaders) if SequenceMatcher(None, leader, text).ratio() >= 0.8]
        expected.append(found[0] if found else len(leaders))
        if not found:
            leaders.append(text)
    assert similarity_codes(texts, [0] * len(texts), 0.8).tolist() == expected
    assert len(set(similarity_codes(texts, range(len(texts)), 0.8).tolist())) == len(texts), "groups don't mix"


def test_the_readme_example():
    batch = random_batch(0)
    credit = make("turn_rloo")(batch)
    assert credit.token.shape == (batch.n_tokens,)
