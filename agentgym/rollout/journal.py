"""One line of a journal: what came of a job, as JSON with the token columns packed.

A record's tokens are most of it; as base64 of plain arrays they are written ten times as fast as number by number.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from agentgym.core.errors import DataError
from agentgym.core.ledger import Entry
from agentgym.core.records import Segment, Trajectory, Turn, fields_of

_TURN = tuple(field.name for field in fields(Turn))
_ENTRY = tuple(field.name for field in fields(Entry))
_TURN_ROW, _ENTRY_ROW = attrgetter(*_TURN), attrgetter(*_ENTRY)
_PACKED = {"token_ids": "i", "policy_mask": "?", "logprobs": "d", "versions": "i"}
"""Column of a segment -> how ``struct`` packs it, little-endian."""
_JSON = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str)


def encode(index: int, trajectories: Sequence[Trajectory]) -> bytes:
    """The line of job ``index``, its end included."""
    rows = [_pack(trajectory) for trajectory in trajectories]
    return _JSON.encode({"index": index, "trajectories": rows}).encode("ascii") + b"\n"


def decode(line: bytes) -> tuple[int, list[Trajectory]]:
    """Inverse of ``encode``. Reads lines of earlier versions too."""
    row = json.loads(line)
    if "trajectory" in row:  # schema 1: one episode a line, nothing packed
        return row["index"], [Trajectory.from_dict(row["trajectory"])]
    return row["index"], [_unpack(item) for item in row["trajectories"]]


def pack(code: str, values: Sequence[Any]) -> bytes:
    """One column of tokens as bytes. Raises DataError where a value doesn't fit."""
    try:
        return struct.pack(f"<{len(values)}{code}", *values)
    except struct.error as error:
        raise DataError(f"A column of tokens holds what a record can't: {error}.") from None


def _pack(trajectory: Trajectory) -> dict[str, Any]:
    values = trajectory.to_dict(shallow=True)
    values["turns"] = {"fields": _TURN, "rows": list(map(_TURN_ROW, trajectory.turns))}
    values["ledger"] = {"fields": _ENTRY, "rows": list(map(_ENTRY_ROW, trajectory.ledger))}
    values["segments"] = [
        {name: b64encode(pack(code, getattr(segment, name))).decode("ascii") for name, code in _PACKED.items()}
        for segment in trajectory.segments
    ]
    return values


def _unpack(values: dict[str, Any]) -> Trajectory:
    for name in ("turns", "ledger"):
        table = values[name]
        values[name] = [dict(zip(table["fields"], row, strict=True)) for row in table["rows"]]
    values["segments"] = [fields_of(_segment(segment)) for segment in values["segments"]]
    return Trajectory.from_dict(values)


def _segment(values: Mapping[str, str]) -> Segment:
    columns: dict[str, list[Any]] = {}
    for name, code in _PACKED.items():
        data = b64decode(values[name])
        columns[name] = list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))
    return Segment(**columns)
