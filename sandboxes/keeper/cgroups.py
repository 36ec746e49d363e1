"""Control groups, version 1 or 2, where this process may make them.

Every sandbox gets a group below the group that agentgym itself runs in, named ``agentgym-<owner>.<number>``. The
owner in the name is what the reaper looks for after a crash.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from agentgym.sandboxes.keeper.owners import OWNER, kill_if, owner_gone

PREFIX = "agentgym-"
_NAME = re.compile(rf"{PREFIX}({OWNER})\.\d+")
_WANTED = ("memory", "pids", "cpuacct")


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where groups can be made."""

    version: int
    """1 or 2; 0 where control groups can't be written."""
    parents: dict[str, Path]
    """Controller -> folder to make groups in. In version 2 all of them are the same folder."""

    def stale(self, also: str = "") -> list[Path]:
        """Groups of agentgym processes that are gone, and of the owner ``also``.

        Groups that others named alike are not ours and not in it.
        """
        found = []
        for parent in sorted(set(self.parents.values())):
            for path in sorted(parent.glob(f"{PREFIX}*")):
                name = _NAME.fullmatch(path.name)
                if name is not None and (name[1] == also or owner_gone(name[1])):
                    found.append(path)
        return found


def find(root: str = "/", own: int | None = None) -> Hierarchies:
    """Looks for writable control groups.

    Args:
        root: Where the host's file system is mounted.
        own: The process below whose group new ones go. Default: this one.
    """
    proc = Path(f"/proc/{own or os.getpid()}")
    groups = {}
    for line in (proc / "cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        groups.update(dict.fromkeys(names.split(","), path))
    parents: dict[str, Path] = {}
    unified: Path | None = None
    for line in (proc / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        mounted_root, target = before.split()[3:5]
        if kind == "cgroup":
            for name in set(options.split(",")) & set(_WANTED):
                parents[name] = _below(root, target, mounted_root, groups.get(name, "/"))
        elif kind == "cgroup2":
            unified = _below(root, target, mounted_root, groups.get("", "/"))
    parents = {name: path for name, path in parents.items() if os.access(path, os.W_OK)}
    if parents:
        return Hierarchies(1, parents)
    return _find_unified(unified)


def _below(root: str, target: str, mounted_root: str, group: str) -> Path:
    relative = os.path.relpath(group, mounted_root)
    top = Path(root) / target.lstrip("/")
    own = top / relative
    return top if relative.startswith("..") or not own.is_dir() else own


def _find_unified(own: Path | None) -> Hierarchies:
    """Version 2 hands controllers only to groups that hold no process: our own, or the nearest one above."""
    nothing = Hierarchies(0, {})
    if own is None:
        return nothing
    for parent in (own, *own.parents):
        if not (parent / "cgroup.subtree_control").exists():
            return nothing
        try:
            (parent / "cgroup.subtree_control").write_text("+memory +pids +cpu")
        except OSError:
            continue
        return Hierarchies(2, dict.fromkeys(("memory", "pids", "cpuacct"), parent))
    return nothing


class Group:
    """The control groups of one sandbox."""

    def __init__(self, where: Hierarchies, name: str) -> None:
        self._version = where.version
        self._paths = {controller: parent / f"{PREFIX}{name}" for controller, parent in where.parents.items()}
        for path in self._paths.values():
            path.mkdir(exist_ok=True)

    @property
    def controllers(self) -> frozenset[str]:
        """Which of ``memory``, ``pids`` and ``cpuacct`` bind."""
        return frozenset(self._paths)

    def limit(self, memory: int, processes: int) -> None:
        """Sets the limits of the next command.

        Files in memory that earlier ones left are charged to the group too. They come on top of ``memory``: else a
        sandbox whose files are as large as that could start nothing any more, not even ``rm``.
        """
        memory += self._files_held()
        names = ("memory.limit_in_bytes", "pids.max") if self._version == 1 else ("memory.max", "pids.max")
        for controller, name, value in zip(("memory", "pids"), names, (memory, processes), strict=True):
            if controller in self._paths:
                (self._paths[controller] / name).write_text(str(value))
        if self._version == 2:
            with contextlib.suppress(OSError):
                (self._paths["memory"] / "memory.swap.max").write_text("0")

    def _files_held(self) -> int:
        return _keyed(self._paths["memory"] / "memory.stat", "shmem") if "memory" in self._paths else 0

    def enter(self) -> None:
        """Moves the calling process in, which must have one thread."""
        # Moving one's own thread, which version 1 can, spares the kernel a lock that takes it up to 10 ms.
        name = "tasks" if self._version == 1 else "cgroup.procs"
        for path in set(self._paths.values()):
            (path / name).write_text("0")

    def oom_kills(self) -> int:
        """Processes that the kernel killed for memory so far."""
        if "memory" not in self._paths:
            return 0
        name = "memory.oom_control" if self._version == 1 else "memory.events"
        return _keyed(self._paths["memory"] / name, "oom_kill")

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        if "cpuacct" not in self._paths:
            return 0.0
        if self._version == 1:
            return int((self._paths["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
        return _keyed(self._paths["cpuacct"] / "cpu.stat", "usage_usec") / 1e6

    def close(self) -> None:
        """Kills what is left in it and removes it."""
        for path in set(self._paths.values()):
            remove(path)


def remove(path: Path) -> bool:
    """Kills every process of a group that ``Group`` made and removes it. False: it would not go."""
    if not _NAME.fullmatch(path.name):
        raise ValueError(f"{path} is no control group of a sandbox.")
    for attempt in range(50):
        for pid in _members(path):
            kill_if(pid, lambda pid: pid in _members(path))
        try:
            path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            time.sleep(0.001 * (attempt + 1))
        else:
            return True
    return False


def _members(path: Path) -> list[int]:
    """Processes of a group. The kernel gives 0 for those that this process namespace has no number for."""
    with contextlib.suppress(OSError):
        return [int(pid) for pid in (path / "cgroup.procs").read_text().split() if pid != "0"]
    return []


def _keyed(path: Path, key: str) -> int:
    for line in path.read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0
