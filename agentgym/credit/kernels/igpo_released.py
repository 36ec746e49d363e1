"""IGPO as its released code, its early attempt and one re-implementation compute it.

Kept so that published runs can be reproduced and compared; `agentgym.credit.kernels.igpo` is the paper's form.
"""

from __future__ import annotations

import numpy as np

from agentgym.credit.kernels.igpo import normalised_turn_rewards
from agentgym.credit.kernels.normalise import Norm, group_count, group_mean, normalise
from agentgym.credit.segments import (
    BoolArray,
    FloatArray,
    IntArray,
    discounted_to_go,
    fill_spans,
    position_in_segment,
    segment_ids,
    segment_sum,
)

ZERO_GAIN = 1e-10
"""What the release writes for a gain of exactly 0, so that its test for non-zero rewards still sees the turn."""


def released_advantage(
    token_reward: FloatArray,
    mask: BoolArray,
    offsets: IntArray,
    group: IntArray,
    norm: Norm,
    gamma: float,
    *,
    joint: bool,
    outcome_weight: float = 1.0,
    gain_weight: float = 1.0,
) -> FloatArray:
    """Release of February 2026: turns are found by non-zero rewards, the outcome by counting policy tokens.

    The outcome is taken to stand at index ``Σ mask − 1`` of the trajectory, which is wrong when environment tokens are
    masked inside it: then the true outcome counts as a gain and 0 as the outcome. Non-zero rewards elsewhere are
    gains. After standardising, a token whose value is exactly 0 is no longer a turn's end.

    Args:
        token_reward: Gains and outcomes at the last token of their turn, shape (T,).
        mask: Policy tokens, shape (T,).
        offsets: Tokens of each trajectory, shape (N + 1,).
        group: Group index of each trajectory, shape (N,).
        norm: Standardisation.
        gamma: Discount a turn.
        joint: One population of gains and outcomes, or two.
        outcome_weight: Curriculum weight of the outcome, applied before standardising.
        gain_weight: Curriculum weight of the gains.

    Returns:
        Shape (T,), 0 where the mask is 0.
    """
    count = segment_sum(mask, offsets).astype(np.int64)
    is_outcome = np.zeros(len(mask), dtype=np.bool_)
    is_outcome[(offsets[:-1] + count - 1)[count > 0]] = True
    rows = np.flatnonzero(is_outcome | (token_reward != 0.0))
    at_outcome = is_outcome[rows]
    value = token_reward[rows] * np.where(at_outcome, outcome_weight, gain_weight)
    trajectory = np.searchsorted(offsets, rows, side="right") - 1
    gain, outcome = np.where(at_outcome, np.nan, value), np.where(at_outcome, value, np.nan)
    scaled = normalised_turn_rewards(gain, outcome, group[trajectory], norm, joint=joint)
    kept = scaled != 0.0
    ends, scaled, trajectory = rows[kept], scaled[kept], trajectory[kept]
    total = discounted_to_go(scaled, np.searchsorted(ends, offsets), gamma)
    first = np.diff(trajectory, prepend=-1) != 0
    start = np.where(first, offsets[trajectory], np.append(0, ends[:-1] + 1))
    return np.where(mask, fill_spans(total, start, ends + 1, len(mask)), 0.0)


def early_first_position(
    token_reward: FloatArray, mask: BoolArray, offsets: IntArray, group: IntArray, gamma: float, eps: float = 1e-6
) -> FloatArray:
    """Early attempt, discounted form: token returns standardised by the group's returns at the first token; shape (T,).

    The discount ticks a token, so long turns lose their reward. A group of one is centred by its own first return.
    """
    to_go = discounted_to_go(token_reward, offsets, gamma)
    first = to_go[offsets[:-1]]
    n, mean = group_count(group), group_mean(first, group)
    spread = np.bincount(group, weights=(first - mean[group]) ** 2, minlength=len(n))
    std = np.where(n > 1, np.sqrt(spread / np.maximum(n - 1, 1)), 1.0)
    owner = group[segment_ids(offsets)]
    return np.where(mask, (to_go - mean[owner]) / (std[owner] + eps), 0.0)


def early_position_centred(token_reward: FloatArray, mask: BoolArray, offsets: IntArray, group: IntArray) -> FloatArray:
    """Early attempt, centred form: token returns minus the group's mean at the same token index; shape (T,).

    Shorter siblings count as 0 there, as in a padded matrix.
    """
    to_go = discounted_to_go(token_reward, offsets, 1.0)
    position = position_in_segment(offsets)
    width = int(position.max(initial=-1)) + 1
    cell = group[segment_ids(offsets)] * width + position
    mean = np.bincount(cell, weights=to_go, minlength=1)[cell] / group_count(group)[group[segment_ids(offsets)]]
    return np.where(mask, to_go - mean, 0.0)


def fireworks_turn_reward(gain: FloatArray, outcome: FloatArray, turn_group: IntArray, eps: float = 1e-6) -> FloatArray:
    """Fireworks' re-implementation: both signals standardised over *all* turns of the group, zeros included, and added.

    A group of one, or a standard deviation below eps, gives 0. Every turn gets both terms.

    Args:
        gain: Shape (K,), 0 on last turns.
        outcome: Shape (K,), 0 on all but last turns.
        turn_group: Group index of each turn, shape (K,).
        eps: Smallest standard deviation (population) that counts, and added to it.
    """
    return _standardised(gain, turn_group, eps) + _standardised(outcome, turn_group, eps)


def _standardised(x: FloatArray, group: IntArray, eps: float) -> FloatArray:
    mean = group_mean(x, group)[group]
    std = np.sqrt(group_mean((x - mean) ** 2, group))[group]
    scaled = normalise(x, group, Norm(ddof=0, eps=eps))
    return np.where(std < eps, 0.0, scaled)
