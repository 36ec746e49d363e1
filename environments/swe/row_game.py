"""Tasks of public datasets in their Docker images.

Not registered under an id, since nothing can be played without a file of rows::

    AgentEnv("agentgym.environments.swe.row_game:SWERowsGame", rows="verified.jsonl", kind="swe-bench", split="test")
"""

from __future__ import annotations

import contextlib
import pickle
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from agentgym.core.errors import ConfigError
from agentgym.core.game import Observation, Outcome
from agentgym.core.tasks import ListedTasks, Task
from agentgym.environments.swe import checkout, patches, rows
from agentgym.environments.swe.game import State, SWEGame
from agentgym.environments.swe.grading import run_changed
from agentgym.environments.swe.hiding import function_of
from agentgym.environments.swe.package import Package
from agentgym.environments.swe.rows import FOLDER, Row
from agentgym.environments.swe.runner import Report
from agentgym.environments.swe.saved import SavedEpisode
from agentgym.sandboxes import WORKSPACE, Limits, Sandbox, SandboxSpec, open_sandbox
from agentgym.tools.editor import relative

_GIB = 1 << 30
_LIMITS = Limits(wall=120.0, cpu=600.0, memory=8 * _GIB, processes=512, disk=4 * _GIB, output=1 << 20)
_TESTS_SECONDS = 1800.0
_MAX_SOURCE = 4 << 20
_TEST_FILE = re.compile(r"(^|/)(tests?|testing|r2e_tests)/|(^|/)(test_[^/]*|[^/]*_test|conftest)\.py$")
_HOOKS = re.compile(
    r"(^|/)(sitecustomize|usercustomize)\.py$|\.pth$|(^|/)(pytest\.ini|tox\.ini|setup\.cfg|pyproject\.toml)$"
)
_R2E_TESTS = (f"{FOLDER}/r2e_tests", "/r2e_tests")
"""R2E-Gym's images hold the hidden tests there; the agent's copy must not."""
_R2E_HERE = "test ! -d {1} || test -e {0} || cp -r {1} {0}".format(*_R2E_TESTS)
_PREPARE = (
    f"mkdir -p /home/agent && if [ ! -e {WORKSPACE} ] || rmdir {WORKSPACE}; then ln -s {FOLDER} {WORKSPACE}; fi && "
    f"rm -rf {FOLDER}/.git && for p in /opt/miniconda3/envs/testbed/bin/python {FOLDER}/.venv/bin/python "
    '"$(command -v python)" "$(command -v python3)"; do if [ -x "$p" ]; then echo "$p"; break; fi; done'
)


