"""A run on disk: nothing that was finished is lost, nothing is stored twice, and equal runs give equal bytes.

    run.json                    resolved configuration
    manifest.jsonl              one line a whole shard: jobs, rows, totals, sizes and hashes
    trajectories/00000.parquet  turns/00000.parquet   one pair a shard, rows in the order of the jobs
    journal/00000.jsonl         episodes of a shard that isn't complete yet, in the order in which they ended
    timing.jsonl                clocks and failures that were tried again, which differ from run to run
    screenshots/e0000000/000.png  what a person would see before each turn and at the end, where that was asked for

An episode is appended to the journal the moment it ends, so a kill loses only those in flight. When a shard has all its
jobs it is written as Parquet, under another name first and then renamed; then its line is added to the manifest. Shards
hold fixed ranges of job numbers, so the order in which episodes end doesn't show.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from agentgym.core.errors import Boundary, ConfigError, DataError, Fault
from agentgym.core.records import FaultRecord, Trajectory
from agentgym.rollout import journal
from agentgym.rollout.shards import (
    MANIFEST,
    ShardEntry,
    adopt_shard,
    check_sizes,
    read_manifest,
    read_shard,
    replace,
    shard_file,
    write_shard,
)
from agentgym.rollout.tally import Tally

__all__ = [
    "SCREENSHOTS",
    "SHARD_SIZE",
    "RunWriter",
    "read_config",
    "read_run",
    "read_timing",
    "replace",
    "stored_totals",
]

SHARD_SIZE = 256
SCREENSHOTS = "screenshots"
"""Folder of a run in which pictures lie, one folder an episode, one file a turn. No record depends on them."""
_FREE = ("version", "tools")
"""Entries of the configuration that may differ when a run is resumed: they follow from others, or change nothing."""
_HELD_BYTES = 32 << 20
"""Journal bytes whose records stay in memory until their shard is whole; others are read again then."""


class RunWriter:
    """Writes the episodes of a run. One process at a time holds a run.

    Args:
        path: The run's folder; made when missing.
        config: The resolved configuration. A resumed run must have the same.
        episodes: How many jobs the run has.
        resume: Go on with what is there. Without it the folder must hold no run.
        shard_size: Jobs a shard.

    Raises:
        ConfigError: The folder holds another run, or another process is writing this one.
        DataError: What is there is damaged.
        Fault: At the storage boundary: the disk is full, or the folder can't be written.
    """

    def __init__(
        self,
        path: Path,
        config: Mapping[str, Any],
        episodes: int,
        *,
        resume: bool = False,
        shard_size: int = SHARD_SIZE,
    ) -> None:
        self.path = path
        self.episodes = episodes
        self.shard_size = shard_size
        self.done: set[int] = set()
        """Numbers of the jobs that are stored."""
        self._pending: dict[int, dict[int, list[Trajectory] | None]] = {}
        self._held = 0
        self._files: dict[Path, int] = {}
        self._entries: dict[int, ShardEntry] = {}
        with self._storing():
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("w")
            try:
                self._open(config, resume)
                self._recover()
            except BaseException:
                self._close_files()
                raise

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, index: int, trajectories: Sequence[Trajectory], timing: Mapping[str, Any] | None = None) -> None:
        """Stores what came of job ``index``. It survives a kill from the moment this returns."""
        if index in self.done:
            raise DataError(f"Episode {index} is stored already.")
        shard = index // self.shard_size
        line = journal.encode(index, trajectories)
        with self._storing():
            if timing is not None:  # first, so that no stored episode is without
                self._append(self.path / "timing.jsonl", (json.dumps({"index": index, **timing}) + "\n").encode())
            self._append(self._journal(shard), line)
            self.done.add(index)
            self._hold(shard, index, list(trajectories), len(line))
            self._complete(shard)

    def close(self) -> None:
        """Closes the files. Episodes of incomplete shards stay in the journal."""
        if self._lock.closed:
            return
        try:
            entries = [self._entries[shard] for shard in sorted(self._entries)]
            with suppress(OSError):  # it is whole as it is; in order it is equal for equal runs
                replace(self.path / MANIFEST, "".join(entry.line() for entry in entries))
        finally:
            self._close_files()

    # ------------------------------------------------------------------ what is there

    def _open(self, config: Mapping[str, Any], resume: bool) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"Another process is writing the run in {str(self.path)!r}.") from None
        for folder in ("trajectories", "turns", "journal"):
            (self.path / folder).mkdir(exist_ok=True)
        text = json.dumps(config, indent=2, ensure_ascii=False, default=str)
        if not check_resumable(self.path, config, resume=resume):
            replace(self.path / "run.json", text + "\n")

    def _recover(self) -> None:
        """Takes over what an earlier process left: whole shards, then journals without their torn last lines."""
        for name in (MANIFEST, "timing.jsonl"):
            _cut_torn_line(self.path / name)
        self._entries = read_manifest(self.path)
        journals = {int(file.stem) for file in (self.path / "journal").glob("*.jsonl")}
        written = {int(file.stem) for file in (self.path / "trajectories").glob("*.parquet")}
        for shard in range(-(-self.episodes // self.shard_size)):
            if shard in self._entries:
                check_sizes(self.path, self._entries[shard])
            elif shard in written:
                jobs = self._range(shard)
                self._enter(adopt_shard(self.path, shard, jobs.start, len(jobs)))
            if shard in self._entries:
                self.done.update(self._range(shard))
                if shard in journals:
                    self._journal(shard).unlink(missing_ok=True)
            elif shard in journals:
                self._read_journal(shard)

    def _read_journal(self, shard: int) -> None:
        file, whole = self._journal(shard), 0
        for size, index, trajectories in read_journal(file):
            whole += size
            self.done.add(index)
            self._hold(shard, index, trajectories, size)
        os.truncate(file, whole)
        self._complete(shard)

    # ------------------------------------------------------------------ shards

    def _hold(self, shard: int, index: int, trajectories: list[Trajectory], size: int) -> None:
        keep = self._held + size <= _HELD_BYTES
        self._held += size if keep else 0
        self._pending.setdefault(shard, {})[index] = trajectories if keep else None

    def _whole(self, shard: int) -> dict[int, list[Trajectory]]:
        """All records of a pending shard; those that were not kept in memory come from the journal."""
        pending = self._pending[shard]
        found = {index: trajectories for index, trajectories in pending.items() if trajectories is not None}
        if len(found) < len(pending):
            found |= {index: trajectories for _, index, trajectories in read_journal(self._journal(shard))}
        return found

    def _complete(self, shard: int) -> None:
        """Turns the journal of a shard that has all its jobs into Parquet."""
        jobs = self._range(shard)
        if len(self._pending.get(shard, ())) < len(jobs):
            return
        found = self._whole(shard)
        rows = [trajectory for index in jobs for trajectory in found[index]]
        self._enter(write_shard(self.path, shard, jobs.start, len(jobs), rows))
        file = self._journal(shard)
        if (descriptor := self._files.pop(file, None)) is not None:
            os.close(descriptor)
        file.unlink(missing_ok=True)
        del self._pending[shard]
        if not self._pending:
            self._held = 0

    def _enter(self, entry: ShardEntry) -> None:
        self._entries[entry.shard] = entry
        self._append(self.path / MANIFEST, entry.line().encode())

    def _range(self, shard: int) -> range:
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.episodes))

    # ------------------------------------------------------------------ files

    def _journal(self, shard: int) -> Path:
        return self.path / "journal" / f"{shard:05d}.jsonl"

    def _append(self, file: Path, data: bytes) -> None:
        """Appends all of ``data`` or nothing."""
        descriptor = self._files.get(file)
        if descriptor is None:
            descriptor = self._files[file] = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        written = 0
        try:
            while written < len(data):
                written += os.write(descriptor, data[written:])
        except OSError:
            if written:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise

    def _close_files(self) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()
        self._lock.close()

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """What the file system refuses ends the run in one line; what is stored stays good."""
        try:
            yield
        except OSError as error:
            raise Fault(
                Boundary.STORAGE,
                f"{error.filename or self.path}: {error.strerror or error}. What was stored before is whole; when "
                f"writing works again, go on with --resume --out {self.path}",
            ) from error


def _cut_torn_line(file: Path) -> None:
    """Removes what a kill left of a last line, which would spoil the next one."""
    if not file.exists() or not file.stat().st_size:
        return
    with file.open("r+b") as lines:
        lines.seek(-1, os.SEEK_END)
        if lines.read(1) != b"\n":
            lines.seek(0)
            lines.truncate(lines.read().rfind(b"\n") + 1)


def check_resumable(path: Path, config: Mapping[str, Any], *, resume: bool) -> bool:
    """Whether a run is there to go on with.

    Raises:
        ConfigError: There is one and ``resume`` is off, or it has another configuration.
    """
    if not (path / "run.json").exists():
        return False
    if not resume:
        raise ConfigError(f"{str(path)!r} holds a run already. Add --resume to go on with it, or name another folder.")
    before, now = read_config(path), json.loads(json.dumps(config, default=str))
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key) and key not in _FREE]
    if changed:
        details = "; ".join(f"{key}: {before.get(key)!r} then, {now.get(key)!r} now" for key in changed)
        raise ConfigError(f"The run in {str(path)!r} has another configuration ({details}).")
    return True


def stored_jobs(path: Path) -> int:
    """How many jobs a run has stored; 0 where there is no run."""
    entries = read_manifest(path)
    open_shards = [file for file in (path / "journal").glob("*.jsonl") if int(file.stem) not in entries]
    return sum(entry.jobs for entry in entries.values()) + sum(
        sum(1 for _ in read_journal(file)) for file in open_shards
    )


def read_journal(file: Path) -> Iterator[tuple[int, int, list[Trajectory]]]:
    """Size of each whole line, its job, and what came of that. A torn last line is left out.

    Raises:
        DataError: A line is not a record.
    """
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                index, trajectories = journal.decode(line)
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(f"Line {number} of {str(file)!r} is not a record: {error}") from None
            yield len(line), index, trajectories


def read_run(path: Path) -> Iterator[Trajectory]:
    """Every stored episode of a run in the order of the jobs, a shard in memory at a time.

    Reads unfinished runs too, and runs that are being written. Raises DataError where there is no run.
    """
    read_config(path)
    yield from _read_shards(path)


def _read_shards(path: Path, skip: Collection[int] = ()) -> Iterator[Trajectory]:
    shards = {int(file.stem) for file in (path / "trajectories").glob("*.parquet")}
    shards |= {int(file.stem) for file in (path / "journal").glob("*.jsonl")}
    for shard in sorted(shards.difference(skip)):
        if not shard_file(path, "trajectories", shard).exists():
            try:
                rows = {index: trajectories for _, index, trajectories in read_journal(_journal_of(path, shard))}
            except FileNotFoundError:  # the shard became whole since we looked
                pass
            else:
                for index in sorted(rows):
                    yield from rows[index]
                continue
        yield from read_shard(path, shard)


def _journal_of(path: Path, shard: int) -> Path:
    return path / "journal" / f"{shard:05d}.jsonl"


def stored_totals(path: Path, *, retried: bool = True) -> Tally:
    """Over everything that a run has stored. Of whole shards only the manifest is read.

    Args:
        path: The run.
        retried: Also count failures that were tried again, which stand beside the records.
    """
    read_config(path)
    tally = Tally()
    entries = read_manifest(path)
    for shard in sorted(entries):
        tally.merge(entries[shard].totals)
    for trajectory in _read_shards(path, skip=entries.keys()):
        tally.add(trajectory)
    if retried:
        for timing in read_timing(path).values():
            tally.add_retried(FaultRecord(**fault) for fault in timing.get("retried", ()))
    return tally


def read_timing(path: Path) -> dict[int, dict[str, Any]]:
    """Job -> its clocks and the failures that were tried again. Of two lines for a job the later one counts."""
    found: dict[int, dict[str, Any]] = {}
    with suppress(FileNotFoundError), (path / "timing.jsonl").open("rb") as lines:
        for line in lines:
            with suppress(ValueError):  # a torn line
                row = json.loads(line)
                found[row["index"]] = row
    return found


def read_config(path: Path) -> dict[str, Any]:
    """The resolved configuration of a run. Raises DataError where there is none."""
    file = path / "run.json"
    try:
        config: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            f"{str(path)!r} is not a run: it has no run.json. Make one with 'agentgym rollout --out {path}'."
        ) from None
    except ValueError as error:
        raise DataError(f"{str(file)!r} is not JSON: {error}") from None
    return config
