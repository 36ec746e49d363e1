"""DAPO: soft penalty of overlong responses, and which groups carry signal (https://arxiv.org/abs/2503.14476)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def overlong_penalty(length: int, *, max_length: int, buffer: int, factor: float = 1.0) -> float:
    """0 up to ``max_length - buffer`` tokens, then falling linearly: ``-factor·(length - max_length + buffer)/buffer``.

    At ``max_length`` it is ``-factor``. Longer responses, which a budget of ``max_length`` tokens rules out, go on
    falling.

    Args:
        length: Tokens of the response.
        max_length: Budget of tokens.
        buffer: Tokens before the budget from which the penalty starts.
        factor: Penalty at the budget.

    Raises:
        ValueError: ``buffer`` isn't in [1, max_length].
    """
    if not 1 <= buffer <= max_length:
        raise ValueError(f"buffer must be in [1, max_length={max_length}], got {buffer}.")
    return min(-(length - (max_length - buffer)) / buffer * factor, 0.0)


def informative(outcomes: Sequence[float], groups: Sequence[Hashable], *, tolerance: float = 1e-9) -> list[bool]:
    """Which trajectories are in a group whose outcomes differ (dynamic sampling drops the others).

    Give it the outcome, not the shaped reward: shaped rewards differ in groups that failed altogether, too.

    Args:
        outcomes: One a trajectory.
        groups: Group of each trajectory.
        tolerance: Outcomes that differ by no more than this are equal.

    Returns:
        One flag a trajectory. A group of one is never informative.

    Raises:
        ValueError: The sequences differ in length.
    """
    if len(outcomes) != len(groups):
        raise ValueError(f"outcomes and groups must be equally long, got {len(outcomes)} and {len(groups)}.")
    lowest: dict[Hashable, float] = {}
    highest: dict[Hashable, float] = {}
    for group, outcome in zip(groups, outcomes, strict=True):
        lowest[group] = min(outcome, lowest.get(group, outcome))
        highest[group] = max(outcome, highest.get(group, outcome))
    return [highest[group] - lowest[group] > tolerance for group in groups]
