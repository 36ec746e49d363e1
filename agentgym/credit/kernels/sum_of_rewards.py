"""Several rewards a trajectory, each standardised before they are summed (GDPO)."""

from __future__ import annotations

import numpy as np

from agentgym.credit.kernels.normalise import Norm, normalise
from agentgym.credit.segments import FloatArray, IntArray


def normalise_then_sum(rewards: FloatArray, weights: FloatArray, group: IntArray, norm: Norm) -> FloatArray:
    """``s_i = Σ_c w_c z_g(R_{i,c})`` standardised over the batch; shape (N,).

    Args:
        rewards: Shape (N, C); NaN where a reward doesn't apply.
        weights: Shape (C,).
        group: Group index, shape (N,).
        norm: Used in the group and again over the batch.
    """
    total = np.zeros(len(rewards))
    for column, weight in zip(rewards.T, weights, strict=True):
        known = ~np.isnan(column)
        scaled = normalise(np.where(known, column, 0.0), group, norm, known.astype(np.float64))
        total += weight * np.where(known, scaled, 0.0)
    return normalise(total, np.zeros(len(rewards), dtype=np.int64), norm)
