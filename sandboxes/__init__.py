"""Where untrusted code runs."""

if __name__ != "agentgym.sandboxes":
    raise ImportError(
        f"Import this package as 'agentgym.sandboxes', not as '{__name__}': the folder is part of agentgym."
    )

from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.choose import BACKENDS, Diagnosis, diagnose, open_sandbox, remove_stale
from agentgym.sandboxes.protocol import HOME, WORKSPACE, Entry, ExecResult, Limits, SandboxSpec
from agentgym.sandboxes.shell import Shell

__all__ = [
    "BACKENDS",
    "HOME",
    "WORKSPACE",
    "Diagnosis",
    "Entry",
    "ExecResult",
    "Limits",
    "Sandbox",
    "SandboxSpec",
    "Shell",
    "diagnose",
    "open_sandbox",
    "remove_stale",
]
