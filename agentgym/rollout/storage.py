"""A run on disk: nothing that was finished is lost, nothing is stored twice, and equal runs give equal bytes.

    run.json                  resolved configuration
    trajectories/00000.parquet  turns/00000.parquet   one pair a shard, rows in the order of the jobs
    journal/00000.jsonl       episodes of a shard that isn't complete yet, in the order in which they ended
    timing.jsonl              clocks, which differ from run to run

An episode is appended to the journal the moment it ends, so a kill loses only those in flight. When a shard has all
its episodes it is written as Parquet, under another name first and then renamed; the trajectory file comes last and is
the mark that the shard is whole. Shards hold fixed ranges of job numbers, so the order in which episodes end doesn't
show.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow.parquet as pq

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.records import Trajectory
from agentgym.rollout.columns import from_tables, json_safe, to_tables

SHARD_SIZE = 256


class RunWriter:
    """Writes the episodes of a run. One process at a time holds a run.

    Args:
        path: The run's folder; made when missing.
        config: The resolved configuration. A resumed run must have the same.
        episodes: How many episodes the run has.
        resume: Go on with what is there. Without it the folder must hold no run.
        shard_size: Episodes a shard.
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
        path.mkdir(parents=True, exist_ok=True)
        self._lock = (path / ".lock").open("w")
        try:
            self._open(config, resume)
        except BaseException:
            self._lock.close()
            raise
        self._pending: dict[int, dict[int, Trajectory]] = {}
        self._journals: dict[int, IO[str]] = {}
        self.done: set[int] = set()
        """Numbers of the jobs whose episodes are stored."""
        self._recover()
        self._timing = (path / "timing.jsonl").open("a", encoding="utf-8")

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, index: int, trajectory: Trajectory, timing: Mapping[str, Any] | None = None) -> None:
        """Stores the episode of job ``index``. It survives a kill from the moment this returns."""
        if index in self.done:
            raise DataError(f"Episode {index} is stored already.")
        shard = index // self.shard_size
        line = json.dumps({"index": index, "trajectory": trajectory.to_dict()}, ensure_ascii=True, default=str)
        journal = self._journal(shard)
        journal.write(line + "\n")
        journal.flush()
        if timing is not None:
            self._timing.write(json.dumps({"index": index, **timing}) + "\n")
            self._timing.flush()
        self.done.add(index)
        self._pending.setdefault(shard, {})[index] = trajectory
        self._complete(shard)

    def close(self) -> None:
        """Closes the files. Episodes of incomplete shards stay in the journal."""
        for journal in self._journals.values():
            journal.close()
        self._journals.clear()
        self._timing.close()
        self._lock.close()

    def _open(self, config: Mapping[str, Any], resume: bool) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"Another process is writing the run in {str(self.path)!r}.") from None
        for folder in ("trajectories", "turns", "journal"):
            (self.path / folder).mkdir(exist_ok=True)
        text = json.dumps(config, indent=2, ensure_ascii=False, default=str)
        stored = self.path / "run.json"
        if not stored.exists():
            replace(stored, text + "\n")
            return
        if not resume:
            raise ConfigError(
                f"{str(self.path)!r} holds a run already. Add --resume to go on with it, or name another folder."
            )
        before, now = json.loads(stored.read_text("utf-8")), json.loads(text)
        changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key) and key != "version"]
        if changed:
            details = "; ".join(f"{key}: {before.get(key)!r} then, {now.get(key)!r} now" for key in changed)
            raise ConfigError(f"The run in {str(self.path)!r} has another configuration ({details}).")

    def _recover(self) -> None:
        """Reads what an earlier process left: whole shards, then journals without their torn last lines."""
        for shard in range(-(-self.episodes // self.shard_size)):
            journal = self.path / "journal" / f"{shard:05d}.jsonl"
            if self._file("trajectories", shard).exists():
                self.done.update(self._range(shard))
                journal.unlink(missing_ok=True)
                continue
            if not journal.exists():
                continue
            whole = 0
            with journal.open("rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    whole += len(line)
                    row = json.loads(line)
                    self._pending.setdefault(shard, {})[row["index"]] = Trajectory.from_dict(row["trajectory"])
            os.truncate(journal, whole)
            self.done.update(self._pending.get(shard, ()))
            self._complete(shard)

    def _journal(self, shard: int) -> IO[str]:
        if shard not in self._journals:
            self._journals[shard] = (self.path / "journal" / f"{shard:05d}.jsonl").open("a", encoding="utf-8")
        return self._journals[shard]

    def _range(self, shard: int) -> range:
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.episodes))

    def _file(self, table: str, shard: int) -> Path:
        return self.path / table / f"{shard:05d}.parquet"

    def _complete(self, shard: int) -> None:
        """Turns the journal of a shard that has all its episodes into Parquet."""
        found = self._pending.get(shard, {})
        if len(found) < len(self._range(shard)):
            return
        trajectories, turns = to_tables([found[index] for index in self._range(shard)])
        for table, name in ((turns, "turns"), (trajectories, "trajectories")):
            target = self._file(name, shard)
            partial = target.with_suffix(".partial")
            pq.write_table(table, partial, compression="zstd")
            partial.replace(target)
        if (journal := self._journals.pop(shard, None)) is not None:
            journal.close()
        (self.path / "journal" / f"{shard:05d}.jsonl").unlink(missing_ok=True)
        del self._pending[shard]


def read_run(path: Path) -> Iterator[Trajectory]:
    """Every stored episode of a run in the order of the jobs, a shard in memory at a time.

    Reads unfinished runs too. Raises DataError where there is no run.
    """
    read_config(path)
    names = {
        file.stem
        for table in ("trajectories", "journal")
        for file in (path / table).glob("*.*")
        if file.suffix != ".partial"
    }
    for name in sorted(names):
        try:
            lines = (path / "journal" / f"{name}.jsonl").read_bytes().splitlines(keepends=True)
        except FileNotFoundError:  # the shard is whole, or became so since we looked
            table, turns = (pq.read_table(path / kind / f"{name}.parquet") for kind in ("trajectories", "turns"))
            yield from from_tables(table, turns)
            continue
        rows = [json.loads(line) for line in lines if line.endswith(b"\n")]
        for row in sorted(rows, key=lambda row: int(row["index"])):
            yield Trajectory.from_dict(row["trajectory"])


def read_config(path: Path) -> dict[str, Any]:
    """The resolved configuration of a run. Raises DataError where there is none."""
    file = path / "run.json"
    if not file.exists():
        raise DataError(
            f"{str(path)!r} is not a run: it has no run.json. Make one with 'agentgym rollout --out {path}'."
        )
    config: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return config


def replace(path: Path, text: str) -> None:
    """Writes a file so that a reader sees the old text or the new one, never a part."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json_safe(text), "utf-8")
    partial.replace(path)
