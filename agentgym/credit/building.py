"""How the constructors of `Batch` lay lists and matrices out as flat columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agentgym.credit.columns import column_info
from agentgym.credit.errors import CreditError
from agentgym.credit.segments import AnyArray, BoolArray, IntArray, factorise, segment_ids

if TYPE_CHECKING:
    from agentgym.credit.batch import Batch

_PER_TRAJECTORY = ("group", "outcome", "terminated", "truncated")
_PER_TURN = ("turn_reward", "owned")


def offsets_of(lengths: Sequence[int] | IntArray) -> IntArray:
    """int64[n + 1]: running total of the lengths, from 0."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def group_codes(groups: Sequence[int | str] | AnyArray) -> IntArray:
    """Groups as int64: integers as they are, anything else by first appearance."""
    array = np.asarray(groups)
    return array.astype(np.int64) if array.dtype.kind in "iu" else factorise(groups)


def from_lists(
    groups: Sequence[int | str],
    turn_rewards: Sequence[Sequence[float] | AnyArray],
    spans: Sequence[Sequence[tuple[int, int]]] | None,
    masks: Sequence[Sequence[int] | AnyArray] | None,
    outcomes: Sequence[float] | AnyArray | None,
    terminated: Sequence[bool] | None,
    truncated: Sequence[bool] | None,
    parents: Sequence[int] | None,
    fork_turns: Sequence[int] | None,
    columns: Mapping[str, Sequence[Any] | AnyArray],
) -> dict[str, Any]:
    """The fields of a `Batch`; see `Batch.build` for the arguments."""
    n = len(groups)
    _same_length(n, "turn_rewards", turn_rewards)
    turns = [len(rewards) for rewards in turn_rewards]
    turn_offsets = offsets_of(turns)
    lengths, local, mask = _tokens(turns, spans, masks)
    token_offsets = offsets_of(lengths)
    shift = np.repeat(token_offsets[:-1], turns)
    cut = np.zeros(n, dtype=np.bool_) if truncated is None else np.asarray(truncated)
    fork = np.zeros(n, dtype=np.int64) if fork_turns is None else np.asarray(fork_turns)
    _same_length(n, "fork_turns", fork)
    index = np.arange(turn_offsets[-1]) - np.repeat(turn_offsets[:-1], turns)
    return {
        "group": group_codes(groups),
        "outcome": np.full(n, np.nan) if outcomes is None else np.asarray(outcomes, dtype=np.float64),
        "terminated": ~cut.astype(np.bool_) if terminated is None else np.asarray(terminated),
        "truncated": cut,
        "parent": np.full(n, -1) if parents is None else np.asarray(parents),
        "fork_turn": fork,
        "turn_offsets": turn_offsets,
        "turn_reward": np.asarray(list(chain(*turn_rewards)), dtype=np.float64),
        "owned": index >= np.repeat(fork, turns),
        "turn_start": local[:, 0] + shift,
        "turn_end": local[:, 1] + shift,
        "token_offsets": token_offsets,
        "policy_mask": mask,
        "extra": {name: _flat(name, values, turns, lengths) for name, values in columns.items()},
    }


def _tokens(
    turns: list[int],
    spans: Sequence[Sequence[tuple[int, int]]] | None,
    masks: Sequence[Sequence[int] | AnyArray] | None,
) -> tuple[list[int], IntArray, AnyArray]:
    """Token counts a trajectory, local spans (K, 2) and the flat policy mask."""
    n = len(turns)
    if spans is None:
        if masks is not None:
            raise CreditError("Masks without spans: say where each turn's tokens are, as (start, end) a turn.")
        return [0] * n, np.zeros((sum(turns), 2), dtype=np.int64), np.zeros(0, dtype=np.bool_)
    _same_length(n, "spans", spans)
    for row, (count, found) in enumerate(zip(turns, spans, strict=True)):
        if len(found) != count:
            raise CreditError(f"Spans, row {row}: {len(found)} spans for {count} turns; every turn needs one.")
    local = np.asarray(list(chain(*spans)), dtype=np.int64).reshape(-1, 2)
    if masks is not None:
        _same_length(n, "masks", masks)
        return [len(m) for m in masks], local, np.asarray(list(chain(*masks)))
    lengths = [max((end for _, end in found), default=0) for found in spans]
    mask = np.zeros(sum(lengths), dtype=np.bool_)
    shift = np.repeat(offsets_of(lengths)[:-1], turns)
    for start, end in zip(local[:, 0] + shift, local[:, 1] + shift, strict=True):
        mask[start:end] = True
    return lengths, local, mask


def _flat(name: str, values: Sequence[Any] | AnyArray, turns: list[int], lengths: list[int]) -> AnyArray:
    """One list a trajectory as a flat column; rows are checked against the column's level."""
    info = column_info(name)
    _same_length(len(turns), name, values)
    dtype = object if info.kind == "label" else None
    if info.level == "trajectory":
        return np.asarray(values, dtype=dtype)
    wanted = turns if info.level == "turn" else lengths
    for row, (found, count) in enumerate(zip(values, wanted, strict=True)):
        if len(found) != count:
            raise CreditError(f"Column {name!r}, trajectory {row}: {len(found)} values for {count} {info.level}s.")
    flat = list(chain(*values))
    if dtype is object and all(isinstance(item, int | np.integer) for item in flat):
        dtype = np.int64
    return np.asarray(flat, dtype=dtype)


