"""Records as tables: one row a trajectory, one row a turn.

The same columns serve Parquet files, data frames and ``datasets``. Mappings whose keys vary (references, arguments) are
JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from agentgym.core.ledger import Entry
from agentgym.core.policy import Usage
from agentgym.core.records import Drift, FaultRecord, Segment, Span, Trajectory, Turn, fields_of

SCHEMA_VERSION = 1

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
_FAULT = pa.struct([("boundary", pa.string()), ("message", pa.string()), ("turn", pa.int32())])

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
    rows = [_trajectory_row(trajectory) for trajectory in trajectories]
    turns = [_turn_row(trajectory.trajectory_id, turn) for trajectory in trajectories for turn in trajectory.turns]
    return pa.Table.from_pylist(rows, schema=TRAJECTORIES), pa.Table.from_pylist(turns, schema=TURNS)


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
    return json_safe(json.dumps(value, ensure_ascii=False, default=str))


def _trajectory_row(trajectory: Trajectory) -> dict[str, Any]:
    row = {name: getattr(trajectory, name) for name in TRAJECTORIES.names}
    row["reference"], row["gates"] = _dump(trajectory.reference), _dump(trajectory.gates)
    row["final_observation"] = json_safe(trajectory.final_observation)
    row["faults"] = [{**fields_of(fault), "message": json_safe(fault.message)} for fault in trajectory.faults]
    row["ledger"] = [fields_of(entry) for entry in trajectory.ledger]
    row["drift"], row["usage"] = trajectory.drift._asdict(), trajectory.usage._asdict()
    row["segments"] = [fields_of(segment) for segment in trajectory.segments]
    return row


def _turn_row(trajectory_id: str, turn: Turn) -> dict[str, Any]:
    row = {name: getattr(turn, name) for name in TURNS.names if name != "trajectory_id"}
    row["trajectory_id"] = trajectory_id
    for name in ("observation", "message", "action", "error"):
        row[name] = json_safe(row[name])
    row["tool_calls"] = _dump(turn.tool_calls)
    row["components"] = list(turn.components.items())
    for name in ("policy_span", "reply_span"):
        row[name] = None if row[name] is None else row[name]._asdict()
    return row


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
