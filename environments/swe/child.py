"""Runs tests and reports each result through a pipe. This file's text is sent into a sandbox and run there.

Nothing but the standard library and the test framework is there, in whatever version an image has: Python 3.6 must
read this. The code under test shares the process, so nothing here is a proof: what it could change is compared before
and after, and ``grading`` repeats a run whose outcome it knows.
"""

import contextlib
import importlib.util
import json
import os
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DECIDES = (types.FunctionType, property, staticmethod, classmethod)
_FRAMEWORK = ("unittest", "_pytest", "pytest", "pluggy")


def critical(more: "dict[str, Any]") -> "dict[tuple[str, ...], tuple[Any, ...]]":
    """What a test framework decides with, as far as it is loaded, and functions of our own."""
    found: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for name, value in more.items():
        if isinstance(value, types.FunctionType):
            found["own", name] = _parts(value)
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] not in _FRAMEWORK or module is None:
            continue
        for key, value in dict(vars(module)).items():
            if isinstance(value, types.FunctionType):
                found[name, key] = _parts(value)
            if isinstance(value, type) and value.__module__ == name:
                for inner, item in dict(vars(value)).items():
                    if isinstance(item, _DECIDES):
                        found[name, key, inner] = _parts(item)
    return found


def _parts(value: Any) -> "tuple[Any, ...]":
    """Compared by identity, one by one; holding them keeps their addresses from being used again."""
    if not isinstance(value, types.FunctionType):
        return (value,)
    return (value, value.__code__, value.__defaults__, value.__kwdefaults__)


def _same(one: "tuple[Any, ...]", other: "tuple[Any, ...]") -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other))  # noqa: B905 - not before Python 3.10


def changed(
    before: "dict[tuple[str, ...], tuple[Any, ...]]", after: "dict[tuple[str, ...], tuple[Any, ...]]"
) -> "list[str]":
    """Names that stand for something else now, or were added to a class that was there."""
    classes = {key[:2] for key in before if len(key) == 3}
    added = [key for key in after if key not in before and len(key) == 3 and key[:2] in classes]
    other = [key for key, parts in before.items() if key not in after or not _same(parts, after[key])]
    return sorted(".".join(key) for key in (*added, *other))


def first_line(error: BaseException) -> str:
    """Type and first line of an exception."""
    text = str(error).strip().splitlines()
    return (type(error).__name__ + (": " + text[0] if text else ""))[:400]


def with_unittest(job: "dict[str, Any]", say: "Callable[[dict[str, Any]], None]", begin: "Callable[[], None]") -> int:
    """Runs test files with unittest. Returns the exit code that its own runner would end with."""
    import unittest

    def identify(test: Any) -> str:
        cls = type(test)
        path = os.path.relpath(sys.modules[cls.__module__].__file__ or "")
        return "::".join((path, cls.__qualname__, test._testMethodName))

    def note(test: Any, outcome: str, message: str = "") -> None:
        name = identify(test) if isinstance(test, unittest.TestCase) else str(test)
        say({"id": name, "outcome": outcome, "message": message})

    class Result(unittest.TestResult):
        def addSuccess(self, test: Any) -> None:
            note(test, "passed")

        def addError(self, test: Any, err: Any) -> None:
            super().addError(test, err)
            note(test, "failed", first_line(err[1]))

        def addFailure(self, test: Any, err: Any) -> None:
            super().addFailure(test, err)
            note(test, "failed", first_line(err[1]))

        def addSkip(self, test: Any, reason: str) -> None:
            note(test, "skipped", reason)

        def addExpectedFailure(self, test: Any, err: Any) -> None:
            note(test, "passed")

        def addUnexpectedSuccess(self, test: Any) -> None:
            super().addUnexpectedSuccess(test)
            note(test, "failed", "unexpected success")

        def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
            super().addSubTest(test, subtest, err)
            if err is not None:
                note(test, "failed", first_line(err[1]))

    def cases(suite: Any) -> "Iterator[Any]":
        for item in suite:
            yield from cases(item) if isinstance(item, unittest.TestSuite) else (item,)

    begin()
    result, only = Result(), set(job["only"])
    for path in job["files"]:
        name = path[:-3].replace("/", ".")
        try:
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            suite = unittest.defaultTestLoader.loadTestsFromModule(module)
            if only:
                suite = unittest.TestSuite(case for case in cases(suite) if identify(case) in only)
            suite.run(result)
        except Exception as error:
            say({"id": path, "outcome": "failed", "message": first_line(error)})
            result.errors.append((module, ""))  # type: ignore[arg-type]
    return 0 if result.wasSuccessful() else 1


