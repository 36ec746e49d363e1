"""Stored runs made into others: several into one, or a part of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.records import Trajectory
from agentgym.rollout.shards import MANIFEST, TABLES, replace, write_shard
from agentgym.rollout.storage import SHARD_SIZE, read_config, read_run

ALIKE = ("env_id", "scheme", "components", "action_format", "layout")
"""Entries of the configuration that runs must share to be merged: without them rewards can't be compared."""


def merge_runs(paths: Sequence[Path], out: Path) -> int:
    """Writes all episodes of several runs as one; returns how many there are.

    Ids get the number of their run in front, so that groups of different runs stay apart.

    Raises:
        ConfigError: Fewer than two runs, one of them twice, or ``out`` isn't free.
        DataError: One of them is no run, or they differ in what makes rewards comparable.
    """
    if len(paths) < 2 or len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError("Merging takes two or more different runs.")
    configs = [read_config(path) for path in paths]
    for path, config in zip(paths[1:], configs[1:], strict=True):
        for key in ALIKE:
            if config.get(key) != configs[0].get(key):
                raise DataError(
                    f"{str(path)!r} has another {key} than {str(paths[0])!r}: {_short(config.get(key))} and "
                    f"{_short(configs[0].get(key))}. Only runs that share it can be merged."
                )

    def renamed() -> Iterator[Trajectory]:
        for number, path in enumerate(paths):
            for trajectory in read_run(path):
                trajectory.trajectory_id = f"r{number}-{trajectory.trajectory_id}"
                trajectory.group_id = f"r{number}-{trajectory.group_id}"
                if trajectory.parent_id:
                    trajectory.parent_id = f"r{number}-{trajectory.parent_id}"
                yield trajectory

    sources = [{"run": path.name, **config} for path, config in zip(paths, configs, strict=True)]
    return write_run(out, {**configs[0], "merged_from": sources}, renamed())


def filter_run(path: Path, out: Path, keep: Callable[[Trajectory], bool], description: Mapping[str, Any]) -> int:
    """Writes the episodes of a run that ``keep`` wants; returns how many there are.

    Args:
        path: The run.
        out: Where the new one goes.
        keep: Whether an episode stays.
        description: What was kept, for the new run's configuration.
    """
    config = read_config(path)
    return write_run(out, {**config, "filtered": dict(description)}, filter(keep, read_run(path)))


def write_run(out: Path, config: Mapping[str, Any], trajectories: Iterable[Trajectory]) -> int:
    """Writes a finished run; returns how many episodes it has. The configuration comes last: without it it is no run.

    Raises:
        ConfigError: ``out`` exists and isn't an empty folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{str(out)!r} exists already and is not an empty folder; name another one.")
    for table in TABLES:
        (out / table).mkdir(parents=True, exist_ok=True)
    source, lines, count = iter(trajectories), [], 0
    while rows := list(islice(source, SHARD_SIZE)):
        lines.append(write_shard(out, count // SHARD_SIZE, count, len(rows), rows).line())
        count += len(rows)
    replace(out / MANIFEST, "".join(lines))
    changed = {"episodes": count, "shard_size": SHARD_SIZE, "tree": ""}
    replace(out / "run.json", json.dumps({**config, **changed}, indent=2, ensure_ascii=False, default=str) + "\n")
    return count


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
