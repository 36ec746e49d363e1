"""The sandbox under test, what the checks run in it, and what they look for on the host."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.keeper.cgroups import owner_alive, owner_name
from agentgym.sandboxes.protocol import ExecResult, Limits, MiB, SandboxSpec

SMALL = SandboxSpec(limits=Limits(wall=20.0, cpu=20.0, memory=192 * MiB, processes=48, disk=24 * MiB, output=64 * 1024))
"""Tight limits, so that breaking them is quick."""


@dataclass
class SandboxSubject:
    """A backend: how to make one sandbox of it."""

    open: Callable[[SandboxSpec], Sandbox]

    def make(self, spec: SandboxSpec = SMALL) -> Sandbox:
        """A fresh sandbox."""
        return self.open(spec)


def python(sandbox: Sandbox, code: str, *args: str, timeout: float | None = None) -> ExecResult:
    """Runs Python code in a sandbox, without site packages."""
    return sandbox.exec(["python3", "-I", "-S", "-c", code, *args], timeout=timeout)


def host_processes(marker: str) -> list[str]:
    """Command lines on this machine that contain ``marker``."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if marker in line and state != "Z" and int(folder.name) != os.getpid():
            found.append(f"{folder.name} {line.strip()}")
    return found


@dataclass(frozen=True)
class Footprint:
    """What of this process's sandboxes is on this machine now, and of processes that are gone."""

    mounts: frozenset[str]
    named: frozenset[str]
    """Control groups, files and containers that carry the name of their owner."""
    descriptors: int

    @classmethod
    def now(cls) -> Footprint:
        """Takes it."""
        mounts = [line.split(" - ")[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        paths = [*Path("/sys/fs/cgroup").glob("**/agentgym-*"), *Path(tempfile.gettempdir()).glob("agentgym-*")]
        named = [str(path) for path in paths if not _somebody_elses(path.name)]
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        return cls(frozenset(mounts), frozenset([*named, *_containers()]), descriptors)

    def grown(self, before: Footprint, *, descriptors: bool = True) -> list[str]:
        """What is here now and was not before. Without ``descriptors``, those of this process don't count."""
        new = sorted((self.mounts - before.mounts) | (self.named - before.named))
        if descriptors and self.descriptors > before.descriptors:
            new.append(f"{self.descriptors - before.descriptors} open file descriptors")
        return new


def _somebody_elses(name: str) -> bool:
    """Whether another process that still runs owns it."""
    for part in name.split("-"):
        if owner_alive(part):
            return part != owner_name(os.getpid())
    return False


def _containers() -> list[str]:
    """Containers and images of this machine's sandboxes, where a Docker client was used already."""
    docker = sys.modules.get("agentgym.sandboxes.docker")
    if docker is None or not docker.connect.cache_info().currsize:
        return []
    client = docker.connect()
    wanted = {"label": "agentgym.owner"}
    found = [*client.containers(all=True, filters=wanted), *client.images(filters=wanted)]
    return [item["Id"] for item in found if not _somebody_elses(item["Labels"]["agentgym.owner"].rpartition(":")[2])]