class SWERowsGame(SWEGame):
    """Rows of SWE-bench, SWE-Gym, SWE-smith or R2E-Gym. Needs Docker and the rows' images.

    Args:
        rows: A JSON, JSONL or Parquet file of rows.
        kind: ``swe-bench``, ``swe-gym``, ``swe-smith`` or ``r2e``.
        command_timeout: Seconds that one ``bash`` command may take.

    Raises:
        MissingExtraError, UnsupportedError: docker-py is not installed, or no daemon answers.
    """

    expert = ""
    cheats: ClassVar[Mapping[str, str]] = {}
    max_turns = 100
    max_tool_calls = 200

    def __init__(self, rows: str, kind: str = "swe-bench", command_timeout: float = 60.0) -> None:
        super().__init__(backend="docker", command_timeout=command_timeout)
        self._file, self._kind = rows, kind
        self._rows: dict[str, Row] | None = None

    @staticmethod
    def _resolve(backend: str) -> str:
        from agentgym.sandboxes import docker  # not imported by those who play elsewhere

        docker.connect().close()
        return backend

    @property
    def all_rows(self) -> dict[str, Row]:
        """Every row, by id."""
        if self._rows is None:
            self._rows = rows.load(self._file, self._kind)
        return self._rows

    @property
    def row(self) -> Row:
        """The row being played."""
        return self.all_rows[self.state.instance_id]

    def tasks(self) -> ListedTasks:
        """All rows, in the split ``test``; ``train`` holds the same for datasets made to train on."""
        split = "test" if self._kind == "swe-bench" else "train"
        return ListedTasks({split: sorted(self.all_rows)}, self._task)

    def _task(self, task_id: str, split: str) -> Task:
        row = self.all_rows[task_id]
        reference = {"patch": row.fix, "fail_to_pass": list(row.fail_to_pass)}
        return Task(task_id, split, {"instance_id": task_id, "statement": row.statement}, reference)

    def start(self, task: Task, rng: np.random.Generator) -> Observation:
        """See ``Game.start``."""
        self._drop_sandbox()
        self.state = State(task.task_id)
        self._sandbox = self._checkout()
        self._sandbox.exec(["rm", "-rf", *_R2E_TESTS])
        self._refresh()
        self.state.given = dict(self.state.files)
        return Observation(f"{self.row.statement}\n\nThe repository is your working folder.")

    def _checkout(self) -> Sandbox:
        """A container of the row's image with the bug in it, without the history."""
        spec = SandboxSpec(image=self.row.image, limits=_LIMITS, writable_image=True)
        sandbox = open_sandbox(spec, "docker")
        try:
            prepared = sandbox.exec(["/bin/sh", "-c", _PREPARE], cwd="/")
            if not prepared.ok or not prepared.text.strip():
                raise ConfigError(f"The image {self.row.image!r} has no Python or no {FOLDER}: {prepared.error_text}")
            self._python = (prepared.text.strip().splitlines()[-1],)
            self._apply(sandbox, self.row.bug)
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    def _apply(self, sandbox: Sandbox, diff: str) -> dict[str, bytes | None]:
        def read(path: str) -> bytes | None:
            try:
                return sandbox.read_file(path)
            except FileNotFoundError:
                return None

        changes = patches.apply(diff, read)
        checkout.put(sandbox, changes)
        return changes

    def _located(self, path: str) -> dict[str, float]:
        if self.state.localised or relative(path) not in rows.touched(self.row.fix or self.row.bug):
            return {}
        self.state.localised = True
        return {"localised": 1.0}

    def _changes(self) -> dict[str, bytes | None]:
        """What the agent changed, without tests, hooks and configuration of tests."""
        now, given = self.state.files, self.state.given
        prefix = WORKSPACE + "/"
        found: dict[str, bytes | None] = {}
        for name in sorted({*now, *given}):
            path = name.removeprefix(prefix)
            counts = name.startswith(prefix) and not _TEST_FILE.search(path) and not _HOOKS.search(path)
            if counts and now.get(name) != given.get(name):
                regular = name in now and now[name].startswith("f")
                with contextlib.suppress(ConfigError, OSError):  # larger than source is: what a program left
                    found[path] = self.sandbox.read_file(path, _MAX_SOURCE) if regular else None
        return found

    def _run(self, paths: tuple[str, ...], *, hidden: bool) -> tuple[Report, str]:
        package = Package("row", "", "pytest", (".",), (), path=(FOLDER,), timeout=_TESTS_SECONDS, plugins=True)
        with self._checkout() as fresh:
            if hidden:
                self._apply(fresh, self.row.tests)
                fresh.exec(_R2E_HERE, cwd="/")
            there = {entry.path for entry in fresh.list(WORKSPACE + "/", recursive=True)}
            files = {path: fresh.read_file(path) for path in paths if path in there}
            return run_changed(fresh, package, files, self._changes(), tuple(files), self._python)

    def _do_run_tests(self) -> Outcome:
        paths = tuple(sorted({function_of(test)[0] for test in (*self.row.fail_to_pass, *self.row.pass_to_pass)}))
        report, suspicious = self._run(paths, hidden=False)
        self.state.tested = self.state_key()
        if suspicious:
            return Outcome(f"The tests could not be run to their end. {suspicious}", tags=("test",))
        return Outcome("\n".join(self._summary(report)), tags=("test",))

    def _do_submit(self) -> Outcome:
        row, changes = self.row, self._changes()
        tests = (*row.fail_to_pass, *row.pass_to_pass)
        paths = tuple(sorted({function_of(test)[0] for test in tests})) if row.expected is None else self._r2e_files()
        report, suspicious = self._run(paths, hidden=True) if changes else (None, "")
        solved, share = False, 0.0
        if report is not None and not suspicious:
            solved, share = judge(row, report)
        level = 1 / 3 if not changes else 1.0 if solved else 2 / 3
        components = {"submission": level, "test_share": share, "solved": float(solved)}
        text = "Submitted." + (f" The run does not count: {suspicious}" if suspicious else "")
        return Outcome(text, components, terminal=True, success=solved, tags=("answer",))

    def _r2e_files(self) -> tuple[str, ...]:
        with self._checkout() as fresh:
            fresh.exec(_R2E_HERE, cwd="/")
            paths = (f"r2e_tests/{entry.path}" for entry in fresh.list("r2e_tests"))
            return tuple(path for path in paths if re.search(r"/(test_[^/]*|[^/]*_test)\.py$", path))

    def save(self) -> Any:
        """See ``Game.save``."""
        return SavedEpisode(pickle.dumps(self.state), self.sandbox.fork(), (FOLDER.lstrip("/"), "tmp", "home/agent"))

    def render(self) -> str:
        """The files that the agent changed."""
        if self._sandbox is None:
            return "(no episode)"
        return "\n".join([self.state.instance_id, *self._changes()])


def judge(row: Row, report: Report) -> tuple[bool, float]:
    """Whether a report solves a row, and the share of FAIL_TO_PASS that passes (0 when something else broke)."""
    if row.expected is not None:
        short = {".".join(name.split("::")[1:]): outcome for name, outcome in report.outcomes.items()}
        words = {"passed": "PASSED", "failed": "FAILED", "skipped": "SKIPPED"}
        met = [words.get(short.get(name, ""), "") == outcome for name, outcome in row.expected.items()]
        return all(met) and len(short) == len(row.expected), sum(met) / max(len(met), 1)
    passed = sum(_outcome(report, test) == "passed" for test in row.fail_to_pass)
    broken = any(_outcome(report, test) not in ("passed", "skipped") for test in row.pass_to_pass)
    share = 0.0 if broken else passed / max(len(row.fail_to_pass), 1)
    return passed == len(row.fail_to_pass) and not broken, share


def _outcome(report: Report, test: str) -> str | None:
    """A test's outcome. Ids that the dataset cut off at a blank stand for all that begin so."""
    if test in report.outcomes or not ("[" in test and not test.endswith("]")):
        return report.outcomes.get(test)
    found = {outcome for name, outcome in report.outcomes.items() if name.startswith(test)}
    return "failed" if "failed" in found else next(iter(sorted(found)), None)