def with_pytest(job: "dict[str, Any]", say: "Callable[[dict[str, Any]], None]", begin: "Callable[[], None]") -> int:
    """Runs test files with pytest. Returns its exit code."""
    import pytest

    only = set(job["only"])
    worst: dict[str, tuple[str, str]] = {}
    order = {"passed": 0, "skipped": 1, "failed": 2}

    def message_of(report: Any) -> str:
        text = getattr(getattr(report.longrepr, "reprcrash", None), "message", "") or str(report.longrepr)
        return text.strip().splitlines()[0][:400] if text.strip() else ""

    class Plugin:
        def pytest_plugin_registered(self, plugin: Any) -> None:
            where = plugin.__name__ if isinstance(plugin, types.ModuleType) else type(plugin).__module__
            file = getattr(plugin, "__file__", None) or ""
            known = where.partition(".")[0] in _FRAMEWORK or plugin is self or file.endswith("conftest.py")
            if not known and not job["plugins"]:
                say({"plugin": where})

        def pytest_collection_modifyitems(self, items: "list[Any]") -> None:
            if only:
                items[:] = [item for item in items if item.nodeid in only]

        def pytest_runtest_logreport(self, report: Any) -> None:
            outcome, message = report.outcome, ""
            if hasattr(report, "wasxfail"):
                outcome = "passed" if outcome == "skipped" else "failed"
            if report.outcome == "failed":
                message = message_of(report)
            old = worst.get(report.nodeid)
            if old is None or order[outcome] > order[old[0]]:
                worst[report.nodeid] = (outcome, message)
            if report.when == "teardown":
                outcome, message = worst[report.nodeid]
                say({"id": report.nodeid, "outcome": outcome, "message": message})

        def pytest_collectreport(self, report: Any) -> None:
            if report.failed:
                lines = str(report.longrepr).strip().splitlines()
                say({"id": report.nodeid, "outcome": "failed", "message": (lines or [""])[-1][:400]})

    fixed = ["-p", "no:cacheprovider", "-q", "--tb=native", "--continue-on-collection-errors"]
    begin()
    return int(pytest.main([*job["options"], *fixed, *job["files"]], plugins=[Plugin()]))


def _pytest_modules() -> "list[str]":
    """What pytest loads when it starts: it must be known as it was before any test is."""
    config = sys.modules.get("_pytest.config")
    return ["_pytest." + name for name in getattr(config, "default_plugins", ())]


def main(fd: int, job: "dict[str, Any]") -> None:
    """Runs a job and ends the process with the framework's exit code."""
    sys.path = [entry for entry in sys.path if entry]
    sys.path[:0] = job["path"]
    os.set_inheritable(fd, False)
    os.environ["PYTHONPATH"] = ":".join(job["path"])  # for programs that tests start
    write, dumps, end = os.write, json.dumps, os._exit
    before: dict[tuple[str, ...], tuple[Any, ...]] = {}

    def say(item: "dict[str, Any]") -> None:
        write(fd, (dumps(item) + "\n").encode())

    def begin() -> None:
        for name in ("unittest.mock", *_pytest_modules()):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        before.update(critical(globals()))

    code = (with_pytest if job["framework"] == "pytest" else with_unittest)(job, say, begin)
    say({"done": True, "code": code, "changed": changed(before, critical(globals()))[:5]})
    sys.stdout.flush()
    end(code)
