"""Forked rollouts and shared prefixes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.credit import Batch, Norm, make
from agentgym.credit.kernels.tempo import prefix_tree_td
from agentgym.credit.kernels.tree import node_of_turn
from credit.batches import batches, quick, spans_of


def tree():
    """0 plays a b c. 1 forks from 0 after one turn (a, d). 2 forks from 1 after two (a, d, e). 3 stands alone (f)."""
    return Batch.build(
        [0] * 4,
        [[0.0] * 3, [0.0] * 2, [0.0] * 3, [0.0]],
        spans=[spans_of(1, 1, 1), spans_of(1, 1), spans_of(1, 1, 1), spans_of(1)],
        outcomes=[1.0, 0.0, 1.0, 0.0],
        parents=[-1, 0, 1, -1],
        fork_turns=[0, 1, 2, 0],
    )


def test_inherited_turns_are_the_ancestors():
    batch = tree()
    node = node_of_turn(batch.owned, batch.parent, batch.turn_offsets, batch.turn_trajectory, batch.turn_index)
    assert node.tolist() == [0, 1, 2, 0, 4, 0, 4, 7, 8]
    assert batch.inherited_turns.tolist() == [0, 1, 2, 0]


def test_portool_by_hand():
    """γ 1: R(a) = mean(1, 0, 1) = 2/3, R(b) = 1, R(d) = mean(0, 1) = 1/2, R(e) = 1, R(f) = 0."""
    batch = tree()
    found = make("portool", gamma=1.0, trajectory_weight=0.0)(batch).turn
    a, b, d, f = 2 / 3 - 1 / 3, 1 - 3 / 4, 1 / 2 - 3 / 4, 0 - 1 / 3
    assert found.tolist() == pytest.approx([a, b, 0, 0, d, 0, 0, 0, f])
    relative = make("portool", fork_weight=0.0, norm=Norm(scale="none"))(batch).turn
    # Trajectories are +½ −½ +½ −½; a is on the first three, d on the second and third.
    assert relative.tolist() == pytest.approx([1 / 6, 0.5, 0.5, 0, 0, 0, 0, 0.5, -0.5])


def test_format_rewards_and_discount_enter_the_step_reward():
    batch = tree().with_columns({"format_reward": np.array([0, 0.5, 0, 0, 0, 0, 0, 0, 0.0])})
    plain = make("portool", trajectory_weight=0.0, gamma=0.5)(batch).turn
    formatted = make("portool", trajectory_weight=0.0, gamma=0.5, format_weight=2.0)(batch).turn
    assert (formatted - plain).tolist() == pytest.approx([0, 0.5, 0, 0, -0.5, 0, 0, 0, 0])


@quick(20)
@given(batches(forks=True, groups=1, masked=0.0))
def test_every_played_turn_is_trained_once(batch):
    for name in ("grpo", "turn_rloo", "gigpo", "portool", "igpo", "reinforce_pp"):
        credit = make(name)(batch)
        assert not credit.token[~batch.owned[batch.token_turn] & (batch.token_turn >= 0)].any(), name


def test_a_forks_return_is_no_baseline_for_the_turn_that_it_inherited():
    """The fork's outcome depends on the very action that its parent took in turn 0."""
    batch = Batch.build(
        [0, 0, 0],
        [[0.0, 1.0], [0.0, 5.0], [0.0, 2.0]],
        parents=[-1, 0, -1],
        fork_turns=[0, 1, 0],
    )
    # Turn 0: 1 against 2. Turn 1: 1 against (5 + 2)/2, 5 against (1 + 2)/2, 2 against (1 + 5)/2.
    assert make("turn_rloo")(batch).turn.tolist() == [1 - 2, 1 - 3.5, 0, 5 - 1.5, 2 - 1, 2 - 3]


def test_a_fork_whose_parent_is_elsewhere_keeps_its_inherited_turns_untrained():
    whole = tree()
    fields = {name: getattr(whole.select(whole.group_index == 0), name) for name in ("group", "outcome")}
    lone = Batch(
        group=fields["group"][:1],
        outcome=fields["outcome"][:1],
        terminated=[True],
        truncated=[False],
        parent=[-1],
        fork_turn=[0],
        turn_offsets=[0, 2],
        turn_reward=[0.0, 1.0],
        owned=[False, True],
        turn_start=[0, 0],
        turn_end=[0, 0],
        token_offsets=[0, 0],
        policy_mask=np.zeros(0, dtype=bool),
    )
    assert lone.inherited_turns.tolist() == [1]
    assert make("portool")(lone).turn.tolist() == [0.0, 0.0]


def naive_td(tokens, masks, outcomes, groups):
    """V by looking at every prefix of every response."""
    found = []
    for i, row in enumerate(tokens):
        values = []
        for length in range(len(row) + 1):
            members = [j for j, other in enumerate(tokens) if groups[j] == groups[i] and other[:length] == row[:length]]
            values.append(np.mean([outcomes[j] for j in members]))
        for t in range(len(row)):
            counts = masks[i][t] and any(masks[i][:t])
            found.append(values[t + 1] - values[t] if counts else 0.0)
    return found


@quick(20)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=5), st.integers(0, 1)), min_size=1, max_size=7),
    st.integers(0, 999),
)
def test_prefix_tree_against_a_plain_loop(rows, seed):
    rng = np.random.default_rng(seed)
    tokens, groups = [row for row, _ in rows], [group for _, group in rows]
    outcomes = rng.normal(size=len(rows))
    masks = [[bool(position % 3 != 2) for position in range(len(row))] for row in tokens]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in tokens])])
    codes = np.unique(groups, return_inverse=True)[1]
    found = prefix_tree_td(np.concatenate(tokens), np.concatenate(masks), offsets, codes, outcomes)
    np.testing.assert_allclose(found, naive_td(tokens, masks, outcomes, groups), atol=1e-12)


def test_tempo_pays_the_token_where_responses_part():
    """Two responses share one token and then differ; the third differs at once."""
    batch = Batch.build(
        [0, 0, 0],
        [[1.0], [0.0], [0.0]],
        spans=[spans_of(3)] * 3,
        columns={"token_id": [[7, 1, 1], [7, 2, 2], [8, 1, 1]]},
    )
    found = make("tempo", norm=Norm(scale="none"))(batch).token
    third = 1 / 3
    assert found.tolist() == pytest.approx(
        [1 - third, 1.5 - third, 1 - third, -third, -0.5 - third, -third, *[-third] * 3]
    )


def test_tempo_on_states_by_hand():
    """V(s1) = mean(1, 0) for the two that pass through it; V after the last turn is the own outcome."""
    batch = Batch.build(
        [0, 0, 0],
        [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]],
        columns={"anchor": [["s0", "s1"], ["s0", "s1"], ["s0", "s2"]]},
    )
    found = make("tempo_turns", norm=Norm(scale="none"))(batch).turn
    third = 1 / 3
    assert found.tolist() == pytest.approx([1 - third, 1.5 - third, -third, -0.5 - third, -third, -third])
