"""Runs tests in a sandbox and reads what they report.

``supervisor`` and ``child`` are sent into the sandbox as text. What the child says about itself is cross-checked here
(exit code, completeness, nothing after the end) and in ``grading`` (planted tests that must fail).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from agentgym.core.errors import Boundary, Fault
from agentgym.environments.swe.package import Package
from agentgym.sandboxes import ExecResult, Sandbox

Outcome = Literal["passed", "failed", "skipped"]


@cache
def _program(name: str) -> str:
    return (resources.files("agentgym.environments.swe") / f"{name}.py").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Report:
    """What a run of the tests said."""

    outcomes: dict[str, Outcome]
    messages: dict[str, str]
    exit_code: int
    complete: bool
    """Whether the child got to its end by itself."""
    suspicious: str
    """Why the report can't be trusted; empty when it can."""
    text: str
    """What the tests printed."""
    timed_out: bool = False


def run_tests(
    sandbox: Sandbox, package: Package, files: tuple[str, ...], python: tuple[str, ...], only: tuple[str, ...] = ()
) -> Report:
    """Runs test files in a sandbox.

    Args:
        sandbox: Where the repository lies in the workspace.
        package: How its tests are run.
        files: Which test files, relative to the repository.
        python: The interpreter's command line.
        only: Ids of the tests to run. Empty: all.

    Raises:
        Fault: At the boundary ``grader``: not even the supervisor got to its end, and not for lack of time.
    """
    job = {
        "framework": package.framework, "files": list(files), "options": list(package.options),
        "path": [sandbox.absolute(entry) for entry in package.path], "only": list(only), "plugins": package.plugins,
    }  # fmt: skip
    env = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    if not package.plugins:
        env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    stdin = base64.b64encode(json.dumps({"job": job, "child": _program("child"), "env": env}).encode())
    limits = sandbox.spec.limits
    result = sandbox.exec(
        [*python, "-I", "-S", "-B", "-c", _program("supervisor")],
        stdin=stdin,
        limits=type(limits)(
            wall=package.timeout, cpu=2 * package.timeout, memory=limits.memory, processes=limits.processes,
            open_files=limits.open_files, disk=limits.disk, output=32 << 20,
        ),
    )  # fmt: skip
    return read_report(result)


def read_report(result: ExecResult) -> Report:
    """The report in the supervisor's output."""
    if result.timed_out or result.oom:
        reason = "The tests took too long." if result.timed_out else "The tests used too much memory."
        return Report({}, {}, result.exit_code, False, reason, "", timed_out=result.timed_out)
    try:
        data: dict[str, Any] = json.loads(result.stdout)
    except ValueError:
        detail = (result.error_text or result.text)[-300:]
        raise Fault(Boundary.GRADER, f"the test supervisor failed (exit {result.exit_code}): {detail}") from None
    outcomes: dict[str, Outcome] = {}
    messages: dict[str, str] = {}
    suspicious, complete = "", False
    for line in data["lines"]:
        if complete or "garbled" in line:
            suspicious = "The report was written to by something else."
        elif "plugin" in line:
            suspicious = f"A plugin from {line['plugin']} was added to pytest."
        elif line.get("done"):
            complete = True
            if line["changed"]:
                suspicious = f"The test framework was changed while it ran: {', '.join(line['changed'])}."
            if line["code"] != data["code"]:
                suspicious = "The exit code differs from the report."
        else:
            test, outcome = str(line.get("id")), line.get("outcome")
            if outcome not in ("passed", "failed", "skipped"):
                suspicious = "The report holds an unknown outcome."
            elif outcomes.get(test) == "passed" and outcome != "passed":
                suspicious = f"{test} was reported twice, differently."
            if outcome == "failed" or test not in outcomes:
                outcomes[test] = outcome
                messages[test] = str(line.get("message", ""))
    return Report(outcomes, messages, data["code"], complete, suspicious, data["text"])
