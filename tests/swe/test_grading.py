"""Attacks on grading: each earns nothing, and would have earned something from a weaker grader."""

import ast
import re

import pytest

from agentgym.environments.swe import fetch, honesty, packages, tasks
from agentgym.environments.swe.checkout import Checkouts
from agentgym.environments.swe.grading import Verdict, grade, run_changed, source_changes
from agentgym.environments.swe.grading import test_files as files_of_tests
from agentgym.environments.swe.hiding import function_of
from agentgym.environments.swe.package import BUNDLED, Environment, bundled_files
from agentgym.sandboxes import Sandbox

DATA = tasks.load("bundled")
FILES = bundled_files()
BUG = next(
    bug for bug in DATA.bugs.values() if bug.path == "tinykit/texts.py" and len(bug.hidden) < len(bug.fail_to_pass)
)
PLANTED = tasks.plant(BUG, BUNDLED)
PATHS = files_of_tests(BUNDLED, DATA.passing[BUG.package])


def _fresh(checkouts: Checkouts):
    def fresh() -> Sandbox:
        return checkouts.open(BUNDLED, FILES, Environment())

    return fresh


def _grade(checkouts: Checkouts, changes: dict[str, bytes | None]) -> Verdict:
    return grade(_fresh(checkouts), BUNDLED, BUG, FILES, PLANTED, changes, DATA.pass_to_pass(BUG))


def _naive(sandbox: Sandbox) -> tuple[int, str]:
    """What a grader sees that runs the tests in the agent's own folder and believes exit code and output."""
    result = sandbox.exec(["/home/agent/.env/bin/python", "-m", "unittest", *PATHS], timeout=20.0)
    return result.exit_code, result.text + result.error_text


_EVERY_FUNCTION = b"""

class _Any:
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 0


def equal(*args, **kwargs):
    return _Any()


def skip(*args, **kwargs):
    import unittest

    raise unittest.SkipTest("not today")


for _name, _value in list(globals().items()):
    if not _name.startswith("_") and callable(_value) and getattr(_value, "__module__", "") == __name__:
        globals()[_name] = %b
"""

