"""Grading that can't be fooled, as far as that can be had with tests that share a process with what they test.

The agent's source files, and nothing else, are carried into a fresh sandbox that holds the pristine repository with the
bug. Tests, configuration and hooks are the original ones. Into every test file one test is planted that must fail with
a number that nobody could know: code that swallows exceptions, patches the framework or ends the process early shows
there. A report counts only when it is complete, fits the exit code and the framework is what it was before.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from agentgym.environments.swe.bugs import Bug, unified_diff
from agentgym.environments.swe.checkout import PYTHON, put
from agentgym.environments.swe.hiding import function_of
from agentgym.environments.swe.package import Files, Package
from agentgym.environments.swe.runner import Report, run_tests
from agentgym.sandboxes import Sandbox

Changes = Mapping[str, bytes | None]
"""Path -> new content, or None where a file was deleted."""

_SENTINEL = """


import unittest as unittest_{name}


class Test{name}(unittest_{name}.TestCase):
    def test_{name}(self):
        self.assertEqual("{left}", "{right}")
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a submission did."""

    solved: bool
    """Every FAIL_TO_PASS and every PASS_TO_PASS test passes."""
    empty: bool
    """The submission changes no source file."""
    passed: frozenset[str]
    """FAIL_TO_PASS tests that pass."""
    broken: tuple[str, ...]
    """PASS_TO_PASS tests that no longer pass."""
    share: float
    """Weighted share of the hidden FAIL_TO_PASS tests that passes (special-casing what is visible earns nothing); 0
    when something else broke."""
    suspicious: str
    """Why the run could not be trusted; empty when it could."""
    patch: str
    """The submission as a diff."""


def source_changes(package: Package, before: Files, after: Files) -> dict[str, bytes | None]:
    """What an agent changed in the package's source. All else that it did does not count."""
    paths = [path for path in sorted({*before, *after}) if package.is_source(path)]
    return {path: after.get(path) for path in paths if before.get(path) != after.get(path)}


def test_files(package: Package, tests: frozenset[str] | set[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Files that hold those tests, sorted."""
    return tuple(sorted({function_of(test)[0] for test in tests}))


def run_changed(
    sandbox: Sandbox,
    package: Package,
    files: Files,
    changes: Changes,
    paths: tuple[str, ...],
    python: tuple[str, ...] = PYTHON,
) -> tuple[Report, str]:
    """Runs test files with a change applied, each with a planted test.

    Args:
        sandbox: A fresh checkout; ``files`` lie over it.
        package: How tests are run.
        files: Files that differ from the pristine checkout: the bug, and test files as they are to be run.
        changes: The submission.
        paths: Test files to run. All of them must be in ``files``.
        python: The interpreter's command line.

    Returns:
        The report without the planted tests, and why it can't be trusted (empty when it can).
    """
    name, left, right = (secrets.token_hex(6) for _ in range(3))
    sentinel = _SENTINEL.format(name=name, left=left, right=right).encode()
    planted = {path: files[path].rstrip(b"\n") + b"\n" + sentinel for path in paths}
    put(sandbox, {**files, **changes, **planted})
    report = run_tests(sandbox, package, paths, python)
    suspicious = report.suspicious or ("" if report.complete else "The test run ended before its end.")
    if not suspicious and report.exit_code != 1:
        suspicious = f"The exit code is {report.exit_code} although a planted test must fail."
    for path in paths:
        test = f"{path}::Test{name}::test_{name}"
        outcome, message = report.outcomes.pop(test, None), report.messages.pop(test, "")
        failed_as_planted = outcome == "failed" and left in message and right in message
        # A file that can't be imported reports itself, and its tests count as failed: nothing is hidden then.
        if not suspicious and not failed_as_planted and path not in report.outcomes:
            suspicious = f"The planted test in {path} did not fail as it must."
    return report, suspicious


def grade(
    sandbox: Sandbox, package: Package, bug: Bug, pristine: Files, planted: bytes, changes: Changes,
    pass_to_pass: frozenset[str],
) -> Verdict:  # fmt: skip
    """Grades a submission in a fresh checkout."""
    before = {bug.path: planted}
    full_before = {**pristine, **before}
    after = {**full_before, **{path: data for path, data in changes.items() if data is not None}}
    for path, data in changes.items():
        if data is None:
            after.pop(path, None)
    patch = unified_diff(full_before, after)
    if not changes:
        return Verdict(False, True, frozenset(), (), 0.0, "", "")
    paths = test_files(package, pass_to_pass | set(bug.fail_to_pass))
    files = {**before, **{path: pristine[path] for path in paths}}
    report, suspicious = run_changed(sandbox, package, files, changes, paths)
    if suspicious:
        return Verdict(False, False, frozenset(), (), 0.0, suspicious, patch)
    passed = frozenset(test for test in bug.fail_to_pass if report.outcomes.get(test) == "passed")
    # A test that is skipped now keeps what it had, unless it is one that the bug broke.
    broken = tuple(test for test in sorted(pass_to_pass) if report.outcomes.get(test) not in ("passed", "skipped"))
    solved = len(passed) == len(bug.fail_to_pass) and not broken
    share = 1.0 if solved else 0.0 if broken else _share(bug, passed)
    return Verdict(solved, False, passed, broken, share, "", patch)


def _share(bug: Bug, passed: frozenset[str]) -> float:
    weights = dict(zip(bug.fail_to_pass, bug.weights or (1.0,) * len(bug.fail_to_pass), strict=True))
    total = sum(weights[test] for test in bug.hidden)
    return min(sum(weights[test] for test in bug.hidden if test in passed) / total, 1.0)
