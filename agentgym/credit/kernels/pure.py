"""PURE: an episode is worth its weakest step, not the sum of its steps.

Paper: https://arxiv.org/abs/2504.15275.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentgym.credit.kernels.normalise import leave_one_out
from agentgym.credit.segments import (
    BoolArray,
    FloatArray,
    IntArray,
    discounted_to_go,
    min_to_go,
    segment_ids,
    segment_sum,
)

Baseline = Literal["token", "step"]


def score_from_logits(logits: FloatArray) -> FloatArray:
    """``softmax(logits)[1] − softmax(logits)[0]`` in [−1, 1]; shape (K, 2) to (K,)."""
    return np.tanh((logits[:, 1] - logits[:, 0]) / 2.0)


def softmin_weighted(score: FloatArray, offsets: IntArray, temperature: float | None) -> FloatArray:
    """``r*_k = w_k p_k`` with ``w = softmax(−p / T)`` over the steps of the episode; shape (K,).

    ``Σ_k r*_k`` tends to ``min_k p_k`` as T falls to 0 and to the mean as it grows; None takes the mean outright. Sums
    lie between the least and the greatest score.

    Args:
        score: p, shape (K,); no episode is empty.
        offsets: Steps of each episode, shape (N + 1,).
        temperature: T above 0, or None.
    """
    if not len(score):
        return score
    own = segment_ids(offsets)
    lowest = np.minimum.reduceat(score, offsets[:-1])[own]
    weight = np.ones(len(score)) if temperature is None else np.exp((lowest - score) / temperature)
    return score * weight / segment_sum(weight, offsets)[own]


def centred_steps(
    reward: FloatArray, length: FloatArray, offsets: IntArray, group: IntArray, baseline: Baseline
) -> FloatArray:
    """Step rewards minus what the other episodes of the group earn in the same stretch; shape (K,).

    ``token``: minus (length of the step) × (the others' mean reward a token). ``step``: minus the others' mean reward a
    step. A group of one gives 0.

    Args:
        reward: Shape (K,).
        length: Policy tokens of each step, shape (K,).
        offsets: Steps of each episode, shape (N + 1,).
        group: Group index of each episode, shape (N,).
        baseline: Which of the two.
    """
    unit = length if baseline == "token" else np.ones(len(reward))
    rate = segment_sum(reward, offsets) / np.maximum(segment_sum(unit, offsets), 1)
    centred = reward - leave_one_out(rate, group)[segment_ids(offsets)] * unit
    return np.where(_alone(group)[segment_ids(offsets)], 0.0, centred)


def _alone(group: IntArray) -> BoolArray:
    """Whether each episode is the only one of its group; shape (N,)."""
    return np.asarray(np.bincount(group)[group] == 1)


def weakest_step_to_go(score: FloatArray, offsets: IntArray, group: IntArray) -> FloatArray:
    """``min_{j≥k} p_j`` minus the others' mean of the same over their steps; shape (K,). A group of one gives 0.

    An absent score (NaN) is never the weakest; steps after which no score is known get 0.
    """
    to_go = min_to_go(np.where(np.isnan(score), np.inf, score), offsets)
    known = np.isfinite(to_go)
    to_go = np.where(known, to_go, 0.0)
    mean = segment_sum(to_go, offsets) / np.maximum(segment_sum(known, offsets), 1)
    compared = known & ~_alone(group)[segment_ids(offsets)]
    return np.where(compared, to_go - leave_one_out(mean, group)[segment_ids(offsets)], 0.0)


def released_token_advantage(
    reward: FloatArray,
    mask: BoolArray,
    offsets: IntArray,
    group: IntArray,
    aggregate: Literal["sum", "min"],
    padded_length: int,
) -> FloatArray:
    """PURE's verl branch: token returns minus the others' summed returns over ``(n−1) · padded length``; shape (T,).

    ``min`` takes the smallest token reward from here to the end of the row, padding included, so a later 0 caps every
    positive reward. The baseline depends on how far the batch is padded. A group of one, 0/0 there, gives 0.
    """
    to_go = min_to_go(reward, offsets) if aggregate == "min" else discounted_to_go(reward, offsets, 1.0)
    to_go = np.where(mask, to_go, 0.0)
    mean = segment_sum(to_go, offsets) / max(padded_length, 1)
    alone = _alone(group)[segment_ids(offsets)]
    return np.where(mask & ~alone, to_go - leave_one_out(mean, group)[segment_ids(offsets)], 0.0)
