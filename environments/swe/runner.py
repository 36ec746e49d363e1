"""Runs tests in a sandbox and reports each result. The program itself is sent into the sandbox as text.

The supervisor starts a child that runs the tests with the patched package, reads one JSON line a test from a pipe and
writes the report to its own output, to which the child has no way: its streams go elsewhere, and the supervisor is not
dumpable, so that ``/proc`` shows nothing of it. What the child says about itself is cross-checked by the host
(``grading``): exit code, completeness, planted tests that must fail.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Literal

from agentgym.core.errors import Boundary, Fault
from agentgym.environments.swe.package import Package
from agentgym.sandboxes import ExecResult, Sandbox

Outcome = Literal["passed", "failed", "skipped"]

_CHILD = r'''
import sys
sys.path = [entry for entry in sys.path if entry]
import json, os, types
fd, job = int(sys.argv[1]), json.loads(sys.argv[2])
del sys.argv[1:]
os.set_inheritable(fd, False)

def critical():
    """What a test framework decides with, as far as it is loaded."""
    names = job["guarded"]
    found = {}
    for module in [sys.modules[name] for name in names if name in sys.modules]:
        for key, value in vars(module).items():
            for inner_key, inner in [(key, value), *(vars(value).items() if isinstance(value, type) else ())]:
                if isinstance(inner, types.FunctionType):
                    found[module.__name__, key, inner_key] = (id(inner), id(inner.__code__))
    return found

def say(item, write=os.write, dumps=json.dumps):
    write(fd, (dumps(item) + "\n").encode())

def last_line(error):
    text = str(error).strip().splitlines()
    return (type(error).__name__ + (": " + text[0] if text else ""))[:400]

def identify(test):
    cls = type(test)
    path = os.path.relpath(sys.modules[cls.__module__].__file__)
    return path + "::" + cls.__qualname__ + "::" + test._testMethodName

def with_unittest():
    import importlib.util, io, unittest, unittest.case, unittest.suite, unittest.loader, unittest.result
    before = critical()
    class Result(unittest.TestResult):
        def note(self, test, outcome, message=""):
            say({"id": identify(test), "outcome": outcome, "message": message})
        def addSuccess(self, test): self.note(test, "passed")
        def addError(self, test, error):
            super().addError(test, error)
            if isinstance(test, unittest.TestCase): self.note(test, "failed", last_line(error[1]))
            else: say({"id": str(test), "outcome": "failed", "message": last_line(error[1])})
        def addFailure(self, test, error):
            super().addFailure(test, error); self.note(test, "failed", last_line(error[1]))
        def addSkip(self, test, reason): self.note(test, "skipped", reason)
        def addExpectedFailure(self, test, error): self.note(test, "passed")
        def addUnexpectedSuccess(self, test):
            super().addUnexpectedSuccess(test); self.note(test, "failed", "unexpected success")
        def addSubTest(self, test, subtest, error):
            super().addSubTest(test, subtest, error)
            if error is not None: self.note(test, "failed", last_line(error[1]))
    result = Result()
    for path in job["files"]:
        name = path[:-3].replace("/", ".")
        try:
            spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
        except Exception as error:
            say({"id": path, "outcome": "failed", "message": last_line(error)})
            result.errors.append((path, ""))
    return 0 if result.wasSuccessful() else 1, before

def with_pytest():
    import pytest, _pytest.runner, _pytest.reports, _pytest.python, _pytest.outcomes, _pytest.skipping
    before = critical()
    class Plugin:
        def __init__(self): self.worst = {}
        def pytest_runtest_logreport(self, report):
            outcome, message = report.outcome, ""
            if hasattr(report, "wasxfail"): outcome = "passed" if outcome == "skipped" else "failed"
            if report.outcome == "failed":
                message = getattr(getattr(report.longrepr, "reprcrash", None), "message", "") or str(report.longrepr)
                message = message.strip().splitlines()[0][:400] if message.strip() else ""
            order = {"passed": 0, "skipped": 1, "failed": 2}
            old = self.worst.get(report.nodeid)
            if old is None or order[outcome] > order[old[0]]: self.worst[report.nodeid] = (outcome, message)
            if report.when == "teardown":
                outcome, message = self.worst.get(report.nodeid, ("failed", ""))
                say({"id": report.nodeid, "outcome": outcome, "message": message})
        def pytest_collectreport(self, report):
            if report.failed:
                lines = str(report.longrepr).strip().splitlines()
                say({"id": report.nodeid, "outcome": "failed", "message": (lines or [""])[-1][:400]})
    fixed = ["-p", "no:cacheprovider", "-q", "--tb=short", "--continue-on-collection-errors"]
    code = pytest.main([*job["options"], *fixed, *job["files"]], plugins=[Plugin()])
    return int(code), before

sys.path[:0] = job["path"]
os.environ["PYTHONPATH"] = ":".join(job["path"])  # for programs that tests start
code, before = with_pytest() if job["framework"] == "pytest" else with_unittest()
after = critical()
changed = [".".join(key) for key, value in before.items() if after.get(key) != value]
say({"done": True, "code": code, "changed": changed[:5]})
sys.stdout.flush()
os._exit(code)
'''

_SUPERVISOR = r"""
import base64, ctypes, json, os, select, subprocess, sys
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
job = json.loads(base64.b64decode(sys.stdin.buffer.read()))
read, write = os.pipe()
os.set_inheritable(write, True)
env = dict(os.environ, **job["env"])
child = subprocess.Popen([sys.executable, "-B", "-c", job["child"], str(write), json.dumps(job["job"])], env=env,
    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=[write])
