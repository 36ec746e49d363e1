"""VeRPO: unit tests weighted by how few of the group's attempts pass them."""

from __future__ import annotations

import numpy as np

from agentgym.credit.segments import BoolArray, FloatArray, IntArray


def carried_forward(passed: FloatArray, turn_offsets: IntArray, own: IntArray) -> FloatArray:
    """Each test's latest known state in the trajectory; NaN before it was first run; shape (K, M)."""
    rows = np.arange(len(passed))[:, None]
    known = np.maximum.accumulate(np.where(np.isnan(passed), -1, rows), axis=0)
    known = np.where(known >= turn_offsets[own][:, None], known, -1)
    return np.where(known >= 0, np.take_along_axis(passed, np.maximum(known, 0), axis=0), np.nan)


def difficulty_weights(final: FloatArray, group: IntArray) -> FloatArray:
    """``w_j = (1 − ρ_j) / Σ (1 − ρ)`` with ρ_j the share of the group that passes test j at the end; shape (G, M).

    The sum runs over tests that somebody passes, so that the best attainable total is 1. A test that all pass, that
    nobody passes or that wasn't run weighs 0; so does everything where all tests are alike in that.
    (https://arxiv.org/abs/2601.03525; no code was found, weight function and normaliser are choices)

    Args:
        final: State at the end of each trajectory, shape (N, M); NaN: not run.
        group: Group index, shape (N,).
    """
    size = int(group.max(initial=-1)) + 1
    run, passed = np.zeros((size, final.shape[1])), np.zeros((size, final.shape[1]))
    np.add.at(run, group, ~np.isnan(final))
    np.add.at(passed, group, np.nan_to_num(final, nan=0.0))
    rate = np.divide(passed, run, out=np.zeros_like(run), where=run > 0)
    weight = np.where(passed > 0, 1.0 - rate, 0.0)
    total = weight.sum(axis=1, keepdims=True)
    share: FloatArray = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    return share


def newly_passed_reward(state: FloatArray, weight: FloatArray, turn_group: IntArray, is_first: BoolArray) -> FloatArray:
    """Weighted tests passed after the turn minus those passed before it; shape (K,).

    The rewards of a trajectory telescope to the weighted share that passes at the end, so breaking and repairing a
    test earns nothing.

    Args:
        state: `carried_forward`, shape (K, M).
        weight: `difficulty_weights`, shape (G, M).
        turn_group: Shape (K,).
        is_first: First turns, shape (K,).
    """
    score = (np.nan_to_num(state, nan=0.0) * weight[turn_group]).sum(axis=1)
    before = np.where(is_first, 0.0, np.append(0.0, score[:-1]))
    gained: FloatArray = score - before
    return gained
