"""MT-GRPO: the turn reward counts only for what was written before the first tool result."""

from __future__ import annotations

import numpy as np

from agentgym.credit.segments import BoolArray, FloatArray, IntArray


def before_first_result(
    tool_result: BoolArray, turn_offsets: IntArray, turn_trajectory: IntArray
) -> tuple[BoolArray, BoolArray]:
    """Which turns were written before the first tool result arrived, shape (K,), and which trajectories got one, (N,).

    The turn that the result answers counts as before it. Without any result every turn is before it.
    """
    counted = np.cumsum(tool_result)
    earlier = counted - tool_result - np.append(0, counted)[turn_offsets[:-1]][turn_trajectory]
    got = np.bincount(turn_trajectory, weights=tool_result, minlength=len(turn_offsets) - 1) > 0
    return earlier == 0, got


def mt_grpo_advantage(
    turn: FloatArray,
    outcome: FloatArray,
    no_result: FloatArray,
    before: BoolArray,
    got: BoolArray,
    own: IntArray,
    weight: float,
) -> FloatArray:
    """``A_O + λ A_T`` before the first tool result, ``A_O`` after, ``no_result`` in episodes without one; shape (K,).

    Args:
        turn: A_T, shape (N,).
        outcome: A_O, shape (N,).
        no_result: Advantage of episodes without a tool result, shape (N,).
        before: Shape (K,).
        got: Shape (N,).
        own: Trajectory of each turn, shape (K,).
        weight: λ.
    """
    return np.where(got[own], outcome[own] + weight * turn[own] * before, no_result[own])