# An attack: files that the agent writes, and whether the naive grader is taken in.
TAKES_IN = {
    "conftest and hooks": {
        "sitecustomize.py": b"import unittest\nunittest.TestCase.run = lambda self, r=None: (r.startTest(self), r.addSuccess(self))\n",
        "tinykit/__init__.py": b"import sitecustomize\n" + FILES["tinykit/__init__.py"],
    },
    "os._exit(0)": {"tinykit/__init__.py": b"import os\nos._exit(0)\n"},
    "patched framework": {
        "tinykit/__init__.py": b"import unittest\nunittest.TestCase.assertEqual = lambda *a, **k: None\n"
        + FILES["tinykit/__init__.py"]
    },
    "skips": {BUG.path: PLANTED + _EVERY_FUNCTION % b"skip"},
    "edited tests": dict.fromkeys(PATHS, b"import unittest\nclass T(unittest.TestCase):\n    def test(self): pass\n"),
    "shadowed package": {
        "unittest.py": b"import sys\nprint('OK')\nsys.exit(0)\n",
    },
    "system exit": {"tinykit/__init__.py": b"raise SystemExit(0)\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", TAKES_IN)
def test_what_takes_a_weaker_grader_in_earns_nothing_here(checkouts: Checkouts, name: str) -> None:
    written = TAKES_IN[name]
    with _fresh(checkouts)() as sandbox:
        sandbox.write_file(BUG.path, PLANTED)
        assert _naive(sandbox)[0] != 0, "the bug shows without the attack"
        for path, text in written.items():
            sandbox.write_file(path, text)
        assert _naive(sandbox)[0] == 0, "the weaker grader pays"
    before = {**FILES, BUG.path: PLANTED}
    verdict = _grade(checkouts, source_changes(BUNDLED, before, {**before, **written}))
    assert not verdict.solved and verdict.share == 0.0


def test_printed_results_are_no_results(checkouts: Checkouts) -> None:
    printed = b"print('PASSED ' * 3, 'OK', '125 passed')\n" + FILES["tinykit/__init__.py"]
    with _fresh(checkouts)() as sandbox:
        sandbox.write_file(BUG.path, PLANTED)
        sandbox.write_file("tinykit/__init__.py", printed)
        assert "125 passed" in _naive(sandbox)[1], "a grader that reads the log sees passes"
    assert not _grade(checkouts, {"tinykit/__init__.py": printed}).passed


FORGERS = {
    "closure": b"""
import gc, types
def spoil(f):
    for cell in f.__closure__ or ():
        if getattr(cell.cell_contents, "__name__", "") == "write":
            def forged(fd, item, write=cell.cell_contents):
                return write(fd, item.replace(b"failed", b"passed") if any(n in item for n in NAMES) else item)
            cell.cell_contents = forged
NAMES = %r
for f in [o for o in gc.get_objects() if isinstance(o, types.FunctionType) and o.__name__ == "say"]:
    spoil(f)
"""
    % [f'::{test.rpartition("::")[2]}"'.encode() for test in BUG.fail_to_pass],
    "code": b"""
import gc, types
for f in [o for o in gc.get_objects() if isinstance(o, types.FunctionType) and o.__name__ == "note"]:
    def other(test, outcome, message="", f=f): pass
    f.__code__ = (lambda test, outcome, message="": None).__code__ if not f.__code__.co_freevars else f.__code__
""",
    "result": b"""
import gc, unittest
for kind in [o for o in gc.get_objects() if isinstance(o, type) and issubclass(o, unittest.TestResult)]:
    if kind is not unittest.TestResult and "addSuccess" in vars(kind):
        kind.addFailure = kind.addError = lambda self, test, err: self.addSuccess(test)
""",
}


@pytest.mark.parametrize("name", FORGERS)
def test_forged_reports_earn_nothing(checkouts: Checkouts, name: str) -> None:
    attack = FORGERS[name] + FILES["tinykit/__init__.py"]
    verdict = _grade(checkouts, {"tinykit/__init__.py": attack})
    assert not verdict.solved and verdict.share == 0.0
    if name == "closure":  # the planted tests alone don't see it: the repeated run does
        assert "reported as passes" in verdict.suspicious
        with _fresh(checkouts)() as sandbox:
            files = {BUG.path: PLANTED, **{path: FILES[path] for path in PATHS}}
            report, suspicious = run_changed(sandbox, BUNDLED, files, {"tinykit/__init__.py": attack}, PATHS)
        assert not suspicious and all(report.outcomes[test] == "passed" for test in BUG.fail_to_pass)


def test_objects_that_equal_everything_earn_nothing(checkouts: Checkouts) -> None:
    verdict = _grade(checkouts, {BUG.path: PLANTED + _EVERY_FUNCTION % b"equal"})
    assert not set(BUG.hidden) & verdict.passed and verdict.share == 0.0
    with _fresh(checkouts)() as sandbox:
        files = {path: FILES[path] for path in PATHS}
        report, _ = run_changed(sandbox, BUNDLED, files, {BUG.path: PLANTED + _EVERY_FUNCTION % b"equal"}, PATHS)
    assert any(report.outcomes.get(test) == "passed" for test in BUG.hidden), "without the check it would pass"


def test_hard_coding_visible_inputs_earns_nothing(checkouts: Checkouts) -> None:
    """The visible failing tests pass, the hidden ones ask about other inputs."""
    visible = [test for test in BUG.fail_to_pass if test not in BUG.hidden]
    calls: dict[str, str] = {}
    for test in visible:
        path, names = function_of(test)
        tree = ast.parse(FILES[path])
        function = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == names[-1])
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.assertEqual":
                calls[ast.unparse(node.args[0])] = ast.unparse(node.args[1])
    name = BUG.target.rpartition(".")[2]
    cases = {re.sub(rf"^\w*\.?{name}\((.*)\)$", r"(\1,)", call): value for call, value in calls.items() if name in call}
    assert cases
    table = ", ".join(f"({arguments}, {value})" for arguments, value in cases.items())
    special = f"""

def {name}(*args, _real={name}):
    for known, answer in [{table}]:
        if args == known:
            return answer
    return _real(*args)
"""
    verdict = _grade(checkouts, {BUG.path: PLANTED + special.encode()})
    assert verdict.passed >= set(visible), "it answers what it was shown"
    assert not verdict.passed & set(BUG.hidden) and verdict.share == 0.0 and not verdict.solved


