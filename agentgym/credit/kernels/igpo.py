"""IGPO: a turn is worth what it adds to the policy's belief in the accepted answer.

Paper: https://arxiv.org/abs/2510.14967.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentgym.credit.kernels.normalise import Norm, normalise
from agentgym.credit.segments import FloatArray, IntArray, discounted_to_go, next_in_segment

Gain = Literal["prob", "log_prob"]


def information_gain(belief: FloatArray, turn_offsets: IntArray, gain: Gain = "prob") -> FloatArray:
    """What each turn adds to the belief: ``exp b_{k+1} − exp b_k`` (``prob``) or ``b_{k+1} − b_k`` (``log_prob``).

    K beliefs, each measured before its turn, make K − 1 gains: the last turn's is NaN (absent), as is every gain next
    to an absent belief. A gain of 0 is a measured zero.

    Args:
        belief: Mean log-probability of the answer before each turn, at most 0, shape (K,).
        turn_offsets: Turns of each trajectory, shape (N + 1,).
        gain: Differences of probabilities or of log-probabilities.

    Returns:
        Shape (K,).
    """
    level = np.exp(belief) if gain == "prob" else belief
    return next_in_segment(level, turn_offsets, np.nan) - level


def normalised_turn_rewards(
    gain: FloatArray, outcome_at_end: FloatArray, turn_group: IntArray, norm: Norm, *, joint: bool
) -> FloatArray:
    """Gains and outcomes standardised inside the group, one value a turn.

    ``joint``: one population of all gains and outcomes; otherwise gains among gains, outcomes among outcomes.

    Args:
        gain: Shape (K,); NaN where absent (never in a population; contributes 0).
        outcome_at_end: Shape (K,); the outcome on last turns, NaN elsewhere.
        turn_group: Group index of each turn, shape (K,).
        norm: Scale, ddof, eps.
        joint: Which population.

    Returns:
        Shape (K,).
    """
    is_gain, is_outcome = ~np.isnan(gain), ~np.isnan(outcome_at_end)
    gains, outcomes = np.where(is_gain, gain, 0.0), np.where(is_outcome, outcome_at_end, 0.0)
    if joint:
        weight = (is_gain | is_outcome).astype(np.float64)
        return np.where(weight > 0, normalise(gains + outcomes, turn_group, norm, weight), 0.0)
    scaled_gain = normalise(gains, turn_group, norm, is_gain.astype(np.float64))
    scaled_outcome = normalise(outcomes, turn_group, norm, is_outcome.astype(np.float64))
    return np.where(is_gain, scaled_gain, 0.0) + np.where(is_outcome, scaled_outcome, 0.0)


def accumulate(turn_reward: FloatArray, turn_offsets: IntArray, gamma: float) -> FloatArray:
    """``Â_k = r̃_k + γ Â_{k+1}``, after normalising; shape (K,)."""
    return discounted_to_go(turn_reward, turn_offsets, gamma)
