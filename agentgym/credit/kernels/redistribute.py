"""One reward spread over the tokens that earned it: by a reward model's attention (ABC), by its prefix scores (RED)."""

from __future__ import annotations

import numpy as np

from agentgym.credit.errors import CreditError
from agentgym.credit.segments import BoolArray, FloatArray, IntArray, segment_ids, segment_sum


def attention_distribution(attention: FloatArray, query_length: int, response_length: int) -> FloatArray:
    """Last response row of an attention matrix, restricted to the response and renormalised; shape (response_length,).

    Args:
        attention: Mean over the heads of the last layer, shape (L, L).
        query_length: Tokens before the response.
        response_length: Tokens of the response.

    Raises:
        CreditError: The matrix is smaller than query and response.
    """
    end = query_length + response_length
    if attention.ndim != 2 or min(attention.shape) < end:
        raise CreditError(f"Attention has shape {attention.shape}; expected at least ({end}, {end}).")
    row = attention[end - 1, query_length:end]
    return row / row.sum() if row.sum() > 0 else np.full(response_length, 1.0 / max(response_length, 1))


def by_attention(
    reward: FloatArray, attention: FloatArray, mask: BoolArray, offsets: IntArray, last_token: IntArray, beta: float
) -> FloatArray:
    """``r_k = β R a_k + (1 − β) R [k is last]`` with a the attention, renormalised over policy tokens; shape (T,).

    The sum over an episode is R. Where no policy token gets any attention, all of R stands at the last one. An episode
    without a policy token gets nothing. (ABC, https://arxiv.org/abs/2402.00782)

    Args:
        reward: R, shape (N,).
        attention: Not negative, shape (T,).
        mask: Policy tokens, shape (T,).
        offsets: Tokens of each episode, shape (N + 1,).
        last_token: Last policy token of each episode, -1 for none, shape (N,).
        beta: Share that is spread.
    """
    weight = np.where(mask, attention, 0.0)
    total = segment_sum(weight, offsets)
    own = segment_ids(offsets)
    spread = beta * np.divide(weight, total[own], out=np.zeros(len(weight)), where=total[own] > 0)
    out = spread * reward[own]
    placed = last_token >= 0
    out[last_token[placed]] += ((1.0 - np.where(total > 0, beta, 0.0)) * reward)[placed]
    return out


def by_prefix_score(
    score: FloatArray,
    start_score: FloatArray,
    mask: BoolArray,
    offsets: IntArray,
    reward: FloatArray,
    last_token: IntArray,
    beta: float,
) -> FloatArray:
    """``r_k = β (s after k − s before k) + (1 − β) R [k is last]``; shape (T,).

    A policy token also gets what the environment's answer to it adds: "after k" is just before the next policy token.
    The differences telescope to the final score minus the score before the first policy token.
    (RED, https://arxiv.org/abs/2411.08302; no code was found)

    Args:
        score: Reward model's score of the text up to and with each token, shape (T,).
        start_score: Its score before the first token, shape (N,).
        mask: Policy tokens, shape (T,).
        offsets: Tokens of each episode, shape (N + 1,).
        reward: R, shape (N,).
        last_token: Last policy token of each episode, -1 for none, shape (N,).
        beta: Share that is redistributed.
    """
    rows = np.flatnonzero(mask)
    own = segment_ids(offsets)[rows]
    is_first_token = rows == offsets[own]
    before = np.where(is_first_token, start_score[own], score[rows - 1])
    final = np.append(own[1:] != own[:-1], True) if len(rows) else np.zeros(0, dtype=np.bool_)
    after = np.where(final, score[offsets[own + 1] - 1], np.append(before[1:], 0.0))
    out = np.zeros(len(mask))
    out[rows] = beta * (after - before)
    placed = last_token >= 0
    out[last_token[placed]] += ((1.0 - beta) * reward)[placed]
    return out
