"""Turn baselines that stay unbiased although the policy decides when an episode stops.

A baseline may depend on anything but the action whose credit it corrects. Two common forms break that. One mean over
all turns of a group contains the turn's own later turns. A mean over the siblings that reached turn t, the turn's own
trajectory included, scales turn t by (n_t − 1) / n_t, and how many reach it depends on the policy. Both forms below use
the *other* trajectories alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agentgym.credit.kernels.normalise import deviation
from agentgym.credit.segments import BoolArray, FloatArray, IntArray


class TurnBaseline(NamedTuple):
    """Baseline of each turn, and how many other trajectories it rests on; shape (K,) each."""

    value: FloatArray
    others: IntArray


def turn_baseline(
    to_go: FloatArray,
    turn_index: IntArray,
    turn_group: IntArray,
    owned: BoolArray,
    group: IntArray,
    inherited: IntArray,
) -> TurnBaseline:
    """Mean return-to-go of the other trajectories of the group at the same turn, finished ones counted as 0.

    ``b_{i,t} = 1/(n_t − 1) Σ_{j≠i} G_{j,t}`` with ``G_{j,t} = 0`` once j has finished: nothing more is to come there.
    n_t counts the trajectories that don't inherit turn t from a sibling (all of them without forks), since a fork's
    return depends on the very action that it inherited. Without others a turn is its own
    baseline: no credit.

    Args:
        to_go: Return-to-go G of each turn, shape (K,).
        turn_index: t, shape (K,).
        turn_group: Group index of each turn, shape (K,).
        owned: False for inherited turns, shape (K,).
        group: Group index of each trajectory, shape (N,).
        inherited: Number of inherited turns of each trajectory, shape (N,).

    """
    if not len(to_go):
        return TurnBaseline(np.zeros(0), np.zeros(0, dtype=np.int64))
    span = int(turn_index.max()) + 2
    groups = int(group.max()) + 1
    cell = turn_group * span + turn_index
    begins = np.bincount(group * span + np.minimum(inherited, span - 1), minlength=groups * span)
    members = np.cumsum(begins.reshape(groups, span), axis=1).ravel()
    present = np.bincount(cell, weights=owned, minlength=groups * span)
    total = np.bincount(cell, weights=np.where(owned, to_go, 0.0), minlength=groups * span)
    n = members[cell]
    # Equal returns must give exactly their own value, or rounding would pass for credit.
    spread = deviation(to_go, cell, owned.astype(np.float64))
    complete = present[cell] == n
    spread = np.where(complete, spread, to_go - total[cell] / np.maximum(n, 1))
    value = np.where(n > 1, to_go - spread * (n / np.maximum(n - 1, 1)), to_go)
    return TurnBaseline(value, np.maximum(n - 1, 0))


def anchored_baseline(
    to_go: FloatArray, anchor: IntArray, trajectory: IntArray, owned: BoolArray, fallback: FloatArray
) -> FloatArray:
    """Mean return-to-go of the other trajectories' visits to the same state; ``fallback`` where nobody else was.

    Visits of the turn's own trajectory are left out: a later visit depends on the action taken at this one.

    Args:
        to_go: Return-to-go of each turn, shape (K,).
        anchor: Code of (group, state in which the turn begins), shape (K,).
        trajectory: Trajectory of each turn, shape (K,).
        owned: False for inherited turns, which are no visits of their own, shape (K,).
        fallback: Baseline of states that no other trajectory visited, shape (K,).

    Returns:
        Shape (K,).
    """
    visits, gain = owned.astype(np.float64), np.where(owned, to_go, 0.0)
    own = np.unique(trajectory * (int(anchor.max(initial=0)) + 1) + anchor, return_inverse=True)[1]
    n = np.bincount(anchor, visits)[anchor] - np.bincount(own, visits)[own]
    total = np.bincount(anchor, gain)[anchor] - np.bincount(own, gain)[own]
    return np.where(n > 0, total / np.maximum(n, 1), fallback)
