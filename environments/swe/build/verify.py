"""Which tests a bug breaks, found by running them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from agentgym.core.errors import DataError
from agentgym.core.seeding import derive_rng
from agentgym.environments.swe.bugs import Bug
from agentgym.environments.swe.build import issue, mutate
from agentgym.environments.swe.checkout import Checkouts
from agentgym.environments.swe.grading import run_changed, test_files
from agentgym.environments.swe.hiding import function_of, place_of
from agentgym.environments.swe.package import Environment, Files, Package
from agentgym.environments.swe.runner import Report
from agentgym.tools.python_source import parse

_MAX_SHARE = 0.3
"""A bug that breaks more of the suite than this is seen from anywhere: not a task."""
_MAX_BROKEN = 40


@dataclass(frozen=True, slots=True)
class Suite:
    """A package whose tests are known to pass and to be stable."""

    package: Package
    files: Files
    environment: Environment
    test_files: tuple[str, ...]
    passing: frozenset[str]
    """Tests that pass in every run."""


def establish(package: Package, files: Files, environment: Environment, checkouts: Checkouts, runs: int = 3) -> Suite:
    """Runs the untouched suite several times.

    Raises:
        DataError: Nothing passes, or the suite does not get to its end.
    """
    paths = tuple(path for path in sorted(files) if package.is_test(path) and _is_test_file(path))
    outcomes: list[dict[str, str]] = []
    printed = ""
    for _ in range(runs):
        report, suspicious = _run(package, files, environment, checkouts, {}, paths)
        if suspicious:
            raise DataError(f"The tests of {package.key} can't be run: {suspicious}\n{report.text[-2000:]}")
        outcomes.append(dict(report.outcomes))
        printed = report.text[-2000:]
    passing = frozenset(
        test for test, outcome in outcomes[0].items()
        if outcome == "passed" and all(other.get(test) == "passed" for other in outcomes)
    )  # fmt: skip
    if not passing:
        raise DataError(
            f"No test of {package.key} passes. Does it need other packages? Name them with --requires.\n{printed}"
        )
    return Suite(package, files, environment, paths, passing)


def _is_test_file(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.endswith(".py") and (name.startswith("test") or name.endswith("_test.py"))


def _run(
    package: Package, files: Files, environment: Environment, checkouts: Checkouts, changes: dict[str, bytes],
    paths: tuple[str, ...],
) -> tuple[Report, str]:  # fmt: skip
    with checkouts.open(package, files, environment) as sandbox:
        return run_changed(sandbox, package, {path: files[path] for path in paths}, changes, paths)


def examine(
    suite: Suite, checkouts: Checkouts, path: str, mutation: mutate.Mutation, split: str, runs: int = 2
) -> Bug | None:
    """The bug that a mutation plants, or None when it is none: nothing breaks, too much does, or runs differ.

    The first run is of the whole suite; later ones are of the files in which something broke, and must agree with it.
    """
    planted = mutate.apply(suite.files[path], mutation.family, mutation.index)
    if planted == suite.files[path] or not _compiles(planted):
        return None
    report, suspicious = _run(
        suite.package, suite.files, suite.environment, checkouts, {path: planted}, suite.test_files
    )
    broken = {test: report.messages.get(test, "") for test in suite.passing if report.outcomes.get(test) != "passed"}
    if suspicious or not 0 < len(broken) <= min(_MAX_SHARE * len(suite.passing), _MAX_BROKEN):
        return None
    paths = test_files(suite.package, set(broken))
    concerned = {test for test in suite.passing if function_of(test)[0] in paths}
    for _ in range(runs - 1):
        again, suspicious = _run(suite.package, suite.files, suite.environment, checkouts, {path: planted}, paths)
        if suspicious or {test for test in concerned if again.outcomes.get(test) != "passed"} != set(broken):
            return None
    return _describe(suite, path, mutation, planted, broken, split)


def _compiles(source: bytes) -> bool:
    try:
        compile(parse(source), "<bug>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _describe(
    suite: Suite, path: str, mutation: mutate.Mutation, planted: bytes, failing: dict[str, str], split: str
) -> Bug | None:
    package = suite.package
    recipe: dict[str, Any] = {"family": mutation.family, "index": mutation.index}
    name = hashlib.sha256(f"{package.key} {path} {recipe}".encode()).hexdigest()[:8]
    instance = f"{package.name}__{package.version}.{mutation.family}__{name}"
    tests = tuple(sorted(failing))
    places = places_of(suite, tests)
    removed = hide(instance, places)
    if not removed:
        return None
    hidden = tuple(test for test in tests if places[test] in removed)
    functions = len({function_of(test) for test in tests})
    return Bug(
        instance_id=instance,
        package=package.key,
        path=path,
        mutator=mutation.family,
        target=mutation.target,
        recipe=recipe,
        sha256=hashlib.sha256(planted).hexdigest(),
        fail_to_pass=tests,
        hidden=hidden,
        statement=issue.write(instance, package.name, tests, failing, set(tests) - set(hidden)),
        split=split,
        difficulty=round(1.0 / functions**0.5, 3),
        removed=removed,
    )


def places_of(suite: Suite, tests: tuple[str, ...]) -> dict[str, str]:
    """Test -> the function that it is."""
    files = {path: data for path, data in suite.files.items() if suite.package.is_test(path) and path.endswith(".py")}
    return {test: place_of(test, files) for test in tests}


def hide(instance: str, places: dict[str, str]) -> tuple[str, ...]:
    """At least half of the failing test functions, chosen by the instance's name; all parameters of one go together,
    and so do all classes that inherit it. Empty where one can't be found, and so could not be hidden."""
    if "" in places.values():
        return ()
    functions = sorted(set(places.values()))
    order = derive_rng("swe hidden", instance).permutation(len(functions))
    return tuple(sorted(functions[i] for i in order[: (len(functions) + 1) // 2]))


def weigh(bugs: list[Bug]) -> list[Bug]:
    """Gives each failing test its weight: tests that few of the package's bugs break weigh more (VeRPO's idea, with
    the bugs of a package in the place of a group's attempts)."""
    counts: dict[str, int] = {}
    for bug in bugs:
        for test in bug.fail_to_pass:
            counts[test] = counts.get(test, 0) + 1
    weighed = []
    for bug in bugs:
        raw = [1.0 / counts[test] for test in bug.fail_to_pass]
        data = bug.to_dict()
        data["weights"] = [round(value / sum(raw), 6) for value in raw]
        weighed.append(Bug.from_dict(data))
    return weighed
