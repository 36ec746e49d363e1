"""iStar's released estimators, whose step baseline only sees the first step of each trajectory.

`agentgym.credit.kernels.implicit` and `normalise` give the paper's form.
"""

from __future__ import annotations

import numpy as np

from agentgym.credit.kernels.normalise import Norm, group_count, normalise
from agentgym.credit.segments import BoolArray, FloatArray, IntArray


def first_row_centred(x: FloatArray, turn_group: IntArray, is_first: BoolArray, norm: Norm) -> FloatArray:
    """Each turn's value relative to mean (and deviation) of the *first* turns of the group's trajectories; shape (K,).

    The docstring of the release says all steps. A group of one trajectory keeps its raw values with
    ``norm.singleton="raw"``, as released.
    """
    return normalise(x, turn_group, norm, is_first.astype(np.float64))


def first_row_rloo(x: FloatArray, turn_group: IntArray, is_first: BoolArray) -> FloatArray:
    """``n/(n−1) (x − mean of first turns)`` with n trajectories; raw values where n is 1; shape (K,)."""
    n = group_count(turn_group, is_first.astype(np.float64))[turn_group]
    centred = first_row_centred(x, turn_group, is_first, Norm(scale="none", singleton="raw"))
    return centred * np.where(n > 1, n / np.maximum(n - 1, 1), 1.0)


def whitened_turns(x: FloatArray, tokens: FloatArray) -> FloatArray:
    """Turn values whitened over the policy tokens that carry them, batch-wide; shape (K,)."""
    return normalise(x, np.zeros(len(x), dtype=np.int64), Norm(eps=0.0, variance_eps=1e-8), tokens)
