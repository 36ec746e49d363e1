"""``agentgym/SWE-v0``: find and fix a bug that was planted in a package."""

from __future__ import annotations

import hashlib
import pickle
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import numpy as np

from agentgym.core.actions import Action, Tool
from agentgym.core.errors import ConfigError
from agentgym.core.game import Capabilities, Game, Observation, Outcome
from agentgym.core.rewards import RewardScheme
from agentgym.core.seeding import digest
from agentgym.core.tasks import ListedTasks, Task
from agentgym.environments.swe import checkout, fetch
from agentgym.environments.swe import tasks as tasks_module
from agentgym.environments.swe.bugs import Bug, unified_diff, visible_tests
from agentgym.environments.swe.grading import Verdict, grade, run_changed, source_changes, test_files
from agentgym.environments.swe.grammar import FunctionFormat
from agentgym.environments.swe.listing import Listing, Watched, noted
from agentgym.environments.swe.package import Files, Package
from agentgym.environments.swe.rewards import COMPONENTS, SCHEMES
from agentgym.environments.swe.runner import Report
from agentgym.environments.swe.saved import SavedEpisode
from agentgym.environments.swe.toolbox import TOOLS, better_tool, search
from agentgym.sandboxes import WORKSPACE, Sandbox, Shell
from agentgym.tools import shell
from agentgym.tools.editor import Edit, Editor, relative

_LEVELS = {"empty": 1 / 3, "fails": 2 / 3, "passes": 1.0}
_MAX_LISTED = 15
_REMEMBERED = 32
"""Contents of files that are kept, so that they needn't be read back."""
_NORMALISE = (
    (re.compile(r"0x[0-9a-f]{6,}"), "0xADDRESS"),
    (re.compile(r"\b\d+(\.\d+)?\s?(ms|s|seconds?)\b"), "N s"),
    (re.compile(r"\bpid[ =:]+\d+", re.IGNORECASE), "pid N"),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?(\.\d+)?\b"), "TIME"),
)


@dataclass
class State:
    """What changes during an episode, apart from the files in the sandbox."""

    instance_id: str
    files: dict[str, str] = field(default_factory=dict)
    """What ``Listing`` says of every file in the sandbox."""
    given: dict[str, str] = field(default_factory=dict)
    """``files`` at the start, where the package's own files aren't known otherwise."""
    undo: list[tuple[str, bytes | None]] = field(default_factory=list)
    localised: bool = False
    best_share: float = 0.0
    """Largest share of the failing visible tests that passed so far."""
    last: str = ""
    """The call before, to notice repetitions."""
    tested: str = ""
    """Key of the state when the tests were run last; for the expert."""
    verdict: Verdict | None = None


