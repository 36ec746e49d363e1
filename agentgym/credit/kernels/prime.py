"""PRIME: two leave-one-out streams, process rewards a token and the outcome at the end, added up to returns."""

from __future__ import annotations

import numpy as np

from agentgym.credit.kernels.normalise import group_count, leave_one_out
from agentgym.credit.segments import BoolArray, FloatArray, IntArray, segment_ids, segment_sum


def process_stream(reward: FloatArray, mask: BoolArray, offsets: IntArray, group: IntArray) -> FloatArray:
    """``x'_t = n/(n−1) x_t − 1/(n−1) Σ_j b_j`` with b_j the mean of x over the policy tokens of response j; shape (T,).

    That is x_t minus the others' mean token reward and minus the response's own share of the correction. A group of one
    gives 0. 0 where the mask is 0. (https://arxiv.org/abs/2502.01456)

    Args:
        reward: x, shape (T,).
        mask: Policy tokens, shape (T,).
        offsets: Tokens of each response, shape (N + 1,).
        group: Group index of each response, shape (N,).
    """
    tokens = segment_sum(mask, offsets)
    mean = segment_sum(np.where(mask, reward, 0.0), offsets) / np.maximum(tokens, 1)
    n = group_count(group)[group]
    others = np.bincount(group, mean)[group] if len(group) else mean
    own = segment_ids(offsets)
    scale, shift = n / np.maximum(n - 1, 1), others / np.maximum(n - 1, 1)
    return np.where(mask & (n > 1)[own], scale[own] * reward - shift[own], 0.0)


def outcome_stream(outcome: FloatArray, last_token: IntArray, group: IntArray, size: int) -> FloatArray:
    """``R_i − mean of the others' R`` at the last policy token of each response; shape (T,). A group of one gives 0."""
    out = np.zeros(size)
    placed = last_token >= 0
    out[last_token[placed]] = (outcome - leave_one_out(outcome, group))[placed]
    return out
