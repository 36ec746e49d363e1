"""iStar's released estimators, whose step baseline only sees the first step of each trajectory.

`agentgym.credit.kernels.implicit` and `normalise` give the paper's form.
"""

from __future__ import annotations

import numpy as np

from agentgym.credit.kernels.normalise import Norm, group_count, normalise, whiten
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


def whitened_turns(x: FloatArray, tokens: IntArray, turn_of_token: IntArray, mask: BoolArray) -> FloatArray:
    """Turn values whitened over the policy tokens that carry them; shape (K,). A turn without tokens gets 0."""
    spread = np.where(mask, x[turn_of_token], 0.0)
    white = whiten(spread, mask)
    total = np.bincount(turn_of_token[mask], weights=white[mask], minlength=len(x))
    return total / np.maximum(tokens, 1)
