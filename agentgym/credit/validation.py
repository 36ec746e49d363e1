"""Checks that a `Batch` is what it says. Every message names the column and the first bad row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agentgym.credit.columns import Column, Kind, column_info
from agentgym.credit.errors import CreditError
from agentgym.credit.segments import AnyArray, BoolArray, IntArray

if TYPE_CHECKING:
    from agentgym.credit.batch import Batch

MAGNITUDE = 1e12
"""Largest absolute value of any number in a batch. Beyond it squares lose all precision, so it is taken for a bug."""

_ACCEPTED = {"float": "fiub", "int": "iu", "bool": "b"}
_DTYPE = {"float": np.float64, "int": np.int64, "bool": np.bool_}


def as_column(name: str, value: object, kind: Kind, rows: int | None, *, level: str, axes: str = "") -> AnyArray:
    """A read-only array of the column's type, or a `CreditError` that names column and row."""
    array = np.asarray(value)
    if array.size == 0 and array.ndim == 1 and array.dtype == np.float64:
        array = array.astype(_DTYPE.get(kind, np.int64))
    if array.ndim != (2 if axes else 1):
        wanted = f"({level}s, {axes})" if axes else f"({level}s,)"
        raise CreditError(f"Column {name!r} has shape {array.shape}; expected {wanted}.")
    if rows is not None and len(array) != rows:
        raise CreditError(f"Column {name!r} has {len(array)} rows; expected {rows}, one a {level}.")
    if kind == "label":
        array = _as_label(name, array)
    elif kind == "bool" and array.dtype.kind in "iu":
        bad = np.flatnonzero((array != 0) & (array != 1))
        if len(bad):
            raise CreditError(f"Column {name!r}, row {bad[0]}: {array.flat[bad[0]]}; expected True or False.")
        array = array.astype(np.bool_)
    elif array.dtype.kind not in _ACCEPTED[kind]:
        raise CreditError(f"Column {name!r} has dtype {array.dtype}; expected {kind}.")
    else:
        array = array.astype(_DTYPE[kind], copy=False)
    array = array.view()
    array.flags.writeable = False
    return array


def _as_label(name: str, array: AnyArray) -> AnyArray:
    if array.dtype.kind in "iu":
        return array.astype(np.int64, copy=False)
    if array.dtype.kind not in "OU":
        raise CreditError(f"Column {name!r} has dtype {array.dtype}; expected integers or strings.")
    array = array.astype(object, copy=False)
    bad = [row for row, item in enumerate(array) if not isinstance(item, str | int)]
    if bad:
        raise CreditError(f"Column {name!r}, row {bad[0]}: {array[bad[0]]!r}; expected an integer or a string.")
    return array


def check_offsets(name: str, offsets: IntArray, segments: int, rows: int, level: str) -> None:
    """Offsets start at 0, never fall, and end at the number of rows."""
    if len(offsets) != segments + 1:
        raise CreditError(f"Column {name!r} has {len(offsets)} rows; expected {segments + 1} (trajectories + 1).")
    if offsets[0] != 0:
        raise CreditError(f"Column {name!r}, row 0: {offsets[0]}; expected 0.")
    falls = np.flatnonzero(np.diff(offsets) < 0)
    if len(falls):
        row = int(falls[0]) + 1
        raise CreditError(
            f"Column {name!r}, row {row}: {offsets[row]} is below {offsets[row - 1]}; offsets never fall."
        )
    if offsets[-1] != rows:
        raise CreditError(f"Column {name!r}, row {segments}: {offsets[-1]}; expected {rows}, the number of {level}s.")


def check_numbers(
    name: str,
    array: npt.NDArray[Any],
    *,
    absent: bool,
    lower: float | None = None,
    upper: float | None = None,
    hint: str = "",
) -> None:
    """Finite, within `MAGNITUDE`, from ``lower`` to ``upper``; NaN only where the column may be absent."""
    if array.dtype.kind != "f":
        return
    missing = np.isnan(array)
    if not absent and missing.any():
        raise CreditError(
            f"Column {name!r}, row {np.argwhere(missing)[0][0]}: NaN.{hint or ' Every row needs a number.'}"
        )
    too_big = ~missing & ~(np.abs(array) <= MAGNITUDE)
    if too_big.any():
        row = tuple(np.argwhere(too_big)[0])
        raise CreditError(f"Column {name!r}, row {row[0]}: {array[row]}; expected a number within ±{MAGNITUDE:g}.")
    low, high = -np.inf if lower is None else lower, np.inf if upper is None else upper
    outside = ~missing & ((array < low) | (array > high))
    if outside.any():
        row = tuple(np.argwhere(outside)[0])
        raise CreditError(f"Column {name!r}, row {row[0]}: {array[row]}; expected a number in [{low:g}, {high:g}].")


