"""Centring and scaling inside groups: the population, ddof, eps and singleton rule that methods differ by."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from agentgym.credit.parameters import NotNegative, Parameters
from agentgym.credit.segments import BoolArray, FloatArray, IntArray

Scale = Literal["none", "group", "batch"]
Singleton = Literal["zero", "raw"]


@dataclass(frozen=True, repr=False)
class Norm(Parameters):
    """How values are compared with those of their group.

    Args:
        scale: Divide by nothing, by the group's standard deviation, or by the whole batch's.
        ddof: 1 for the unbiased variance, 0 for the population's.
        eps: Added to the standard deviation.
        variance_eps: Added to the variance, inside the root.
        singleton: What a group of one gets: zero, or its raw value as some released code has it.
    """

    scale: Scale = "group"
    ddof: Literal[0, 1] = 1
    eps: NotNegative = 1e-6
    variance_eps: NotNegative = 0.0
    singleton: Singleton = "zero"

    def __repr__(self) -> str:
        changed = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]
        return f"Norm({', '.join(changed)})"


CENTRE = Norm(scale="none")
"""Subtract the group's mean and nothing else."""


def group_count(group: IntArray, weight: FloatArray | None = None) -> FloatArray:
    """Number of rows (or sum of weights) of each group 0..G-1."""
    size = int(group.max(initial=-1)) + 1
    return np.bincount(group, weights=weight, minlength=size).astype(np.float64)


def group_mean(x: FloatArray, group: IntArray, weight: FloatArray | None = None) -> FloatArray:
    """Mean (or weighted mean) of each group 0..G-1; 0 for a group without weight; shape (G,)."""
    n = group_count(group, weight)
    total = np.bincount(group, weights=x if weight is None else x * weight, minlength=len(n))
    return _divide(total.astype(np.float64), n)


def deviation(x: FloatArray, group: IntArray, weight: FloatArray | None = None) -> FloatArray:
    """``x - mean(group)``, exactly 0 where a group's values are all equal; shape (rows,).

    The exact zero keeps rounding noise from being blown up by a later division by a tiny standard deviation.
    """
    size = int(group.max(initial=-1)) + 1
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    rows = slice(None) if weight is None else weight > 0
    np.minimum.at(low, group[rows], x[rows])
    np.maximum.at(high, group[rows], x[rows])
    flat = (low >= high)[group] & (x == low[group])
    return np.where(flat, 0.0, x - group_mean(x, group, weight)[group])


def _scale_of(spread: FloatArray, group: IntArray, norm: Norm, weight: FloatArray | None) -> FloatArray:
    """Standard deviation of each group, shape (G,), from deviations; 1 where a group has at most ``ddof`` rows."""
    n = group_count(group, weight)
    squares = spread**2 if weight is None else spread**2 * weight
    variance = np.bincount(group, weights=squares, minlength=len(n)) / np.maximum(n - norm.ddof, 1)
    return np.where(n > norm.ddof, np.sqrt(variance + norm.variance_eps) + norm.eps, 1.0)


def normalise(x: FloatArray, group: IntArray, norm: Norm, weight: FloatArray | None = None) -> FloatArray:
    """Values relative to their group: ``(x - mean_g) / (sqrt(var_g + variance_eps) + eps)``.

    A group of one gives 0 (or its raw value); a group of equal values gives exactly 0; a zero divisor gives 0.

    Args:
        x: Values, shape (rows,).
        group: Group index 0..G-1 of each row.
        norm: Scale, ddof, eps and singleton rule.
        weight: How often each row counts in the statistics (once by default). Rows of weight 0 are compared with
            the statistics of the others.

    Returns:
        Shape (rows,).
    """
    spread = deviation(x, group, weight)
    if norm.scale == "group":
        scaled = _divide(spread, _scale_of(spread, group, norm, weight)[group])
    elif norm.scale == "batch":
        one = np.zeros(len(x), dtype=np.int64)
        scaled = _divide(spread, _scale_of(deviation(x, one, weight), one, norm, weight)[one])
    else:
        scaled = spread
    alone = 0.0 if norm.singleton == "zero" else _raw_singletons(x, norm)
    return np.where(group_count(group, weight)[group] <= 1, alone, scaled)


def _raw_singletons(x: FloatArray, norm: Norm) -> FloatArray:
    """A lone value with mean 0 and standard deviation 1, as released code has it: only eps still divides."""
    return x if norm.scale == "none" else x / (1.0 + norm.eps)


def _divide(x: FloatArray, by: FloatArray) -> FloatArray:
    return np.divide(x, by, out=np.zeros_like(x), where=by > 0)


def leave_one_out(x: FloatArray, group: IntArray, singleton: Singleton = "zero") -> FloatArray:
    """Mean of the *other* rows of the group; shape (rows,).

    ``b_i = (sum_g x - x_i) / (n - 1)``. A group of one has no others: its baseline is its own value (so that the
    difference is zero), or 0 with ``singleton="raw"``.
    """
    n = group_count(group)[group]
    alone = x if singleton == "zero" else np.zeros_like(x)
    spread = deviation(x, group)
    return np.where(n > 1, x - spread * (n / np.maximum(n - 1, 1)), alone)


def whiten(x: FloatArray, where: BoolArray, *, eps: float = 1e-8) -> FloatArray:
    """Zero mean and unit variance over the rows where ``where`` holds, and exactly 0 elsewhere; shape (rows,).

    ``(x - mean) / sqrt(var + eps)`` with the unbiased variance. Fewer than two rows, or equal values, give 0.
    """
    n = int(where.sum())
    if n < 2:
        return np.zeros(len(x))
    inside = x[where]
    if inside.min() == inside.max():
        return np.zeros(len(x))
    spread = inside - inside.mean()
    out = np.zeros(len(x))
    out[where] = spread / np.sqrt(spread @ spread / (n - 1) + eps)
    return out
