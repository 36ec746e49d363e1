"""Generalised advantage estimation over tokens, over turns, and over both (bi-level)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agentgym.credit.segments import (
    BoolArray,
    FloatArray,
    IntArray,
    discounted_to_go,
    next_in_segment,
    segment_ids,
    segment_sum,
)


class Estimate(NamedTuple):
    """Advantages and the returns that a critic should regress on."""

    advantage: FloatArray
    returns: FloatArray


def gae(
    reward: FloatArray,
    value: FloatArray,
    offsets: IntArray,
    gamma: float,
    lam: float,
    bootstrap: FloatArray | float = 0.0,
) -> Estimate:
    """GAE over the rows of each segment.

    ``δ_t = r_t + γ V_{t+1} − V_t``, ``A_t = δ_t + γλ A_{t+1}``, ``R_t = A_t + V_t``. λ = 1 gives the discounted
    return minus the value, λ = 0 the one-step error. (Schulman et al., https://arxiv.org/abs/1506.02438)

    Args:
        reward: r_t for t in [0, T-1], shape (rows,).
        value: V_t, shape (rows,).
        offsets: Segment boundaries, shape (segments + 1,).
        gamma: Discount in [0, 1].
        lam: λ in [0, 1].
        bootstrap: V after the last row of each segment: 0 where the episode terminated.

    Returns:
        Shape (rows,) each. A segment of one row gives ``r + γ V_end − V``.
    """
    delta = reward + gamma * next_in_segment(value, offsets, bootstrap) - value
    advantage = discounted_to_go(delta, offsets, gamma * lam)
    return Estimate(advantage, advantage + value)


def masked_gae(
    reward: FloatArray,
    value: FloatArray,
    mask: BoolArray,
    offsets: IntArray,
    gamma: float,
    lam: float,
    bootstrap: FloatArray | float = 0.0,
) -> Estimate:
    """GAE over the policy tokens only: tokens of the environment neither pass a value on nor count as a step in time.

    Rewards and values where the mask is 0 are ignored, and both outputs are 0 there; shape (T,) each.
    """
    kept = np.concatenate([[0], np.cumsum(segment_sum(mask, offsets))]).astype(np.int64)
    found = gae(reward[mask], value[mask], kept, gamma, lam, bootstrap)
    advantage, returns = np.zeros(len(mask)), np.zeros(len(mask))
    advantage[mask], returns[mask] = found
    return Estimate(advantage, returns)


def bilevel_gae(
    turn_reward: FloatArray,
    value: FloatArray,
    mask: BoolArray,
    turn_of_token: IntArray,
    last_token: IntArray,
    turn_offsets: IntArray,
    gamma: float,
    lam: float,
    turn_gamma: float,
    bootstrap: FloatArray | float = 0.0,
) -> Estimate:
    """GAE over turns, whose returns then are the rewards of a GAE over the tokens of each turn.

    Turns: ``δ_k = r_k + γ_h V(e_{k+1}) − V(e_k)`` and ``A_k = δ_k + γ_h λ A_{k+1}``, with e_k the last token of turn k.
    Tokens of turn k: `gae` with reward ``A_k + V(e_k)`` at e_k and 0 before, ending there.
    With one turn a trajectory this is token GAE. (RAGEN, VAGEN)

    Args:
        turn_reward: r_k, shape (K,). A reward of 0 is a turn like any other.
        value: V at each token, shape (T,).
        mask: Policy tokens, shape (T,).
        turn_of_token: Turn of each token, -1 outside; shape (T,).
        last_token: e_k, shape (K,); -1 for a turn without a policy token, which then is skipped.
        turn_offsets: Turns of each trajectory, shape (N + 1,).
        gamma: Discount between tokens of a turn.
        lam: λ at both levels.
        turn_gamma: γ_h, discount between turns.
        bootstrap: V after the last turn of each trajectory.

    Returns:
        Shape (T,) each, 0 where the mask is 0.
    """
    has_token = last_token >= 0
    trajectory = segment_ids(turn_offsets)[has_token]
    offsets = np.searchsorted(trajectory, np.arange(len(turn_offsets)))
    ends = last_token[has_token]
    high = gae(turn_reward[has_token], value[ends], offsets, turn_gamma, lam, bootstrap)
    reward = np.zeros(len(mask))
    reward[ends] = high.returns
    inside = mask & (turn_of_token >= 0)
    starts = np.flatnonzero(np.diff(turn_of_token[inside], prepend=-1))
    low = gae(reward[inside], value[inside], np.append(starts, inside.sum()), gamma, lam)
    advantage, returns = np.zeros(len(mask)), np.zeros(len(mask))
    advantage[inside], returns[inside] = low
    return Estimate(advantage, returns)
