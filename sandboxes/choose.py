"""Which backend to use, what works on this host, and what to remove after a crash."""

from __future__ import annotations

from typing import NamedTuple

from agentgym.core.errors import AgentGymError, UnsupportedError
from agentgym.core.registry import Registry
from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.protocol import SandboxSpec

BACKENDS: Registry[type[Sandbox]] = Registry("sandbox backend")
BACKENDS.register(
    "bubblewrap",
    "agentgym.sandboxes.bubblewrap:BubblewrapSandbox",
    "Linux namespaces; nothing to install but bwrap",
)
BACKENDS.register("docker", "agentgym.sandboxes.docker:DockerSandbox", "Containers of a Docker daemon; any image")
BACKENDS.register("subprocess", "agentgym.sandboxes.plain:PlainSandbox", "No isolation at all; only when asked for")
_SAFE = ("bubblewrap", "docker")


def open_sandbox(spec: SandboxSpec | None = None, backend: str = "auto") -> Sandbox:
    """Opens a sandbox.

    Args:
        spec: What it is to be like.
        backend: A name, or ``auto``: bubblewrap where it works, else Docker. Never one that doesn't isolate.

    Raises:
        UnknownNameError: No such backend.
        UnsupportedError: It doesn't work on this host. Says how to fix that.
    """
    spec = spec or SandboxSpec()
    if backend != "auto":
        return BACKENDS.get(backend)(spec)
    problems = []
    for name in _SAFE:
        try:
            return BACKENDS.get(name)(spec)
        except (UnsupportedError, ImportError) as error:
            problems.append(f"{name}: {error}")
    raise UnsupportedError("No sandbox works on this host.\n  " + "\n  ".join(problems))


class Diagnosis(NamedTuple):
    """Whether one backend works here."""

    name: str
    ok: bool
    detail: str
    fix: str
    """What to do about it; empty when it works."""


def diagnose() -> list[Diagnosis]:
    """Tries every isolating backend with one command."""
    found = []
    for name in _SAFE:
        try:
            with BACKENDS.get(name)(SandboxSpec()) as sandbox:
                result = sandbox.exec(["true"])
                weak = {"wall", "cpu", "memory", "processes", "open_files", "disk", "output"} - sandbox.enforces
            detail = f"a command takes {1000 * result.duration:.0f} ms"
            found.append(Diagnosis(name, result.ok, detail + (f"; no limit on {sorted(weak)}" if weak else ""), ""))
        except (AgentGymError, ImportError, OSError) as error:
            found.append(Diagnosis(name, False, "does not work here", str(error)))
    return found


def remove_stale(backend: str) -> list[str]:
    """Removes what processes that were killed left on this host. Opening a sandbox does it too, once a process.

    Returns:
        What was removed.
    """
    if backend == "docker":
        from agentgym.sandboxes import docker

        return docker.remove_stale(docker.connect())
    if backend == "subprocess":
        from agentgym.sandboxes import plain

        return plain.remove_stale()
    from agentgym.sandboxes.keeper import cgroups

    return [str(path) for path in cgroups.find().stale() if cgroups.remove(path)]