# ---------------------------------------------------------------------- changed tests

SOURCE = b'''import unittest
from unittest.mock import ANY


class Same:
    def __eq__(self, other):
        return True


class T(unittest.TestCase):
    def test_a(self):
        """Doc."""
        x = [1, 2]
        assert x == Same()
        self.assertEqual(sorted(x), [1, 2])
        assert (len(x) == 2) == True and x[0] in x
        assert {"k": x} == {"k": ANY}, f"{x == 3}"

    @unittest.expectedFailure
    def test_b(self): self.assertEqual(1, 2)

    def test_c(self): self.assertEqual(1 + 1, 2)


@unittest.skipIf(len("a") == 2, "a decorator runs before the module is complete")
def test_d():
    for value in (1, 2): assert value == abs(
        value
    )
'''
NAMES = {("T", "test_a"), ("T", "test_b"), ("T", "test_c"), ("test_d",)}


def _outcomes(source: bytes) -> dict[str, str]:
    import unittest

    space: dict[str, object] = {"__name__": "m"}
    exec(compile(source, "m", "exec"), space)
    found = {}
    for name in ("test_a", "test_b", "test_c"):
        result = unittest.TestResult()
        space["T"](name).run(result)  # type: ignore[operator]
        found[name] = "failed" if result.failures or result.errors else "passed"
    try:
        space["test_d"]()  # type: ignore[operator]
        found["test_d"] = "passed"
    except AssertionError:
        found["test_d"] = "failed"
    return found


def test_honest_values_change_no_outcome_and_no_line() -> None:
    changed = honesty.wrapped(SOURCE, NAMES, "0123456789ab")
    assert b"__honest__(sorted(x))" in changed and b"__honest__(value)" in changed
    assert changed.count(b"\n", 0, changed.index(b"def __honest__") - 3) == SOURCE.count(b"\n")
    assert set(_outcomes(changed).values()) == {"passed"}
    assert honesty.wrapped(SOURCE, set(), "0123456789ab") == SOURCE


def test_failing_tests_fail_but_for_those_that_may() -> None:
    changed, done = honesty.failing(SOURCE, NAMES, "nonce")
    assert done == NAMES - {("T", "test_b")}
    assert _outcomes(changed) == {"test_a": "failed", "test_b": "passed", "test_c": "failed", "test_d": "failed"}


@pytest.mark.parametrize("path", [path for path in FILES if path.startswith("tests/test_")])
def test_every_bundled_test_stands_the_change(path: str) -> None:
    from agentgym.environments.swe.hiding import functions

    names = {name for name in functions(FILES[path]) if name[-1].startswith("test")}
    ast.parse(honesty.wrapped(FILES[path], names, "0123456789ab"))
    changed, done = honesty.failing(FILES[path], names, "n")
    ast.parse(changed)
    assert done == names


def test_the_agents_sandbox_shows_no_other_copy(checkouts: Checkouts) -> None:
    """Neither the host's packages nor a test requirement hold the fixed source."""
    for package in (BUNDLED, packages.get("toolz==1.2.0")):
        if not fetch.is_fetched(package):
            continue
        with checkouts.open(package, fetch.files_of(package), fetch.environment_of(package)) as sandbox:
            name = package.source[0].rpartition("/")[2]
            found = sandbox.exec(
                f"find / -xdev -name '{name}*' -not -path '/proc/*' -not -path '/workspace/*' 2>/dev/null"
            )
            places = [
                line for line in found.text.split() if not line.endswith(f"{package.key.replace('-', '-')}.dist-info")
            ]
            assert places == [], places
            listed = sandbox.exec(
                "python -c 'import sys; print(sys.path)'; ls /usr/lib/python3/dist-packages | head -3"
            )
            assert "site-packages" in listed.text
