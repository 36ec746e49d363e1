"""The sandbox under test, what the checks run in it, and what they look for on the host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.keeper.owners import OWNER, owner_gone, owner_name, spare_users
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


@contextmanager
def bystander(name: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this machine that has nothing to do with sandboxes and only looks as if.

    It is called ``name``, has ``variables``, and is of the user whom the sandboxes' commands run as.
    """
    user = spare_users()[0] if os.geteuid() == 0 else None
    process = subprocess.Popen(
        [name, "3600"], executable="/bin/sleep", env={"PATH": "/usr/bin:/bin", **variables}, stdin=subprocess.DEVNULL,
        user=user, start_new_session=True, cwd="/",
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def private_temporary_folder() -> Iterator[Path]:
    """Makes this process and its children put temporary files where nobody else does, so that what stays is theirs."""
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # commands may run as another user
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before
            os.environ.pop("TMPDIR")
            if variable is not None:
                os.environ["TMPDIR"] = variable


_DAEMONS = frozenset(("docker", "containerd", "overlay2", "containers"))
"""Folders in which a container daemon mounts, for whomever. Of those, containers are looked at and not mounts."""


@dataclass(frozen=True)
class Footprint:
    """What of this process's sandboxes is on this machine now, and of processes that are gone."""

    mounts: frozenset[str]
    named: frozenset[str]
    """Control groups and containers that carry the name of their owner, and temporary files."""
    descriptors: int

    @classmethod
    def now(cls) -> Footprint:
        """Takes it, within ``private_temporary_folder``."""
        mounts = [line.split(" - ")[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        mounts = [mount for mount in mounts if not _DAEMONS & set(mount.split()[4].split("/"))]
        groups = [path for path in Path("/sys/fs/cgroup").glob("**/agentgym-*") if _ours(path.name)]
        files = Path(tempfile.gettempdir()).iterdir()
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        return cls(frozenset(mounts), frozenset([*map(str, groups), *map(str, files), *_containers()]), descriptors)

    def grown(self, before: Footprint, *, descriptors: bool = True) -> list[str]:
        """What is here now and was not before. Without ``descriptors``, those of this process don't count."""
        new = sorted((self.mounts - before.mounts) | (self.named - before.named))
        if descriptors and self.descriptors > before.descriptors:
            new.append(f"{self.descriptors - before.descriptors} open file descriptors")
        return new


def _ours(name: str) -> bool:
    """Whether what has that name belongs to this process or to one that is gone."""
    owner = re.search(OWNER, name)
    return owner is not None and (owner_gone(owner[0]) or owner[0] == owner_name(os.getpid()))


def _containers() -> list[str]:
    """Containers and images of this machine's sandboxes, where a Docker client was used already."""
    docker = sys.modules.get("agentgym.sandboxes.docker")
    if docker is None or not docker.connect.cache_info().currsize:
        return []
    client = docker.connect()
    wanted = {"label": docker.LABEL}
    found = [*client.containers(all=True, filters=wanted), *client.images(filters=wanted)]
    return [item["Id"] for item in found if _ours(item["Labels"][docker.LABEL].rpartition(":")[2])]
