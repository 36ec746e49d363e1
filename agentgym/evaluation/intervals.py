"""Confidence intervals of what an evaluation measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Z95 = 1.959963984540054


class Interval(NamedTuple):
    """An estimate with its 95% confidence interval."""

    value: float
    low: float
    high: float


def wilson(successes: int, n: int) -> Interval:
    """Wilson's score interval of a proportion; sensible at 0 and n, where the usual ± isn't.

    Raises:
        ValueError: ``n`` is 0, or there are more successes than that.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"Expected 0 <= successes <= n and n > 0, got {successes} of {n}.")
    p = successes / n
    spread = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    centre = p + Z95**2 / (2 * n)
    # exact at the ends, where rounding would leave 1e-17
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return Interval(p, low, high)


def mean_interval(values: Sequence[float], groups: Sequence[int] | None = None) -> Interval:
    """Mean with a normal interval; with ``groups``, the standard error is clustered by them.

    Several episodes on one task are not independent: give the task as the group. Values of one group only, or a
    single value, have no interval that can be known: it is infinite.
    """
    x = np.asarray(values, dtype=np.float64)
    if not len(x):
        raise ValueError("The mean of nothing is unknown.")
    centred = x - x.mean()
    sums = centred if groups is None else np.bincount(np.unique(np.asarray(groups), return_inverse=True)[1], centred)
    c = len(sums)
    if c < 2:
        return Interval(float(x.mean()), -math.inf, math.inf)
    error = math.sqrt(float((sums**2).sum()) * c / (c - 1)) / len(x)
    return Interval(float(x.mean()), float(x.mean() - Z95 * error), float(x.mean() + Z95 * error))
