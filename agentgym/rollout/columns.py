"""Records as tables: one row a trajectory, one row a turn.

The same columns serve Parquet files, data frames and ``datasets``. Mappings whose keys vary (references, arguments) are
JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Sized
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from agentgym.core.ledger import Entry
from agentgym.core.policy import Usage
from agentgym.core.records import Drift, FaultRecord, Segment, Span, Trajectory, Turn
from agentgym.rollout.journal import pack

SCHEMA_VERSION = 2

_SPAN = pa.struct([("segment", pa.int32()), ("start", pa.int32()), ("end", pa.int32())])
_ENTRY = pa.struct(
    [
        ("turn", pa.int32()),
        ("component", pa.string()),
        ("raw", pa.float64()),
        ("status", pa.string()),
        ("value", pa.float64()),
        ("paid_turn", pa.int32()),
        ("held_by", pa.string()),
    ]
)
_SEGMENT = pa.struct(
    [
        ("token_ids", pa.list_(pa.int32())),
        ("policy_mask", pa.list_(pa.bool_())),
        ("logprobs", pa.list_(pa.float32())),
        ("versions", pa.list_(pa.int32())),
    ]
)
_DRIFT = pa.struct([(name, pa.int32()) for name in Drift._fields])
_USAGE = pa.struct([("prompt_tokens", pa.int64()), ("completion_tokens", pa.int64()), ("cost", pa.float64())])
_FAULT = pa.struct(
    [("boundary", pa.string()), ("message", pa.string()), ("turn", pa.int32()), ("survived", pa.bool_())]
)

TRAJECTORIES = pa.schema(
    [
        ("trajectory_id", pa.string()),
        ("group_id", pa.string()),
        ("env_id", pa.string()),
        ("task_id", pa.string()),
        ("split", pa.string()),
        ("seed", pa.int64()),
        ("policy", pa.string()),
        ("system_prompt", pa.string()),
        ("final_observation", pa.string()),
        ("terminated", pa.bool_()),
        ("truncated", pa.bool_()),
        ("truncation_reason", pa.string()),
        ("outcome", pa.float64()),
        ("success", pa.bool_()),
        ("total_reward", pa.float64()),
        ("progress", pa.float64()),
        ("difficulty", pa.float64()),
        ("reference", pa.string()),
        ("token_faithful", pa.bool_()),
        ("drift", _DRIFT),
        ("usage", _USAGE),
        ("parent_id", pa.string()),
        ("fork_turn", pa.int32()),
        ("gates", pa.string()),
        ("faults", pa.list_(_FAULT)),
        ("ledger", pa.list_(_ENTRY)),
        ("segments", pa.list_(_SEGMENT)),
    ],
    metadata={"agentgym.schema": str(SCHEMA_VERSION)},
)

TURNS = pa.schema(
    [
        ("trajectory_id", pa.string()),
        ("index", pa.int32()),
        ("observation", pa.string()),
        ("message", pa.string()),
        ("state_key", pa.string()),
        ("components", pa.map_(pa.string(), pa.float64())),
        ("reward", pa.float64()),
        ("attributed", pa.float64()),
        ("action", pa.string()),
        ("action_valid", pa.bool_()),
        ("action_executable", pa.bool_()),
        ("tags", pa.list_(pa.string())),
        ("tool_calls", pa.string()),
        ("error", pa.string()),
        ("message_truncated", pa.bool_()),
        ("finish_reason", pa.string()),
        ("policy_span", _SPAN),
        ("reply_span", _SPAN),
        ("owned", pa.bool_()),
    ],
    metadata={"agentgym.schema": str(SCHEMA_VERSION)},
)


def to_tables(trajectories: Sequence[Trajectory]) -> tuple[pa.Table, pa.Table]:
    """The trajectory table and the turn table, rows in the order given."""
    turns = [turn for trajectory in trajectories for turn in trajectory.turns]
    names = [trajectory.trajectory_id for trajectory in trajectories for _ in trajectory.turns]
    return _table(TRAJECTORIES, trajectories, _OF_TRAJECTORY), _table(TURNS, turns, _OF_TURN, trajectory_id=names)


def from_tables(trajectories: pa.Table, turns: pa.Table) -> list[Trajectory]:
    """Inverse of ``to_tables``."""
    by_id: dict[str, list[Turn]] = {}
    for row in turns.to_pylist():
        by_id.setdefault(row.pop("trajectory_id"), []).append(_turn(row))
    return [_trajectory(row, by_id.get(row["trajectory_id"], [])) for row in trajectories.to_pylist()]


def json_safe(text: str) -> str:
    """``text`` with lone surrogates escaped: Parquet and JSON hold UTF-8 only."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _dump(value: Any) -> str:
    return json_safe(_JSON.encode(value))


_JSON = json.JSONEncoder(ensure_ascii=False, default=str)

_Column = Callable[[Sequence[Any], pa.DataType], pa.Array]


