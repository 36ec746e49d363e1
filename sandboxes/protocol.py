"""What a sandbox is: a place where untrusted commands run, with files that can be snapshotted and forked.

This module is the plain data: limits, how to make one, what came of a command. ``base.Sandbox`` is the interface.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from agentgym.core.errors import ConfigError

WORKSPACE = "/workspace"
"""Where commands start, and where a task's files live."""
HOME = "/home/agent"
WRITABLE = (WORKSPACE, "/tmp", HOME)
"""The only folders that a command can write to. All of them are in snapshots and forks."""

MiB = 1 << 20
MAX_TRANSFER = 256 * MiB
"""Bytes that ``read_file`` and ``download`` take out of a sandbox at most."""

MAX_ENDPOINTS = 64
"""That one sandbox may reach."""
_ENDPOINT = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,251}[A-Za-z0-9])?:([0-9]{1,5})", re.ASCII)
_MOST = 1 << 62
"""What every limit stays below: the kernel counts in 64 bits."""

LimitName = Literal["wall", "cpu", "memory", "processes", "open_files", "disk", "output"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one command may use. ``disk`` alone counts over the sandbox's life."""

    wall: float = 60.0
    """Seconds on the clock. The command and everything it started are killed after that."""
    cpu: float = 120.0
    """Seconds of processor time: of all processes together where control groups are writable, else of each."""
    memory: int = 1024 * MiB
    """Bytes of all processes together (control groups) or of each (``RLIMIT_AS``)."""
    processes: int = 128
    """Processes and threads alive at once."""
    open_files: int = 1024
    """File descriptors of one process."""
    disk: int = 512 * MiB
    """Bytes that the sandbox may hold in its writable folders, and the size of the largest file."""
    output: int = MiB
    """Bytes of ``stdout`` and of ``stderr`` that are kept. The middle of longer output is dropped; a command that
    writes more than 256 times as much is killed."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            whole = item.name not in ("wall", "cpu")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                kind = "an integer" if whole else "a number of seconds"
                raise ConfigError(f"Limits.{item.name} must be {kind}, got {value!r}.")
            if not 0 < value <= _MOST:
                raise ConfigError(f"Limits.{item.name} must be positive and at most {_MOST}, got {value!r}.")


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """How to make a sandbox. Plain data: picklable and comparable."""

    image: str = "host"
    """``host``: the programs of this machine (``/usr`` without ``/usr/local``), read-only. Else the path of a root
    file system (bubblewrap) or the name of an image (Docker)."""
    mounts: tuple[tuple[str, str], ...] = ()
    """Read-only folders or files: pairs of (path on this machine, path inside). Everybody must be allowed to read
    them; the folders above them may be private."""
    env: tuple[tuple[str, str], ...] = ()
    """Variables of every command, on top of PATH, HOME, LANG, TZ and USER."""
    network: tuple[str, ...] = ()
    """``host:port`` endpoints that can be reached by TCP. Empty: no network at all."""
    limits: Limits = field(default_factory=Limits)
    writable_image: bool = False
    """Whether the image's own files can be changed (published images that keep the repository in ``/testbed``).
    Docker only; the disk limit then binds single files alone."""

    def __post_init__(self) -> None:
        for _, inside in self.mounts:
            if not inside.startswith("/") or posixpath.normpath(inside) != inside:
                raise ConfigError(f"A mount's path inside must be absolute and normal, got {inside!r}.")
        for endpoint in self.network:
            match = _ENDPOINT.fullmatch(endpoint)
            if match is None or not 0 < int(match[1]) < 65536:
                raise ConfigError(
                    f"Expected 'host:port', a name or an IPv4 address, in SandboxSpec.network, got {endpoint!r}."
                )
        if len(set(self.network)) < len(self.network) or len(self.network) > MAX_ENDPOINTS:
            raise ConfigError(f"SandboxSpec.network names an endpoint twice, or more than {MAX_ENDPOINTS} of them.")

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """All variables of a command. Nothing of this process's own environment is in them."""
        base = {"HOME": HOME, "LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": "UTC", "USER": "agent"}
        return {**base, **dict(self.env), **(extra or {})}


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What came of a command."""

    exit_code: int
    """128 + n when signal n ended it, as shells count."""
    stdout: bytes
    stderr: bytes
    truncated: bool = False
    """Whether the middle of ``stdout`` or ``stderr`` is missing."""
    timed_out: bool = False
    """Whether the wall-time or processor-time limit ended it."""
    oom: bool = False
    """Whether the kernel killed a process for memory."""
    duration: float = 0.0
    """Seconds on the clock, the backend's own work included."""

    @property
    def ok(self) -> bool:
        """Whether the command ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.timed_out

    @property
    def text(self) -> str:
        """``stdout`` as UTF-8; bytes that are not UTF-8 show as ``\\xNN``."""
        return self.stdout.decode("utf-8", "backslashreplace")

    @property
    def error_text(self) -> str:
        """``stderr`` as UTF-8; bytes that are not UTF-8 show as ``\\xNN``."""
        return self.stderr.decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder."""

    path: str
    """Relative to the folder that was listed; bytes that are not UTF-8 are surrogates (``os.fsencode`` undoes it)."""
    kind: Literal["file", "folder", "link", "other"]
    size: int
