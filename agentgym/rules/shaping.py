"""Shaping of rewards: potential-based, and PAR's bounded preference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise


def potential_shaping(potentials: Sequence[float], *, gamma: float = 1.0, terminal_zero: bool = False) -> list[float]:
    """Shaping rewards ``F_k = γ·Φ(s_{k+1}) - Φ(s_k)``, which telescope: ``Σ γ^k F_k = γ^K Φ(s_K) - Φ(s_0)``.

    Going round in a circle earns nothing. With ``terminal_zero`` the optimal policy is provably unchanged (Ng, Harada
    and Russell 1999, https://people.eecs.berkeley.edu/~russell/papers/icml99-shaping.pdf); without it the progress
    reached at the end is kept as a reward.

    Args:
        potentials: K + 1 values: before the first turn, then after every turn.
        gamma: Discount of the returns that the rewards go into.
        terminal_zero: Count the last state's potential as 0. For terminated episodes, not for truncated ones.

    Returns:
        K values, one a turn.

    Raises:
        ValueError: No potential at all, or one that isn't finite.
    """
    if not potentials:
        raise ValueError("potentials is empty; expected the one before the first turn and one after every turn.")
    for index, value in enumerate(potentials):
        if not math.isfinite(value):
            raise ValueError(f"potentials must be finite, got {value} at index {index}.")
    values = [*potentials[:-1], 0.0] if terminal_zero and len(potentials) > 1 else list(potentials)
    return [gamma * after - before for before, after in pairwise(values)]


def preference_as_reward(reward: float, references: Sequence[float]) -> float:
    """PAR: ``(1/M) Σ_m σ(r - r_m)``, in (0, 1): how likely the response is preferred to M reference responses.

    Bounded, steep near the references and flat far above them, so that an overestimated reward can't run away
    (https://arxiv.org/abs/2502.18770). The paper finds one reference enough.

    Args:
        reward: Score of the response by a reward model (unbounded, Bradley-Terry logit).
        references: Scores of reference responses to the same prompt by the same model.

    Raises:
        ValueError: No references, or a score that is NaN.
    """
    if not references:
        raise ValueError("references is empty; expected the score of at least one reference response.")
    if any(math.isnan(value) for value in (reward, *references)):
        raise ValueError(f"Scores must be numbers, got reward={reward} and references={list(references)}.")
    return math.fsum(_sigmoid(reward - reference) for reference in references) / len(references)


def _sigmoid(value: float) -> float:
    if math.isnan(value):
        return 0.5  # inf - inf: both unboundedly good, neither preferred
    shrunk = math.exp(-abs(value))
    return 1 / (1 + shrunk) if value >= 0 else shrunk / (1 + shrunk)
