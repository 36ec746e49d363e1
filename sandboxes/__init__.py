"""Where untrusted code runs."""

if __name__ != "agentgym.sandboxes":
    raise ImportError(
        f"Import this package as 'agentgym.sandboxes', not as '{__name__}': the folder is part of agentgym."
    )

from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.choose import BACKENDS, open_sandbox, remove_stale
from agentgym.sandboxes.diagnosis import Diagnosis, diagnose, diagnose_host
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
    "diagnose_host",
    "open_sandbox",
    "remove_stale",
]
