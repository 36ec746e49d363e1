"""Shards of a run: a pair of Parquet files, and the line of the manifest that vouches for them.

    manifest.jsonl   one line a shard: which jobs, how many rows, totals, size and SHA-256 of each file

The manifest is what makes resuming quick: what is finished is known without opening a file of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agentgym.core.errors import DataError
from agentgym.core.records import Trajectory
from agentgym.rollout.columns import SCHEMA_VERSION, from_tables, json_safe, to_tables
from agentgym.rollout.tally import Tally

MANIFEST = "manifest.jsonl"
TABLES = ("turns", "trajectories")
"""In the order in which they are written."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a shard."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """What the manifest says about a shard."""

    shard: int
    first: int
    """Number of its first job."""
    jobs: int
    trajectories: int
    turns: int
    totals: dict[str, Any]
    """State of a ``Tally`` over its episodes."""
    files: dict[str, FileEntry]
    """Path inside the run -> what it must be."""

    def line(self) -> str:
        """Its line of the manifest, end included."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def parse(cls, line: str) -> ShardEntry:
        """Inverse of ``line``."""
        values = json.loads(line)
        values["files"] = {name: FileEntry(**entry) for name, entry in values["files"].items()}
        return cls(**values)


def shard_file(path: Path, table: str, shard: int) -> Path:
    """Where a table of a shard lies."""
    return path / table / f"{shard:05d}.parquet"


def write_shard(path: Path, shard: int, first: int, jobs: int, trajectories: Sequence[Trajectory]) -> ShardEntry:
    """Writes both files of a shard, each under another name first and then renamed; the trajectories come last."""
    rows, turns = to_tables(trajectories)
    for name, table in zip(TABLES, (turns, rows), strict=True):
        target = shard_file(path, name, shard)
        partial = target.with_suffix(".partial")
        pq.write_table(table, partial, compression="zstd")
        partial.replace(target)
    return _entry(path, shard, first, jobs, trajectories)


def adopt_shard(path: Path, shard: int, first: int, jobs: int) -> ShardEntry:
    """The entry of a shard whose files are whole and whose line was not written any more."""
    return _entry(path, shard, first, jobs, list(read_shard(path, shard)))


def read_shard(path: Path, shard: int) -> list[Trajectory]:
    """The trajectories of a shard.

    Raises:
        DataError: A file can't be read, or was written by a newer version.
    """
    tables = []
    for name in ("trajectories", "turns"):
        file = shard_file(path, name, shard)
        try:
            table = pq.read_table(file)
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise DataError(f"{str(file)!r} can't be read: {str(error).splitlines()[0]}") from None
        version = int((table.schema.metadata or {}).get(b"agentgym.schema", b"1"))
        if version > SCHEMA_VERSION:
            raise DataError(
                f"{str(file)!r} has records of schema {version}; this version of agentgym reads up to "
                f"{SCHEMA_VERSION}. Upgrade with: pip install -U agentgym-kit"
            )
        tables.append(table)
    return from_tables(*tables)


def read_manifest(path: Path) -> dict[int, ShardEntry]:
    """Shard number -> entry. A torn last line is as good as none; of two lines for a shard the later one counts."""
    try:
        text = (path / MANIFEST).read_text("utf-8")
    except FileNotFoundError:
        return {}
    found: dict[int, ShardEntry] = {}
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break
        try:
            entry = ShardEntry.parse(line)
        except (ValueError, TypeError, KeyError):
            raise DataError(
                f"Line {number} of {str(path / MANIFEST)!r} is not a shard's entry: {line[:60]!r}"
            ) from None
        found[entry.shard] = entry
    return found


def check_sizes(path: Path, entry: ShardEntry) -> None:
    """Raises DataError where a file of the shard is missing or has another size. Reads no file."""
    for name, expected in entry.files.items():
        size = None
        with suppress(FileNotFoundError):
            size = (path / name).stat().st_size
        if size != expected.bytes:
            said = "is missing" if size is None else f"has {size} bytes"
            raise DataError(
                f"{str(path / name)!r} {said}; the manifest says {expected.bytes} bytes. Restore it, or delete the "
                f"shard's files and its line in {MANIFEST} to play its episodes again."
            )


def check_hashes(path: Path, entries: Iterable[ShardEntry]) -> None:
    """Raises DataError where a file is not what the manifest says."""
    for entry in entries:
        check_sizes(path, entry)
        for name, expected in entry.files.items():
            if _file_entry(path / name) != expected:
                raise DataError(f"{str(path / name)!r} was changed: its SHA-256 is not the manifest's.")


def replace(path: Path, text: str) -> None:
    """Writes a file so that a reader sees the old text or the new one, never a part."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json_safe(text), "utf-8")
    partial.replace(path)


def _entry(path: Path, shard: int, first: int, jobs: int, trajectories: Sequence[Trajectory]) -> ShardEntry:
    tally = Tally()
    for trajectory in trajectories:
        tally.add(trajectory)
    files = {f"{name}/{shard:05d}.parquet": _file_entry(shard_file(path, name, shard)) for name in TABLES}
    return ShardEntry(shard, first, jobs, len(trajectories), tally.turns, tally.state(), files)


def _file_entry(file: Path) -> FileEntry:
    data = file.read_bytes()
    return FileEntry(len(data), hashlib.sha256(data).hexdigest())