def check_spans(batch: Batch) -> None:
    """Turn spans lie inside their trajectory, ascend, don't overlap, and hold every policy token."""
    start, end, owner = batch.turn_start, batch.turn_end, batch.turn_trajectory
    _refuse(batch, "turn_end", end < start, lambda k: f"{end[k]} is before turn_start {start[k]}")
    low, high = batch.token_offsets[owner], batch.token_offsets[owner + 1]
    _refuse(batch, "turn_start", start < low, lambda k: f"{start[k]} is before the trajectory's first token {low[k]}")
    _refuse(batch, "turn_end", end > high, lambda k: f"{end[k]} is past the trajectory's end {high[k]}")
    no_span = (end == start) & (high > low)
    _refuse(batch, "turn_end", no_span, lambda k: "the turn has no span although its trajectory has tokens")
    overlap = np.zeros(len(start), dtype=np.bool_)
    overlap[1:] = start[1:] < end[:-1]
    _refuse(
        batch, "turn_start", overlap, lambda k: f"{start[k]} overlaps the previous turn, which ends at {end[k - 1]}"
    )
    outside = np.flatnonzero(batch.policy_mask & (batch.token_turn < 0))
    if len(outside):
        row = int(outside[0])
        where = batch.token_trajectory[row]
        raise CreditError(f"Column 'policy_mask', row {row} (trajectory {where}): 1 outside every turn's span.")


def check_tree(batch: Batch) -> None:
    """Parents exist, come from the same group, form no cycle; inherited turns are those before the fork.

    A trajectory whose parent isn't in the batch has parent -1 and may still have leading inherited turns.
    """
    parent, n = batch.parent, batch.n_trajectories
    child = parent >= 0
    _refuse_row(
        "parent", (parent < -1) | (parent >= n), lambda i: f"{parent[i]}; expected -1 or a trajectory 0..{n - 1}"
    )
    safe = np.where(child, parent, np.arange(n))
    _refuse_row(
        "parent",
        batch.group[safe] != batch.group,
        lambda i: f"{parent[i]} is of group {batch.group[parent[i]]}, not {batch.group[i]}",
    )
    turns = np.diff(batch.turn_offsets)
    low, high = batch.fork_turn < 0, batch.fork_turn > np.minimum(turns, turns[safe])
    _refuse_row("fork_turn", low | (child & high), lambda i: f"{batch.fork_turn[i]}; parent and fork have fewer turns")
    _refuse_row("fork_turn", ~child & (batch.fork_turn != 0), lambda i: f"{batch.fork_turn[i]} without a parent")
    ancestor = safe
    for _ in range(int(n).bit_length()):
        ancestor = ancestor[ancestor]
    _refuse_row("parent", parent[ancestor] >= 0, lambda i: "the parents form a cycle")
    inherited = batch.turn_index < batch.fork_turn[batch.turn_trajectory]
    wrong = child[batch.turn_trajectory] & (inherited == batch.owned)
    _refuse(
        batch, "owned", wrong, lambda k: f"{batch.owned[k]}; a turn is inherited exactly when it is before fork_turn"
    )
    late = ~batch.owned & (batch.turn_index >= batch.inherited_turns[batch.turn_trajectory])
    _refuse(batch, "owned", late, lambda k: "False after a turn of the trajectory's own")


def check_extra(batch: Batch, name: str) -> AnyArray:
    """The optional column as a checked read-only array."""
    info: Column = column_info(name)
    rows = {"token": batch.n_tokens, "turn": batch.n_turns, "trajectory": batch.n_trajectories}[info.level]
    array = as_column(name, batch.extra[name], info.kind, rows, level=info.level, axes=info.axes)
    if info.axes.isdigit() and array.shape[1] != int(info.axes):
        raise CreditError(f"Column {name!r} has shape {array.shape}; expected ({info.level}s, {info.axes}).")
    check_numbers(name, array, absent=info.absent, lower=info.lower, upper=info.upper)
    return array


def _refuse(batch: Batch, name: str, bad: BoolArray, why: Callable[[int], str]) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        k = int(rows[0])
        where = f"trajectory {batch.turn_trajectory[k]}, turn {batch.turn_index[k]}"
        raise CreditError(f"Column {name!r}, row {k} ({where}): {why(k)}.")


def _refuse_row(name: str, bad: BoolArray, why: Callable[[int], str]) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        raise CreditError(f"Column {name!r}, row {rows[0]}: {why(int(rows[0]))}.")
