"""Implicit step rewards: how much likelier a reward model's policy finds what was written.

OPRL (iStar), https://arxiv.org/abs/2509.19199.
"""

from __future__ import annotations

import numpy as np

from agentgym.credit.segments import BoolArray, FloatArray, IntArray, discounted_to_go, span_sum


def implicit_token_reward(prm_logprob: FloatArray, logprob: FloatArray, mask: BoolArray, beta: float) -> FloatArray:
    """``β (log π_φ − log π_ref)`` on policy tokens, 0 elsewhere; shape (T,)."""
    return np.where(mask, beta * (prm_logprob - logprob), 0.0)


def implicit_step_reward(
    prm_logprob: FloatArray, logprob: FloatArray, mask: BoolArray, start: IntArray, end: IntArray, beta: float
) -> FloatArray:
    """``r_k = β Σ_{tokens of turn k} (log π_φ − log π_old)``; shape (K,). A turn without policy tokens gives 0."""
    return span_sum(implicit_token_reward(prm_logprob, logprob, mask, beta), start, end)


def scale_by_largest(reward: FloatArray, offsets: IntArray, *, eps: float = 1e-6) -> FloatArray:
    """Released ``batch_norm``: divided by the batch's largest absolute reward-to-go plus eps; shape like ``reward``.

    The released code takes the largest of the rows that one worker happens to hold, so it depends on the sharding.
    """
    to_go = discounted_to_go(reward, offsets, 1.0)
    return reward / (float(np.abs(to_go).max(initial=0.0)) + eps)
