"""Turn baselines when the policy decides when to stop: exact expectations on a two-turn problem.

In the first turn the policy stops (reward ``stop``) or goes on (reward ``-cost``) with probability p; in the second it
succeeds (reward 1) with probability q. The expected update over every outcome of a group is compared with the true
gradient of the expected return, ``∂J/∂θ₁ = p(1−p)(q − cost − stop)`` and ``∂J/∂θ₂ = p q (1−q)``.
"""

import itertools

import numpy as np
import pytest

from agentgym.credit import Batch, make
from agentgym.credit.segments import discounted_to_go

P, Q, COST, STOP = 0.5, 0.6, 0.2, 0.35
TRUE = np.array([P * (1 - P) * (Q - COST - STOP), P * Q * (1 - Q)])
EPISODES = (  # probability, rewards, scores ∂ log π/∂θ of each turn
    (1 - P, [STOP], [-P]),
    (P * Q, [-COST, 1.0], [1 - P, 1 - Q]),
    (P * (1 - Q), [-COST, 0.0], [1 - P, -Q]),
)


def expected_update(advantage, n):
    """E[1/n Σ A ∂ log π], exactly, for both parameters."""
    total = np.zeros(2)
    for group in itertools.product(EPISODES, repeat=n):
        batch = Batch.build(
            [0] * n, [e[1] for e in group], columns={"anchor": [["start", "later"][: len(e[1])] for e in group]}
        )
        scores = np.concatenate([e[2] for e in group])
        np.add.at(total, batch.turn_index, np.prod([e[0] for e in group]) * advantage(batch) * scores / n)
    return total


def to_go(batch):
    return discounted_to_go(batch.turn_reward, batch.turn_offsets, 1.0)


def mean_at_the_same_turn(batch):
    """The naive baseline a turn index: mean over whoever of the group got there, oneself included."""
    returns = to_go(batch)
    return returns - (np.bincount(batch.turn_index, returns) / np.bincount(batch.turn_index))[batch.turn_index]


def mean_over_all_turns(batch):
    """The naive baseline a group: one mean over all turns of all its trajectories."""
    return to_go(batch) - to_go(batch).mean()


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("name", ["turn_rloo", "anchored_rloo", "rloo"])
def test_leave_one_out_baselines_are_unbiased(name, n):
    np.testing.assert_allclose(expected_update(lambda batch: make(name)(batch).turn, n), TRUE, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_mean_at_the_same_turn_weighs_late_turns_down(n):
    early, late = expected_update(mean_at_the_same_turn, n) / TRUE
    assert early == pytest.approx((n - 1) / n)
    assert late < 0.9 * early


def test_one_mean_over_all_turns_learns_to_stop_early():
    assert TRUE[0] > 0, "going on is better"
    assert expected_update(mean_over_all_turns, 2)[0] < 0, "and yet it is unlearnt"
