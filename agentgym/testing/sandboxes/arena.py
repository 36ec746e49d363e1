"""Where hostile code may run: proof, in the attacking command itself, that it can't reach this machine's processes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.protocol import ExecResult
from agentgym.testing.checks.subject import expect
from agentgym.testing.sandboxes.subject import SandboxSubject, bystander, python

# The pattern does not match itself, which stands in this command's own line.
_SHELL_GUARD = (
    'case $(readlink /proc/self/ns/pid) in "{host}"|"") exit 98;; "pid:["*"]") ;; *) exit 98;; esac; '
    "grep -qs '[b]{mark}' /proc/[0-9]*/cmdline && exit 98; "
)
_PYTHON_GUARD = (
    "import os\n_own = os.readlink('/proc/self/ns/pid')\n"
    "if not _own.startswith('pid:[') or _own == '{host}': os._exit(98)\n"
)
_REFUSED = 98


@dataclass
class Arena:
    """A sandbox in which ending processes, and making many, can't reach the host.

    Whether that is so is looked at in the very command that attacks, before it does: it must be in a process namespace
    that is not ours, and must not see a process that was started out here. Where it is not so, the attack isn't tried.
    """

    sandbox: Sandbox
    mark: str

    def shell(self, script: str, *, timeout: float | None = None) -> ExecResult:
        """Runs a script of bash's, if it can do no harm."""
        guard = _SHELL_GUARD.format(host=_own_namespace(), mark=self.mark[1:])
        return self._allowed(self.sandbox.exec(["/bin/bash", "-c", guard + script], timeout=timeout))

    def python(self, code: str, *args: str, timeout: float | None = None) -> ExecResult:
        """Runs Python code, if it can do no harm."""
        guard = _PYTHON_GUARD.format(host=_own_namespace())
        return self._allowed(python(self.sandbox, guard + code, *args, timeout=timeout))

    def _allowed(self, result: ExecResult) -> ExecResult:
        expect(
            result.exit_code != _REFUSED,
            "The sandbox shares the host's process namespace; the attack was not even tried.",
        )
        return result


def _own_namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


@contextmanager
def arena(subject: SandboxSubject) -> Iterator[Arena]:
    """A sandbox to attack. Afterwards an innocent process of the host must still run.

    Raises:
        CheckFailure: It is no place to attack, or the innocent was killed.
    """
    mark = f"bystander-{secrets.token_hex(8)}"
    with subject.make() as sandbox, bystander(mark) as innocent:
        place = Arena(sandbox, mark)
        place.shell("true")
        yield place
        expect(innocent.poll() is None, "A process of the host that has nothing to do with sandboxes was killed.")