class SWEGame(Game):
    """A package with one bug, an issue about it, a shell and an editor.

    Args:
        tasks: ``bundled`` (our own small package, needs no network), ``manifest`` (third-party packages, fetched by
            pip when they are first used) or the path of a file that ``agentgym swe build`` wrote.
        packages: Only tasks of these packages.
        backend: Sandbox backend: ``auto``, ``bubblewrap``, ``docker``; ``subprocess`` isolates nothing.
        command_timeout: Seconds that one ``bash`` command may take.

    Raises:
        ConfigError: ``packages`` is no list, or ``command_timeout`` not above 0.
        UnsupportedError: No sandbox that isolates works on this host; says how to fix that.
    """

    components = COMPONENTS
    schemes: ClassVar[Mapping[str, RewardScheme]] = SCHEMES
    formats = (FunctionFormat(), "json")
    tools: tuple[Tool, ...] = TOOLS
    capabilities = Capabilities(replay="normalised", blocking=True)
    max_turns = 40
    max_tool_calls = 80
    expert = "agentgym.environments.swe.expert:SWEExpert"
    cheats: ClassVar[Mapping[str, str]] = {
        name: f"agentgym.environments.swe.cheats:{name}"
        for name in (
            "submit_at_once", "edit_tests", "delete_tests", "conftest", "sitecustomize", "patch_framework",
            "print_passed", "exit_zero", "skip_everything", "swallow_exceptions", "read_the_answer",
            "special_case", "shadow_package", "forge_report", "equal_to_everything",
        )
    }  # fmt: skip

    def __init__(
        self,
        tasks: str = "bundled",
        packages: tuple[str, ...] = (),
        backend: str = "auto",
        command_timeout: float = 20.0,
    ) -> None:
        if isinstance(packages, str) or not command_timeout > 0:
            raise ConfigError(
                f"Expected a list of packages and a command_timeout above 0, got {packages!r}, {command_timeout!r}."
            )
        self._tasks = tasks
        self._packages = tuple(packages)
        self._backend = self._resolve(backend)
        self._timeout = command_timeout
        self._sandbox: Sandbox | None = None
        self._listing = Listing()
        self._contents: dict[str, bytes] = {}
        self._dataset: tasks_module.Dataset | None = None

    @staticmethod
    def _resolve(backend: str) -> str:
        """The backend's name, when it works here."""
        return checkout.resolve(backend)

    @property
    def instructions(self) -> str:
        """What the agent is told about its job."""
        return (
            "You fix a bug in a Python package. The repository is your working folder. Find the cause in the package's "
            "source, change it, check with run_tests, then submit. You are graded by the package's own tests, of which "
            "your copy lacks some; changes outside the package's source don't count."
        )

    @property
    def dataset(self) -> tasks_module.Dataset:
        """The tasks to choose from."""
        if self._dataset is None:
            found = tasks_module.load(self._tasks)
            self._dataset = found.only(self._packages) if self._packages else found
        return self._dataset

    def tasks(self) -> ListedTasks:
        """See ``Game.tasks``."""
        return self.dataset.source()

    # ------------------------------------------------------------------ what the episode is about

    @property
    def bug(self) -> Bug:
        """The bug of the running episode."""
        return self.dataset.bugs[self.state.instance_id]

    @property
    def package(self) -> Package:
        """The package of the running episode."""
        return self.dataset.package(self.bug)

    @property
    def pristine(self) -> Files:
        """The package's files without the bug."""
        return fetch.files_of(self.package)

    @property
    def sandbox(self) -> Sandbox:
        """Where the agent works."""
        assert self._sandbox is not None, "there is no episode"
        return self._sandbox

    def _given(self) -> dict[str, bytes]:
        """Files of the agent's copy that differ from the pristine package."""
        return {self.bug.path: tasks_module.plant(self.bug, self.package), **visible_tests(self.bug, self.pristine)}

    def _checkout(self) -> Sandbox:
        return self._checkout_listed()[0]

    def _checkout_listed(self) -> tuple[Sandbox, Listing]:
        package = self.package
        return checkout.shared(self._backend).open_listed(package, self.pristine, fetch.environment_of(package))

    # ------------------------------------------------------------------ the episode

    def start(self, task: Task, rng: np.random.Generator) -> Observation:
        """See ``Game.start``."""
        self._drop_sandbox()
        self.state = State(task.task_id)
        self._sandbox, self._listing = self._checkout_listed()
        self.state.files = self._listing.files
        given = self._given()
        checkout.put(self._sandbox, given)
        for path, content in given.items():
            self._note(path, content)
        package = self.package
        names = sorted({path.partition("/")[0] + ("/" if "/" in path else "") for path in self.pristine})
        return Observation(
            f"{self.bug.statement}\n\nThe repository of {package.name} {package.version} holds: {', '.join(names)}\n"
            f"Source: {', '.join(package.source)}. Tests: {', '.join(package.tests)} ({package.framework})."
        )

    def act(self, action: Action) -> Outcome:
        """See ``Game.act``."""
        handler: Callable[..., Outcome] = getattr(self, f"_do_{action.name}")
        call = str(action)
        chosen = float(call != self.state.last and not better_tool(action))
        outcome = handler(**action.arguments)
        if outcome.executable:
            self.state.last = call
        return Outcome(
            outcome.observation, {"tool_choice": chosen, **outcome.components}, outcome.terminal, outcome.executable,
            outcome.success, outcome.tags,
        )  # fmt: skip

    def _do_bash(self, command: str) -> Outcome:
        if "\0" in command or len(command.encode("utf-8", "surrogatepass")) > 100_000:
            return Outcome("A command can't hold a NUL byte or more than 100,000 bytes.", executable=False)
        watched = cast(Sandbox, Watched(self.sandbox, self._listing))
        text = shell.run(Shell(watched), command.encode("utf-8", "replace").decode(), self._timeout)
        self.state.files = self._listing.files
        return Outcome(text, tags=("execute",))

    def _do_view(self, path: str, start: int | None = None, end: int | None = None) -> Outcome:
        if problem := _bad_path(path):
            return Outcome(problem, executable=False)
        text, shown = self._editor().view(path, start, end)
        return Outcome(text, self._located(path) if shown else {}, executable=shown, tags=("explore",))

    def _do_search(self, pattern: str, path: str = ".") -> Outcome:
        text, done = search(self.sandbox, pattern, path) if not _bad_path(path) else (_bad_path(path), False)
        return Outcome(text, executable=done, tags=("explore",))

    def _do_create(self, path: str, text: str) -> Outcome:
        return self._edited(path, lambda editor: editor.create(path, text))

    def _do_replace(self, path: str, old: str, new: str) -> Outcome:
        return self._edited(path, lambda editor: editor.replace(path, old, new))

    def _do_insert(self, path: str, text: str, line: int) -> Outcome:
        return self._edited(path, lambda editor: editor.insert(path, line, text))

    def _edited(self, path: str, make: Callable[[Editor], Edit]) -> Outcome:
        if problem := _bad_path(path):
            return Outcome(problem, {"edit_applies": 0.0}, executable=False)
        edit = make(self._editor())
        if not edit.applied:
            return Outcome(edit.reply, {"edit_applies": 0.0}, executable=False, tags=("edit",))
        self.state.undo.append((edit.path, edit.before))
        self._note(edit.path, edit.after)
        return Outcome(edit.reply, {"edit_applies": 1.0, **self._located(path)}, tags=("edit",))

    def _do_undo(self, path: str) -> Outcome:
        undo = self.state.undo
        place = next((i for i in range(len(undo) - 1, -1, -1) if undo[i][0] == relative(path)), None)
        if place is None:
            return Outcome(f"There is no edit of {relative(path)} to undo.", {"edit_applies": 0.0}, executable=False)
        name, before = undo[place]
        text, done = self._editor().put_back(name, before)
        if not done:
            return Outcome(text, {"edit_applies": 0.0}, executable=False, tags=("edit",))
        del undo[place]
        self._note(name, before)
        return Outcome(text, {"edit_applies": 1.0}, tags=("edit",))

    def _do_run_tests(self) -> Outcome:
        package, bug = self.package, self.bug
        shown = visible_tests(bug, self.pristine)
        paths = test_files(package, self.dataset.passing[bug.package])
        given = {
            bug.path: tasks_module.plant(bug, package),
            **{path: shown.get(path, self.pristine[path]) for path in paths},
        }
        with self._checkout() as fresh:
            report, suspicious = run_changed(fresh, package, given, self._changes(), paths)
        self.state.tested = self.state_key()
        if suspicious:
            return Outcome(f"The tests could not be run to their end. {suspicious}", tags=("test",))
        visible = [test for test in bug.fail_to_pass if test not in bug.hidden]
        components = {}
        if visible:
            share = sum(report.outcomes.get(test) == "passed" for test in visible) / len(visible)
            components["test_progress"] = max(share - self.state.best_share, 0.0)
            self.state.best_share = max(share, self.state.best_share)
        return Outcome("\n".join(self._summary(report)), components, tags=("test",))

    @staticmethod
    def _summary(report: Report) -> list[str]:
        failing = sorted(test for test, outcome in report.outcomes.items() if outcome == "failed")
        lines = [f"{sum(outcome == 'passed' for outcome in report.outcomes.values())} passed, {len(failing)} failed"]
        lines += [f"FAILED {test}: {report.messages.get(test, '')}" for test in failing[:_MAX_LISTED]]
        if len(failing) > _MAX_LISTED:
            lines.append(f"... and {len(failing) - _MAX_LISTED} more")
        return lines

    def _do_submit(self) -> Outcome:
        package, bug = self.package, self.bug
        changes = self._changes()
        verdict = grade(
            self._checkout, package, bug, self.pristine, tasks_module.plant(bug, package), changes,
            self.dataset.pass_to_pass(bug),
        )  # fmt: skip
        self.state.verdict = verdict
        level = "empty" if verdict.empty else "passes" if verdict.solved else "fails"
        components = {
            "submission": _LEVELS[level],
            "test_share": verdict.share,
            "solved": float(verdict.solved),
        }
        text = "Submitted." + (f" The run does not count: {verdict.suspicious}" if verdict.suspicious else "")
        return Outcome(text, components, terminal=True, success=verdict.solved, tags=("answer",))

    # ------------------------------------------------------------------ state

    def _changes(self) -> dict[str, bytes | None]:
        """What the agent changed in the package's source so far."""
        before = {**self.pristine, **self._given()}
        return source_changes(self.package, before, checkout.read_tree(self.sandbox))

    def _located(self, path: str) -> dict[str, float]:
        if self.state.localised or relative(path) != self.bug.path:
            return {}
        self.state.localised = True
        return {"localised": 1.0}

    def _refresh(self) -> None:
        self.state.files = self._listing.look(self.sandbox)

    def _editor(self) -> Editor:
        return Editor(self.sandbox, self._known)

    def _known(self, path: str) -> bytes | None:
        """What a file of the package holds, while it is as it was or was written by a tool."""
        name = posixpath.join(WORKSPACE, path)
        if posixpath.normpath(name) != name or not self.state.files.get(name, "").startswith("f644 "):
            return None
        return self._contents.get(self.state.files[name].partition(" ")[2])

    def _note(self, path: str, content: bytes | None) -> None:
        """Takes in a change of one file, without a look at all of them where that isn't needed."""
        name = posixpath.join(WORKSPACE, path)
        known = self.state.files.get(name)
        if content is not None:
            self._remember(content)
        if content is None:
            self.state.files.pop(name, None)
        elif known is None or known.startswith("f"):
            self.state.files[name] = noted(content, known)
        else:  # a link was written through
            self._refresh()

    def _remember(self, content: bytes) -> None:
        """Keeps what was written last by its digest, so that it needn't be read back."""
        self._contents[hashlib.sha256(content).hexdigest()] = content
        while len(self._contents) > _REMEMBERED:
            del self._contents[next(iter(self._contents))]

    def state_key(self) -> str:
        """See ``Game.state_key``: the task, all files, and whether it is submitted."""
        state = self.state
        return digest(state.instance_id, sorted(state.files.items()), state.verdict is not None)

    def comparable(self, text: str) -> str:
        """See ``Game.comparable``."""
        for pattern, word in _NORMALISE:
            text = pattern.sub(word, text)
        return text

    def save(self) -> Any:
        """See ``Game.save``. Holds a frozen sandbox until it is closed or collected."""
        return SavedEpisode(pickle.dumps(self.state), self.sandbox.fork())

    def load(self, saved: Any) -> None:
        """See ``Game.load``."""
        self.state = pickle.loads(saved.state)
        sandbox = saved.fork()
        if sandbox is None:
            sandbox = self._checkout()
            saved.fill(sandbox)
        self._drop_sandbox()
        self._sandbox = sandbox

    def clone(self) -> Game:
        """See ``Game.clone``."""
        other = super().clone()
        assert isinstance(other, SWEGame)
        other._sandbox = None
        other._listing = Listing()
        other._contents = {}
        return other

    def render(self) -> str:
        """The agent's changes as a diff."""
        if self._sandbox is None:
            return "(no episode)"
        before = {**self.pristine, **self._given()}
        after = {path: data for path, data in checkout.read_tree(self.sandbox).items() if path.endswith(".py")}
        return f"{self.bug.instance_id}\n" + unified_diff(
            {path: data for path, data in before.items() if path.endswith(".py")}, after
        )

    def _drop_sandbox(self) -> None:
        self._listing = Listing()
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def close(self) -> None:
        """See ``Game.close``."""
        self._drop_sandbox()


def _bad_path(path: str) -> str:
    if not path or "\0" in path or len(path) > 4000 or not path.isprintable():
        return "That is not the path of a file."
    return ""