def from_matrices(
    groups: Sequence[int | str] | AnyArray,
    rewards: npt.ArrayLike,
    mask: npt.ArrayLike,
    turn_ids: npt.ArrayLike | None,
    outcomes: Sequence[float] | AnyArray | None,
    columns: Mapping[str, npt.ArrayLike],
) -> dict[str, Any]:
    """The fields of a `Batch`; see `Batch.from_dense` for the arguments."""
    policy = np.asarray(mask) != 0
    token_reward = np.asarray(rewards, dtype=np.float64)
    if policy.ndim != 2 or token_reward.shape != policy.shape:
        raise CreditError(f"Rewards have shape {token_reward.shape} and mask {policy.shape}; both must be (B, L).")
    b, length = policy.shape
    _same_length(b, "groups", groups)
    turn = _runs(policy) if turn_ids is None else np.asarray(turn_ids)
    rows, start, end = _spans_of(turn)
    counts = np.bincount(rows, minlength=b)
    turn_start, turn_end = rows * length + start, rows * length + end
    # Everything from a row's first token to its second turn counts for its first turn, and so on to the row's end.
    first = np.concatenate([[True], rows[1:] != rows[:-1]]) if len(rows) else np.zeros(0, dtype=np.bool_)
    since = np.where(first, rows * length, turn_start)
    turn_reward = np.add.reduceat(token_reward.ravel(), since) if len(since) else np.zeros(0)
    return {
        "group": group_codes(groups),
        "outcome": np.full(b, np.nan) if outcomes is None else np.asarray(outcomes, dtype=np.float64),
        "terminated": np.ones(b, dtype=np.bool_),
        "truncated": np.zeros(b, dtype=np.bool_),
        "parent": np.full(b, -1),
        "fork_turn": np.zeros(b, dtype=np.int64),
        "turn_offsets": offsets_of(counts),
        "turn_reward": turn_reward,
        "owned": np.ones(len(rows), dtype=np.bool_),
        "turn_start": turn_start,
        "turn_end": turn_end,
        "token_offsets": np.arange(b + 1) * length,
        "policy_mask": policy.ravel(),
        "extra": {
            "token_reward": token_reward.ravel(),
            **{name: _dense_column(name, value, policy.shape) for name, value in columns.items()},
        },
    }


def _runs(policy: BoolArray) -> IntArray:
    """(B, L) number of the unbroken run of policy tokens that each token is in; -1 outside."""
    begins = policy & ~np.pad(policy, ((0, 0), (1, 0)))[:, :-1]
    return np.where(policy, np.cumsum(begins, axis=1) - 1, -1)


def _spans_of(turn: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Rows, starts and ends (exclusive) of the turns in a (B, L) matrix of turn numbers."""
    inside = turn >= 0
    padded = np.pad(turn, ((0, 0), (1, 1)), constant_values=-1)
    edge = inside & (turn != padded[:, :-2])
    leave = inside & (turn != padded[:, 2:])
    rows, start = np.nonzero(edge)
    stop = np.nonzero(leave)[1] + 1
    falls = np.flatnonzero((rows[1:] == rows[:-1]) & (turn[rows[1:], start[1:]] <= turn[rows[:-1], start[:-1]]))
    if len(falls):
        row, at = rows[falls[0] + 1], start[falls[0] + 1]
        raise CreditError(f"turn_ids, row {row}, token {at}: turn {turn[row, at]} comes after a later or equal turn.")
    return rows, start, stop


def _dense_column(name: str, value: npt.ArrayLike, shape: tuple[int, int]) -> AnyArray:
    array = np.asarray(value)
    if column_info(name).level != "token":
        return array
    if array.shape != shape:
        raise CreditError(f"Column {name!r} has shape {array.shape}; expected {shape}, one value a token.")
    return array.ravel()


def selected(batch: Batch, keep: BoolArray) -> dict[str, Any]:
    """The fields of the batch that holds only the kept trajectories."""
    if keep.shape != (batch.n_trajectories,):
        raise CreditError(f"keep has shape {keep.shape}; expected ({batch.n_trajectories},), one flag a trajectory.")
    parent = batch.parent[keep]
    lost = np.flatnonzero((parent >= 0) & ~keep[parent])
    if len(lost):
        row = np.flatnonzero(keep)[lost[0]]
        raise CreditError(
            f"Column 'parent', row {row}: trajectory {batch.parent[row]} is dropped but its fork is kept."
        )
    turns, tokens = keep[batch.turn_trajectory], keep[segment_ids(batch.token_offsets)]
    token_offsets = offsets_of(np.diff(batch.token_offsets)[keep])
    shift = (token_offsets[:-1] - batch.token_offsets[:-1][keep]).repeat(batch.turn_counts[keep])
    levels = {"token": tokens, "turn": turns, "trajectory": keep}
    return {
        **{name: getattr(batch, name)[keep] for name in _PER_TRAJECTORY},
        **{name: getattr(batch, name)[turns] for name in _PER_TURN},
        "parent": np.where(parent >= 0, (np.cumsum(keep) - 1)[parent], -1),
        "fork_turn": batch.fork_turn[keep],
        "turn_offsets": offsets_of(batch.turn_counts[keep]),
        "turn_start": batch.turn_start[turns] + shift,
        "turn_end": batch.turn_end[turns] + shift,
        "token_offsets": token_offsets,
        "policy_mask": batch.policy_mask[tokens],
        "extra": {name: value[levels[column_info(name).level]] for name, value in batch.extra.items()},
    }


def _same_length(n: int, name: str, values: Any) -> None:
    if len(values) != n:
        raise CreditError(f"{name} has {len(values)} rows for {n} trajectories.")
