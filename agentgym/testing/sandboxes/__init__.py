"""The conformance and escape suite for sandboxes: ours, and those of third parties.

``check_sandbox(MySandbox)`` in a test. Hostile code really runs: use it where a failing sandbox may do harm.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.protocol import SandboxSpec
from agentgym.testing.checks.subject import NotApplicable
from agentgym.testing.conformance import CheckResult, ConformanceError
from agentgym.testing.sandboxes import behaviour, escapes, exhaustion, leaks
from agentgym.testing.sandboxes.subject import SMALL, SandboxSubject

BEHAVIOUR = behaviour.CHECKS
ESCAPES = (*exhaustion.CHECKS, *escapes.CHECKS)
LEAKS = leaks.CHECKS


def check_sandbox(open_one: Callable[[SandboxSpec], Sandbox], *, only: tuple[str, ...] = ()) -> list[CheckResult]:
    """Runs every check on a backend; escapes only when it says that it isolates.

    Args:
        open_one: Makes one sandbox.
        only: Names of the checks to run. Empty: all.

    Raises:
        ConformanceError: Some checks failed.
    """
    subject = SandboxSubject(open_one)
    with subject.make() as sandbox:
        name, isolated = sandbox.backend, sandbox.isolated
    results = []
    for check in (*BEHAVIOUR, *(ESCAPES if isolated else ()), *LEAKS):
        if only and check.__name__ not in only:
            continue
        began = time.perf_counter()
        claim = (check.__doc__ or "").strip().splitlines()[0]
        status, detail = "passed", ""
        try:
            check(subject)
        except NotApplicable as reason:
            status, detail = "not applicable", str(reason)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            status, detail = "failed", f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        results.append(CheckResult(check.__name__, claim, status, detail, time.perf_counter() - began))  # type: ignore[arg-type]
    if any(result.status == "failed" for result in results):
        raise ConformanceError(f"The sandbox {name!r}", results)
    return results


__all__ = ["BEHAVIOUR", "ESCAPES", "LEAKS", "SMALL", "SandboxSubject", "check_sandbox"]
