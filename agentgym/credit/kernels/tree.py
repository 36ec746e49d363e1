"""Rollout trees: which turns are one and the same, and PORTool's step rewards on them."""

from __future__ import annotations

import numpy as np

from agentgym.credit.kernels.normalise import Norm, group_mean, normalise
from agentgym.credit.segments import BoolArray, FloatArray, IntArray


def node_of_turn(
    owned: BoolArray, parent: IntArray, turn_offsets: IntArray, trajectory: IntArray, index: IntArray
) -> IntArray:
    """Row of the turn that was really played: itself if owned, else the ancestor's of the same index; shape (K,).

    An inherited turn whose owner isn't in the batch stands for itself.
    """
    node = np.arange(len(owned))
    while len(inherited := np.flatnonzero(~owned[node] & (parent[trajectory[node]] >= 0))):
        at = node[inherited]
        node[inherited] = turn_offsets[parent[trajectory[at]]] + index[at]
    return node


def step_reward(outcome: FloatArray, distance: IntArray, node: IntArray, own: IntArray, gamma: float) -> FloatArray:
    """``R(s) = mean over trajectories through s of γ^{turns after s} · outcome``; shape (K,), equal on shared turns.

    Args:
        outcome: Shape (N,).
        distance: Turns of the trajectory after this one, shape (K,).
        node: `node_of_turn`, shape (K,).
        own: Trajectory of each turn, shape (K,).
        gamma: Discount a turn.
    """
    return group_mean(gamma ** distance.astype(np.float64) * outcome[own], node)[node]


def fork_relative(
    reward: FloatArray, node: IntArray, owned: BoolArray, index: IntArray, turn_group: IntArray, norm: Norm
) -> FloatArray:
    """Step reward relative to the siblings: the turns that were played from the same point; shape (K,).

    First turns of a group are siblings; a turn without siblings gets 0 (``norm.singleton``).
    """
    before = np.where(index > 0, node[np.arange(len(node)) - 1], -1 - turn_group)
    fork = np.unique(before, return_inverse=True)[1]
    return normalise(reward, fork, norm, owned.astype(np.float64))
