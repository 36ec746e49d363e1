"""The length-weighted baseline of OPO."""

from __future__ import annotations

import numpy as np

from agentgym.credit.kernels.normalise import Singleton, deviation, group_count, group_mean
from agentgym.credit.segments import FloatArray, IntArray


def length_weighted_baseline(
    reward: FloatArray, length: FloatArray, group: IntArray, singleton: Singleton = "zero"
) -> FloatArray:
    """``b_i = Σ_g l_j R_j / Σ_g l_j`` for every member of the group; shape (N,).

    A group without any length counts its members equally; equal rewards are their own baseline exactly.
    (https://arxiv.org/abs/2505.23585)

    Args:
        reward: R, shape (N,).
        length: l, shape (N,), not negative.
        group: Group index, shape (N,).
        singleton: The baseline of a group of one is its own reward, or 0 with ``raw``.
    """
    weight = np.where(np.bincount(group, length)[group] > 0, length, 1.0) if len(group) else length
    baseline = group_mean(reward, group, weight)[group]
    level = np.bincount(group, np.abs(deviation(reward, group)))[group] == 0
    baseline = np.where(level, reward, baseline)
    return np.where(group_count(group)[group] == 1, 0.0, baseline) if singleton == "raw" else baseline