def _table(schema: pa.Schema, items: Sequence[Any], special: Mapping[str, _Column], **given: list[Any]) -> pa.Table:
    """Columns are built one by one: a fifth of what Arrow takes to infer them from rows."""
    columns = []
    for field in schema:
        if field.name in given:
            columns.append(pa.array(given[field.name], field.type))
            continue
        values = [getattr(item, field.name) for item in items]
        build = special.get(field.name, pa.array)
        columns.append(build(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _text(values: Sequence[str], kind: pa.DataType) -> pa.Array:
    return pa.array([json_safe(value) for value in values], kind)


def _json(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    return pa.array([_dump(value) for value in values], kind)


def _map(values: Sequence[Mapping[str, float]], kind: pa.DataType) -> pa.Array:
    keys = pa.array([key for value in values for key in value], kind.key_type)
    items = pa.array([item for value in values for item in value.values()], kind.item_type)
    return pa.MapArray.from_arrays(_offsets(values), keys, items)


def _tuples(values: Sequence[tuple[Any, ...] | None], kind: pa.DataType) -> pa.Array:
    whole = [value or (0,) * kind.num_fields for value in values]
    parts = [pa.array([value[i] for value in whole], kind.field(i).type) for i in range(kind.num_fields)]
    missing = pa.array([value is None for value in values], pa.bool_())
    return pa.StructArray.from_arrays(parts, fields=list(kind), mask=missing)


def _structs(values: Sequence[Sequence[Any]], kind: pa.DataType) -> pa.Array:
    """A list of records a row, as columns of all of them."""
    items = [item for value in values for item in value]
    columns = list(zip(*map(attrgetter(*(field.name for field in kind.value_type)), items), strict=True))
    parts = [
        (_text if field.name == "message" else pa.array)(columns[i] if items else [], field.type)
        for i, field in enumerate(kind.value_type)
    ]
    struct = pa.StructArray.from_arrays(parts, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(_offsets(values), struct, type=kind)


def _segments(values: Sequence[Sequence[Segment]], kind: pa.DataType) -> pa.Array:
    """Token columns by way of packed bytes, which is far quicker than a Python number at a time."""
    segments = [segment for value in values for segment in value]
    offsets = _offsets([segment.token_ids for segment in segments])
    parts = []
    for field in kind.value_type:
        of_numpy = np.dtype(field.type.value_type.to_pandas_dtype())
        code = _CODES[of_numpy.str]
        data = b"".join(pack(code, getattr(segment, field.name)) for segment in segments)
        flat = pa.array(np.frombuffer(data, of_numpy), field.type.value_type)
        parts.append(pa.ListArray.from_arrays(offsets, flat, type=field.type))
    struct = pa.StructArray.from_arrays(parts, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(_offsets(values), struct, type=kind)


_CODES = {"<i4": "i", "|b1": "?", "<f4": "f"}
"""Numpy's name of a type -> how ``struct`` packs it."""


def _lists(values: Sequence[Sequence[Any]], kind: pa.DataType) -> pa.Array:
    flat = pa.array(list(chain.from_iterable(values)), kind.value_type)
    return pa.ListArray.from_arrays(_offsets(values), flat, type=kind)


def _offsets(values: Sequence[Sized]) -> pa.Array:
    return pa.array([0, *accumulate(len(value) for value in values)], pa.int32())


_OF_TRAJECTORY: dict[str, _Column] = {
    "system_prompt": _text,
    "final_observation": _text,
    "reference": _json,
    "gates": _json,
    "drift": _tuples,
    "usage": _tuples,
    "faults": _structs,
    "ledger": _structs,
    "segments": _segments,
}
_OF_TURN: dict[str, _Column] = {
    "observation": _text,
    "message": _text,
    "action": _text,
    "error": _text,
    "components": _map,
    "tags": _lists,
    "tool_calls": _json,
    "policy_span": _tuples,
    "reply_span": _tuples,
}


def _trajectory(row: Mapping[str, Any], turns: list[Turn]) -> Trajectory:
    values = dict(row)
    values["turns"] = turns
    values["reference"], values["gates"] = json.loads(row["reference"]), json.loads(row["gates"])
    values["faults"] = [FaultRecord(**fault) for fault in row["faults"]]
    values["ledger"] = [Entry(**entry) for entry in row["ledger"]]
    values["segments"] = [Segment(**segment) for segment in row["segments"]]
    values["drift"] = Drift(**row.get("drift") or {})  # absent from runs of before
    values["usage"] = Usage(**row.get("usage") or {})
    return Trajectory(**values)


def _turn(row: dict[str, Any]) -> Turn:
    row["components"] = dict(row["components"])
    row["tool_calls"] = json.loads(row["tool_calls"])
    for name in ("policy_span", "reply_span"):
        row[name] = None if row[name] is None else Span(**row[name])
    return Turn(**row)
