"""Which backend to use, and what to remove after a crash."""

from __future__ import annotations

from agentgym.core.errors import UnsupportedError
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


def remove_stale(backend: str) -> list[str]:
    """Removes what processes that were killed left on this host. Opening a sandbox does it too, once a process.

    Returns:
        What was removed.

    Raises:
        UnknownNameError: No such backend.
        UnsupportedError: It doesn't work on this host.
    """
    kind = BACKENDS.get(backend)
    return kind.remove_stale()