os.close(write)
streams = {read: bytearray(), child.stdout.fileno(): bytearray()}
left = set(streams)
while left:
    ready = select.select(list(left), [], [], 0.05)[0]
    for fd in ready:
        chunk = os.read(fd, 65536)
        if chunk: streams[fd] += chunk
        else: left.discard(fd)
        if len(streams[fd]) > 32 << 20: child.kill(); left.clear()
    if not ready and child.poll() is not None: break
code = child.wait()
lines = []
for line in bytes(streams[read]).splitlines():
    try: lines.append(json.loads(line))
    except ValueError: lines.append({"garbled": True})
text = bytes(streams[child.stdout.fileno()])
if len(text) > 65536: text = text[:32768] + b"\n...\n" + text[-32768:]
os.write(1, json.dumps({"code": code, "lines": lines, "text": text.decode("utf-8", "replace")}).encode())
"""

_GUARDED = (
    "unittest.case", "unittest.suite", "unittest.loader", "unittest.result", "_pytest.runner", "_pytest.reports",
    "_pytest.python", "_pytest.outcomes", "_pytest.skipping", "_pytest.nodes", "_pytest.main", "_pytest.fixtures",
    "pluggy._manager", "pluggy._hooks", "pluggy._caller", "pluggy._callers", "pluggy._result",
)  # fmt: skip


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


def run_tests(sandbox: Sandbox, package: Package, files: tuple[str, ...], python: tuple[str, ...]) -> Report:
    """Runs test files in a sandbox.

    Args:
        sandbox: Where the repository lies in the workspace.
        package: How its tests are run.
        files: Which test files, relative to the repository.
        python: The interpreter's command line.

    Raises:
        Fault: At the boundary ``grader``: not even the supervisor got to its end, and not for lack of time.
    """
    job = {
        "framework": package.framework, "files": list(files), "options": list(package.options),
        "path": [sandbox.absolute(entry) for entry in package.path], "guarded": list(_GUARDED),
    }  # fmt: skip
    env = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    if not package.plugins:
        env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    stdin = base64.b64encode(json.dumps({"job": job, "child": _CHILD, "env": env}).encode())
    limits = sandbox.spec.limits
    result = sandbox.exec(
        [*python, "-I", "-S", "-B", "-c", _SUPERVISOR],
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
