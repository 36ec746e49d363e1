"""Grading that can't be fooled, as far as that can be had with tests that share a process with what they test.

The agent's source files, and nothing else, are carried into a fresh sandbox that holds the pristine repository with the
bug. Tests, configuration and hooks are the original ones. Into every test file a test is planted that must fail with
numbers that nobody could know and a name like the others': code that swallows exceptions, patches the framework or ends
the process early shows there. The hidden tests compare honest values only (``honesty``), and where they pass they are
run once more, in another sandbox, changed so that they must fail: who reports them as passed forges reports. A report
counts only when it is complete, fits the exit code and the framework is what it was before.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentgym.environments.swe.bugs import Bug, hidden_functions, unified_diff
from agentgym.environments.swe.checkout import PYTHON, put
from agentgym.environments.swe.hiding import function_of, place_of
from agentgym.environments.swe.honesty import failing, wrapped
from agentgym.environments.swe.package import Files, Package
from agentgym.environments.swe.runner import Report, run_tests
from agentgym.sandboxes import Sandbox

Changes = Mapping[str, bytes | None]
"""Path -> new content, or None where a file was deleted."""

_METHOD = """


import unittest as unittest_{name}


class {title}Test(unittest_{name}.TestCase):
    def test_{name}(self):
        self.assertEqual({left}, {right})
"""
_FUNCTION = """


def test_{name}():
    import unittest
    unittest.TestCase().assertEqual({left}, {right})
"""
"""For pytest, which may have fixtures that a ``TestCase`` can't take."""


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
    name, (left, right) = _unused_name([files[path] for path in paths]), _two_numbers()
    form = _FUNCTION if package.framework == "pytest" else _METHOD
    sentinel = form.format(name=name, title=name.title().replace("_", ""), left=left, right=right).encode()
    planted = {path: files[path].rstrip(b"\n") + b"\n" + sentinel for path in paths}
    put(sandbox, {**files, **changes, **planted})
    report = run_tests(sandbox, package, paths, python)
    suspicious = _untrusted(report)
    for path in paths:
        problem = _check_planted(report, package, path, name, (left, right))
        # A file that can't be imported reports itself, and its tests count as failed: nothing is hidden then.
        if problem and not suspicious and path not in report.outcomes:
            suspicious = problem
    return report, suspicious


def _unused_name(sources: list[bytes]) -> str:
    """A name that looks like those of the other tests, so that nothing can tell the planted ones by it."""
    text = b"\n".join(sources).decode("utf-8", "replace")
    words = sorted({word for name in re.findall(r"def test_(\w+)", text) for word in name.lower().split("_") if word})
    words = [word for word in words if word.isalpha()] or ["basic", "empty", "nested", "order", "single"]
    while True:
        name = "_".join(secrets.choice(words) for _ in range(3))
        if name not in text and name.title().replace("_", "") not in text:
            return name


def _two_numbers() -> tuple[str, str]:
    return str(10_000 + secrets.randbelow(40_000)), str(50_000 + secrets.randbelow(40_000))


def _untrusted(report: Report) -> str:
    if report.suspicious or not report.complete:
        return report.suspicious or "The test run ended before its end."
    return "" if report.exit_code == 1 else f"The exit code is {report.exit_code} although a planted test must fail."


def _check_planted(report: Report, package: Package, path: str, name: str, words: tuple[str, str]) -> str:
    """Takes the planted test of a file out of a report; what is wrong with it, if anything."""
    title = name.title().replace("_", "")
    test = f"{path}::test_{name}" if package.framework == "pytest" else f"{path}::{title}Test::test_{name}"
    found = [one for one in report.outcomes if one == test or one.startswith(test + "[")]
    results = [(report.outcomes.pop(one), report.messages.pop(one, "")) for one in found]
    # A fixture of the package's may run it several times, and skip some.
    shown = [all(word in message for word in words) for outcome, message in results if outcome == "failed"]
    passed = any(outcome == "passed" for outcome, _ in results)
    return "" if shown and all(shown) and not passed else f"The planted test in {path} did not fail."


def grade(
    fresh: Callable[[], Sandbox], package: Package, bug: Bug, pristine: Files, planted: bytes, changes: Changes,
    pass_to_pass: frozenset[str],
) -> Verdict:  # fmt: skip
    """Grades a submission.

    Args:
        fresh: Opens a clean checkout of the pristine package.
        package: Its package.
        bug: The task.
        pristine: The package's files.
        planted: The file with the bug in it.
        changes: The submission.
        pass_to_pass: Tests that must still pass.
    """
    patch = _patch({**pristine, bug.path: planted}, changes)
    if not changes:
        return Verdict(False, True, frozenset(), (), 0.0, "", "")
    nonce, hidden = secrets.token_hex(6), hidden_functions(bug)
    paths = test_files(package, pass_to_pass | set(bug.fail_to_pass))
    files = {bug.path: planted, **{path: pristine[path] for path in paths}}
    files |= {path: wrapped(pristine[path], names, nonce) for path, names in hidden.items()}
    with fresh() as sandbox:
        report, suspicious = run_changed(sandbox, package, files, changes, paths)
    passed = frozenset(test for test in bug.fail_to_pass if report.outcomes.get(test) == "passed")
    if not suspicious and passed & set(bug.hidden):
        with fresh() as sandbox:
            suspicious = _forged(sandbox, package, bug, pristine, {bug.path: planted, **changes})
    if suspicious:
        return Verdict(False, False, frozenset(), (), 0.0, suspicious, patch)
    # A test that is skipped now keeps what it had, unless it is one that the bug broke.
    broken = tuple(test for test in sorted(pass_to_pass) if report.outcomes.get(test) not in ("passed", "skipped"))
    solved = len(passed) == len(bug.fail_to_pass) and not broken
    share = 1.0 if solved else 0.0 if broken else _share(bug, passed)
    return Verdict(solved, False, passed, broken, share, "", patch)


def _patch(before: Files, changes: Changes) -> str:
    after = {**before, **{path: data for path, data in changes.items() if data is not None}}
    for path in [path for path, data in changes.items() if data is None]:
        after.pop(path, None)
    return unified_diff(before, after)


def _forged(sandbox: Sandbox, package: Package, bug: Bug, pristine: Files, code: Changes) -> str:
    """Runs the hidden tests once more, changed so that every one of them must fail; what is wrong if one passes."""
    files: dict[str, bytes] = {}
    places: set[str] = set()
    for path, names in hidden_functions(bug).items():
        files[path], changed = failing(pristine[path], names, " != ".join(_two_numbers()))
        places |= {"::".join((path, *name)) for name in changed}
    test_sources = {path: data for path, data in pristine.items() if package.is_test(path)}
    tests = tuple(test for test in bug.hidden if place_of(test, test_sources) in places)
    if not tests:
        return ""
    put(sandbox, {**code, **files})
    report = run_tests(sandbox, package, test_files(package, tests), PYTHON, tests)
    if problem := _untrusted(report):
        return problem
    return "" if all(report.outcomes.get(test) == "failed" for test in tests) else "Failures were reported as passes."


def _share(bug: Bug, passed: frozenset[str]) -> float:
    weights = dict(zip(bug.fail_to_pass, bug.weights or (1.0,) * len(bug.fail_to_pass), strict=True))
    total = sum(weights[test] for test in bug.hidden)
    return min(sum(weights[test] for test in bug.hidden if test in passed) / total, 1.0)
