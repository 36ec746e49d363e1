"""What works on this host, found out by trying, and what to do about the rest."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agentgym.core.errors import AgentGymError
from agentgym.sandboxes.choose import BACKENDS
from agentgym.sandboxes.keeper import cgroups, client
from agentgym.sandboxes.protocol import ExecResult, SandboxSpec

_LIMITS = {"wall", "cpu", "memory", "processes", "open_files", "disk", "output"}


class Diagnosis(NamedTuple):
    """Whether one backend, or one thing of the kernel's that backends use, works here."""

    name: str
    ok: bool
    detail: str
    fix: str
    """What to do about it; empty when it works."""


def diagnose() -> list[Diagnosis]:
    """Tries every backend with one command. Takes about a second where Docker works."""
    return [_try(name) for name in BACKENDS]


def diagnose_host() -> list[Diagnosis]:
    """Overlays, control groups and system call filters, which decide how well sandboxes work."""
    return [_overlays(), _control_groups(), _filters()]


def _try(name: str) -> Diagnosis:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backend without isolation says so; here that is in the detail
            with BACKENDS.get(name)(SandboxSpec()) as sandbox:
                sandbox.exec(["true"])
                result = sandbox.exec(["true"])
                weak = sorted(_LIMITS - sandbox.enforces)
    except (AgentGymError, ImportError, OSError) as error:
        return Diagnosis(name, False, "does not work here", str(error))
    if not result.ok:
        return Diagnosis(name, False, "does not work here", f"`true` failed in it: {result.error_text.strip()}")
    detail = "" if sandbox.isolated else "isolates nothing, so only when asked for by name; "
    detail += f"a command takes {1000 * result.duration:.0f} ms"
    return Diagnosis(name, True, detail + (f"; no limit on: {', '.join(weak)}" if weak else ""), "")


def _overlays() -> Diagnosis:
    try:
        overlay = client.get().hello["snapshots"] == "overlay"
    except (AgentGymError, OSError):
        overlay = "overlay" in Path("/proc/filesystems").read_text().split()
    if overlay:
        return Diagnosis("overlay", True, "snapshots and forks are copy-on-write", "")
    return Diagnosis("overlay", False, "snapshots are plain copies", "run as root, or with Linux 6.6 or later")


def _control_groups() -> Diagnosis:
    found = cgroups.find()
    if found.version:
        return Diagnosis("control groups", True, f"version {found.version}: {', '.join(sorted(found.parents))}", "")
    detail = "not writable: memory and processor time bind each process, not all together"
    return Diagnosis("control groups", False, detail, "run as root, or with systemd-run --user --scope -p Delegate=yes")


def _filters() -> Diagnosis:
    if any(line.startswith("Seccomp:") for line in _seccomp_lines()):
        return Diagnosis("seccomp", True, "system calls are filtered", "")
    return Diagnosis("seccomp", False, "this kernel filters no system calls", "use a kernel with CONFIG_SECCOMP_FILTER")


def _seccomp_lines() -> Iterator[str]:
    """Of a command in a sandbox, where that works."""
    try:
        with BACKENDS.get("bubblewrap")(SandboxSpec()) as sandbox:
            result: ExecResult = sandbox.exec(["cat", "/proc/self/status"])
            yield from (line for line in result.text.splitlines() if line.endswith("\t2"))
    except (AgentGymError, OSError):
        yield from Path("/proc/self/status").read_text().splitlines()
