"""What a credit method returns, and the diagnostics that come with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.kernels.normalise import deviation
from agentgym.credit.segments import FloatArray, segment_sum, span_sum


@dataclass(frozen=True, eq=False)
class Credit:
    """Advantages at the three levels.

    Args:
        token: float64[T]. What the policy loss multiplies; exactly 0 where the token isn't trained.
        turn: float64[K]. Advantage of the turn; for token-level methods the mean over its tokens. 0 on inherited turns.
        trajectory: float64[N]. Mean over the turns that the trajectory owns.
        value_target: float64[T]. What a critic should regress on, for methods that use one; else None.
        diagnostics: See `diagnose`. A figure that can't be known is an absent key.
    """

    token: FloatArray
    turn: FloatArray
    trajectory: FloatArray
    value_target: FloatArray | None = None
    diagnostics: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_turns(cls, batch: Batch, turn: FloatArray) -> Credit:
        """One advantage a turn, carried by each of its trained tokens."""
        turn = np.where(batch.owned, turn, 0.0)
        return cls(batch.over_turns(turn), turn, _trajectory_mean(batch, turn), None, diagnose(batch, turn))

    @classmethod
    def from_trajectories(cls, batch: Batch, trajectory: FloatArray) -> Credit:
        """One advantage a trajectory, carried by all its trained tokens."""
        return cls.from_turns(batch, trajectory[batch.turn_trajectory])

    @classmethod
    def from_tokens(cls, batch: Batch, token: FloatArray, value_target: FloatArray | None = None) -> Credit:
        """One advantage a token.

        Raises:
            CreditError: A trajectory has no tokens: its credit would silently be zero.
        """
        batch.require_tokens()
        token = np.where(batch.trained, token, 0.0)
        turn = _turn_mean(batch, token)
        weight = _turn_mean(batch, np.abs(token))
        return cls(token, turn, _trajectory_mean(batch, turn), value_target, diagnose(batch, turn, weight))


def _turn_mean(batch: Batch, token: FloatArray) -> FloatArray:
    """Mean over the policy tokens of each turn, of values that are 0 on all others."""
    return span_sum(token, batch.turn_start, batch.turn_end) / np.maximum(batch.turn_tokens, 1)


def _trajectory_mean(batch: Batch, turn: FloatArray) -> FloatArray:
    owned = segment_sum(batch.owned, batch.turn_offsets)
    return segment_sum(turn, batch.turn_offsets) / np.maximum(owned, 1)


def diagnose(batch: Batch, turn: FloatArray, weight: FloatArray | None = None) -> dict[str, Any]:
    """Figures that say whether the credit is worth training on.

    - ``no_signal_groups``: share of groups in which nothing gets any credit.
    - ``shaping_only_groups``: share of the groups with known outcomes whose outcomes are all equal and that
      nevertheless train: their signal comes from shaping alone (phantom advantages). Absent without outcomes.
    - ``credit_by_position``: list; share of the absolute credit that falls on the first turn, the second, ...
    - ``sign_agreement``: among turns with credit in trajectories better or worse than their group, the share whose
      sign is the outcome's. Absent where there is none.

    Args:
        batch: The batch.
        turn: float64[K], advantage of each turn.
        weight: float64[K], absolute credit of each turn; by default ``|turn|``.
    """
    weight = np.abs(turn) if weight is None else np.where(batch.owned, weight, 0.0)
    if not batch.n_turns:
        return {}
    per_group = np.bincount(batch.turn_group, weights=weight, minlength=batch.n_groups)
    found: dict[str, Any] = {"no_signal_groups": float(np.mean(per_group == 0.0))}
    position = np.bincount(batch.turn_index, weights=weight)
    total = position.sum()
    found["credit_by_position"] = (position / total if total > 0 else position).tolist()
    unknown = np.bincount(batch.group_index, weights=np.isnan(batch.outcome), minlength=batch.n_groups) > 0
    if unknown.all():
        return found
    better = deviation(np.where(np.isnan(batch.outcome), 0.0, batch.outcome), batch.group_index)
    level = np.bincount(batch.group_index, weights=np.abs(better), minlength=batch.n_groups) == 0
    found["shaping_only_groups"] = float(np.sum(level & ~unknown & (per_group > 0)) / np.sum(~unknown))
    expected = np.where(unknown[batch.group_index], 0.0, better)[batch.turn_trajectory]
    judged = (turn != 0.0) & (expected != 0.0)
    if judged.any():
        found["sign_agreement"] = float(np.mean(np.sign(turn[judged]) == np.sign(expected[judged])))
    return found
