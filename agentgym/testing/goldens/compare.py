"""How an output is compared with a golden one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

TOLERANCE = 2e-5
"""Absolute and relative: the references computed in float32."""


class Masked(NamedTuple):
    """A (B, L) output that is only defined where the mask is 1; elsewhere ours must be exactly 0.

    Reference code leaves baselines or whitened zeros on tokens that nobody trains on.
    """

    values: npt.NDArray[np.float64]
    mask: npt.NDArray[np.bool_]
    slack: npt.NDArray[np.float64] | None = None
    """Further absolute tolerance where the reference's own rounding is blown up."""


def disagreement(want: Any, got: Any, tolerance: float) -> tuple[float, str]:
    """Largest absolute error, and what is wrong (empty if nothing is)."""
    if isinstance(got, Masked):
        outside = np.abs(got.values[~got.mask]).max(initial=0.0)
        if outside != 0.0:
            return float(outside), "not exactly 0 where the mask is 0"
        if np.shape(want) != got.mask.shape:
            return 0.0, f"shape {got.mask.shape}, expected {np.shape(want)}"
        slack = 0.0 if got.slack is None else got.slack[got.mask]
        return _arrays(np.asarray(want, dtype=np.float64)[got.mask], got.values[got.mask], tolerance, slack)
    if isinstance(want, Mapping):
        return _worst([(want[key], got.get(key)) for key in want], tolerance)
    if _is_numeric(want):
        return _arrays(np.asarray(want, dtype=np.float64), np.asarray(got, dtype=np.float64), tolerance)
    if isinstance(want, Sequence) and not isinstance(want, str):
        if len(want) != len(got):
            return 0.0, f"{len(got)} values, expected {len(want)}"
        return _worst(list(zip(want, got, strict=True)), tolerance)
    return (0.0, "") if want == got else (0.0, f"{got!r}, expected {want!r}")


def _is_numeric(value: Any) -> bool:
    if isinstance(value, Sequence) and not isinstance(value, str):
        try:
            return np.asarray(value).dtype.kind in "biuf"
        except ValueError:  # ragged
            return False
    return isinstance(value, int | float | bool)


def _worst(pairs: list[tuple[Any, Any]], tolerance: float) -> tuple[float, str]:
    worst = 0.0
    for want, got in pairs:
        error, problem = disagreement(want, got, tolerance)
        if problem:
            return error, problem
        worst = max(worst, error)
    return worst, ""


def _arrays(
    want: npt.NDArray[np.float64],
    got: npt.NDArray[np.float64],
    tolerance: float,
    slack: float | npt.NDArray[np.float64] = 0.0,
) -> tuple[float, str]:
    if want.shape != got.shape:
        return 0.0, f"shape {got.shape}, expected {want.shape}"
    if not want.size:
        return 0.0, ""
    error = np.abs(got - want)
    worst = float(np.max(np.where(np.isnan(error), np.inf, error)))
    if (error <= tolerance * (1.0 + np.abs(want)) + slack).all():
        return worst, ""
    where = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
    return worst, f"{got[where]:.7g} at {tuple(int(i) for i in where)}, expected {want[where]:.7g}"
