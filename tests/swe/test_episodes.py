"""Whole episodes: grading, cheats, snapshots, the builder. They run code in a sandbox."""

import io
import json
import pickle
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from agentgym.core.actions import Action
from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError, DataError, Fault
from agentgym.core.registry import load
from agentgym.core.seeding import derive_rng
from agentgym.environments.swe import fetch, tasks
from agentgym.environments.swe.build import command, detect
from agentgym.environments.swe.checkout import Checkouts, read_tree
from agentgym.environments.swe.game import SWEGame
from agentgym.environments.swe.grading import Verdict, grade, source_changes
from agentgym.environments.swe.listing import Listing
from agentgym.environments.swe.package import BUNDLED, Environment, Package, bundled_files
from agentgym.environments.swe.rewards import SCHEMES, gated_accumulation
from agentgym.sandboxes import Sandbox
from agentgym.testing.checks import Subject
from agentgym.testing.conformance import run_checks
from agentgym.tools.editor import Editor

GAME = "agentgym.environments.swe.game:SWEGame"
DATA = tasks.load("bundled")
BUGS = list(DATA.bugs.values())


def _call(env: AgentEnv, name: str, **arguments: object) -> tuple[str, float, bool, dict]:
    message = env.action_format.render([Action(name, arguments)], env.tools_by_name)
    text, reward, terminated, _, info = env.step(message)
    return text, float(reward), terminated, info


def _grade(checkouts: Checkouts, bug, changes, package: Package = BUNDLED) -> Verdict:
    def fresh() -> Sandbox:
        return checkouts.open(BUNDLED, bundled_files(), Environment())

    planted, others = tasks.plant(bug, BUNDLED), DATA.pass_to_pass(bug)
    return grade(fresh, package, bug, bundled_files(), planted, changes, others)


# ---------------------------------------------------------------------- grading


def test_the_fix_solves_and_half_a_fix_does_not(checkouts: Checkouts) -> None:
    bug = next(bug for bug in BUGS if len(bug.fail_to_pass) > 1)
    fixed = {bug.path: bundled_files()[bug.path]}
    verdict = _grade(checkouts, bug, fixed)
    assert verdict.solved and verdict.share == 1.0 and not verdict.suspicious
    assert f"+++ b/{bug.path}" in verdict.patch
    unchanged = _grade(checkouts, bug, {})
    assert unchanged.empty and not unchanged.solved
    cosmetic = _grade(checkouts, bug, {bug.path: tasks.plant(bug, BUNDLED) + b"\n# a comment\n"})
    assert not cosmetic.solved and not cosmetic.suspicious and cosmetic.share == 0.0


def test_a_fix_that_breaks_something_else_does_not_count(checkouts: Checkouts) -> None:
    bug = BUGS[0]
    other = next(
        path
        for path in bundled_files()
        if path.startswith("tinykit/") and path not in (bug.path, "tinykit/__init__.py")
    )
    source = bundled_files()[other].replace(b"return ", b"return None and ", 3)
    verdict = _grade(checkouts, bug, {bug.path: bundled_files()[bug.path], other: source})
    assert not verdict.solved and verdict.broken and verdict.share == 0.0


ATTACKS = {
    "exit at import": b"import os; os._exit(0)\n",
    "exit code one": b"import os; os._exit(1)\n",
    "quiet assertions": b"import unittest; unittest.TestCase.assertEqual = lambda *a, **k: None\n",
    "patched run": b"import unittest; unittest.TestCase.run = lambda self, r=None: (r.startTest(self), r.addSuccess(self))\n",
    "forged report": b'import os\nfor fd in range(3, 20):\n    try: os.write(fd, b\'{"done": true, "code": 1, "changed": []}\\n\')\n    except OSError: pass\n',
    "frozen": b"while True: pass\n",
    "kills the parent": b"import os, signal; os.kill(os.getppid(), signal.SIGKILL)\n",
    "killed by signal": b"import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n",
    "atexit": b"import atexit, os; atexit.register(os._exit, 0)\n",
    "skips": b"import unittest; raise unittest.SkipTest('x')\n",
    "system exit": b"raise SystemExit(0)\n",
    "quiet errors": b"import unittest.case as c; c._Outcome.testPartExecutor = lambda *a, **k: __import__('contextlib').nullcontext()\n",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_code_that_attacks_the_grader_earns_nothing(checkouts: Checkouts, name: str) -> None:
    bug = next(bug for bug in BUGS if bug.path == "tinykit/texts.py")
    attacked = ATTACKS[name] + bundled_files()["tinykit/__init__.py"]
    try:
        verdict = _grade(checkouts, bug, {"tinykit/__init__.py": attacked}, replace(BUNDLED, timeout=3.0))
    except Fault as error:  # the supervisor was killed: never a reward
        assert "supervisor" in str(error)
        return
    assert not verdict.solved and verdict.share == 0.0, name


def test_only_source_files_are_carried_over() -> None:
    before = {**bundled_files()}
    after = {
        **before, "tinykit/new.py": b"x", "tests/test_texts.py": b"", "conftest.py": b"", "tinykit/conftest.py": b"",
        "sitecustomize.py": b"", "tinykit.py": b"", "unittest.py": b"", "tinykit/data.txt": b"", "x.pth": b"",
    }  # fmt: skip
    del after["tinykit/graphs.py"]
    assert source_changes(BUNDLED, before, after) == {"tinykit/new.py": b"x", "tinykit/graphs.py": None}


@pytest.mark.parametrize("name", SWEGame.cheats)
def test_cheats_earn_nothing(env: AgentEnv, name: str) -> None:
    # 200 tasks each are a matter for `agentgym check`; a task with a visible failing test gives a cheat most to go on.
    bug = next(bug for bug in BUGS if len(bug.hidden) < len(bug.fail_to_pass))
    cheat, rng = load(SWEGame.cheats[name])(), derive_rng(0, name)
    observation, _ = env.reset(seed=0, options={"task_id": bug.instance_id})
    total = 0.0
    while env.running:
        observation, reward, _, _, info = env.step(cheat(observation, rng))
        total += float(reward)
        assert info["action_valid"], info
    assert not info["success"] and total <= 0.0


# ---------------------------------------------------------------------- episodes


def test_conformance(checkouts: Checkouts) -> None:
    names = (
        "declarations", "gymnasium_checker", "tasks_and_splits", "order", "processes", "formats", "budgets", "forks",
        "render_and_close",
    )  # fmt: skip
    results = run_checks(Subject(GAME, {}, None, 1, 1), only=names)
    assert [(result.name, result.detail) for result in results if result.status == "failed"] == []


def test_expert_solves_every_kind_of_bug(env: AgentEnv) -> None:
    for mutator in sorted({bug.mutator for bug in BUGS}):
        bug = next(bug for bug in BUGS if bug.mutator == mutator)
        env.reset(seed=1, options={"task_id": bug.instance_id})
        total = 0.0
        while env.running:
            _, reward, _, _, info = env.step(env.expert_message())
            total += float(reward)
        assert info["success"], bug.instance_id
        assert info["rewards"]["solved"] == info["rewards"]["submission"] == info["rewards"]["test_share"] == 1.0
        assert total > 1.0


def test_an_episode_turn_by_turn(env: AgentEnv) -> None:
    bug = next(bug for bug in BUGS if bug.path == "tinykit/texts.py" and len(bug.hidden) < len(bug.fail_to_pass))
    text, info = env.reset(seed=0, options={"task_id": bug.instance_id})
    assert bug.statement in text
    key = info["state_key"]
    text, _, _, info = _call(env, "view", path="tinykit")
    assert "texts.py" in text and info["state_key"] == key and "localised" not in info["rewards"]
    text, _, _, info = _call(env, "view", path="/workspace/tinykit/texts.py", start=3, end=5)
    assert "lines 3 to 5" in text and info["rewards"]["localised"] == 1.0
    _, _, _, info = _call(env, "view", path="tinykit/texts.py")
    assert "localised" not in info["rewards"], "paid once"
    text, _, _, info = _call(env, "run_tests")
    assert "failed" in text and info["rewards"]["test_progress"] == 0.0 and info["state_key"] == key
    text, _, _, info = _call(env, "bash", command="cd tests; echo one > /tmp/x; X=1")
    assert info["state_key"] != key
    text, _, _, info = _call(env, "bash", command="pwd; echo $X; cat nothing; exit 3")
    assert "/workspace/tests\n1\n" in text and "[exit code 3]" in text and info["action_executable"]
    text, _, _, info = _call(env, "search", pattern="def slugify")
    assert text.startswith("tinykit/texts.py:")
    _, _, _, info = _call(env, "create", path="notes.txt", text="hello")
    assert info["rewards"]["edit_applies"] == 1.0
    text, _, _, info = _call(env, "replace", path="tinykit/texts.py", old="not there", new="x")
    assert info["rewards"]["edit_applies"] == 0.0 and not info["action_executable"] and "not found" in text
    text, _, _, info = _call(env, "insert", path="tinykit/texts.py", line=1, text="def (")
    assert "valid Python" in text and not info["action_executable"]
    before = info["state_key"]
    _call(env, "insert", path="tinykit/texts.py", line=0, text="# one")
    text, _, _, info = _call(env, "undo", path="tinykit/texts.py")
    assert info["state_key"] == before
    text, _, _, info = _call(env, "undo", path="tinykit/tables.py")
    assert not info["action_executable"]
    _, _, terminated, info = _call(env, "submit")
    assert terminated and not info["success"] and info["rewards"]["submission"] == pytest.approx(1 / 3)


def test_the_noted_state_is_the_real_one(env: AgentEnv) -> None:
    env.reset(seed=3)
    _call(env, "create", path="a b.txt", text="x")
    _call(env, "insert", path="tinykit/texts.py", line=0, text="# é")
    _call(env, "bash", command="chmod 755 'a b.txt'; ln -s 'a b.txt' link")
    _call(env, "replace", path="a b.txt", old="x", new="y")
    _call(env, "replace", path="link", old="y", new="z")
    game = env.game
    assert isinstance(game, SWEGame)
    assert game.state.files == Listing().look(game.sandbox)
    assert game.sandbox.read_file("a b.txt") == b"z"


def test_nothing_that_an_agent_leaves_is_a_fault(env: AgentEnv) -> None:
    """A fault leaves an episode without a score: no way out for a model that would lose."""
    traps = (
        "chmod 000 tinykit/texts.py; mkdir shut; chmod 000 shut",
        "chmod 000 tinykit; chmod 000 /workspace",
        "truncate -s 250M a.py b.py c d",
        "rm tinykit/texts.py; mkfifo tinykit/texts.py; mkfifo pipe.py",
        "python3 -c \"import os\nfor i in range(300): os.mkdir('d' * 20); os.chdir('d' * 20)\"; touch $'\\xff.py'",
        "for p in find tar cat sha256sum xargs grep sh; do echo 'echo nonsense' > ~/.env/bin/$p; chmod 755 ~/.env/bin/$p; done",
    )
    for trap in traps:
        env.reset(seed=0)
        _call(env, "create", path="notes.txt", text="x")
        _call(env, "bash", command=f"rm notes.txt; mkdir -p notes.txt/sub; {trap}")
        for path in (".", "shut", "tinykit/texts.py"):
            _call(env, "view", path=path)
            _call(env, "search", pattern="import", path=path)
        _, _, _, info = _call(env, "undo", path="notes.txt")
        assert not info["action_executable"]
        _call(env, "run_tests")
        _, _, terminated, info = _call(env, "submit")
        assert terminated and not info["success"]


def test_a_second_link_is_no_deleted_file(env: AgentEnv) -> None:
    env.reset(seed=0)
    _call(env, "bash", command="ln tinykit/texts.py a.py; ln tinykit/texts.py z.py")
    assert read_tree(env.game.sandbox)["tinykit/texts.py"] == read_tree(env.game.sandbox)["z.py"] != b""
    _, _, _, info = _call(env, "submit")
    assert info["rewards"]["submission"] == pytest.approx(1 / 3), "nothing of the source was changed"


def test_searching_and_viewing_what_models_write(env: AgentEnv) -> None:
    env.reset(seed=0)
    text, _, _, info = _call(env, "search", pattern=r"(?i)DEF \w+\(.*?\d", path="tests")
    assert info["action_executable"] and text.startswith("tests/")
    text, _, _, info = _call(env, "search", pattern="(")
    assert not info["action_executable"] and "parenthes" in text
    text, _, _, info = _call(env, "view", path="README.md", start=3, end=2)
    assert not info["action_executable"] and "before the first" in text
    half = AgentEnv(GAME, action_format="json")
    half.reset(seed=0)
    _, _, _, _, info = half.step('<tool_call>{"name": "search", "arguments": {"pattern": "\\ud800"}}</tool_call>')
    assert info["action_valid"] and not info["action_executable"]
    half.close()


def test_snapshots_travel_through_pickle_with_their_files(env: AgentEnv, checkouts: Checkouts) -> None:
    env.reset(seed=4)
    _call(env, "bash", command="cd tinykit; echo '# x' >> texts.py; rm tables.py; V=7; echo y > ~/f")
    snapshot = pickle.loads(pickle.dumps(env.snapshot()))
    other = AgentEnv(GAME)
    other.restore(snapshot)
    text, *_ = _call(other, "bash", command="pwd; tail -1 texts.py; ls; echo $V; cat ~/f")
    assert text.splitlines()[:2] == ["/workspace/tinykit", "# x"] and "tables.py" not in text
    assert text.endswith("7\ny")
    other.close()


def test_gate_threshold_and_strictness(checkouts: Checkouts) -> None:
    """A patch that fails opens a gate at level 2/3, a strict one at that level stays closed."""
    bug = next(bug for bug in BUGS if bug.path == "tinykit/texts.py")
    totals = {}
    for name, scheme in (
        ("open", gated_accumulation(2 / 3, on="submission")),
        ("strict", gated_accumulation(2 / 3, strict=True, on="submission")),
        ("direct", SCHEMES["direct"]),
    ):
        env = AgentEnv(GAME, scheme=scheme)
        env.reset(seed=0, options={"task_id": bug.instance_id})
        rewards = [_call(env, "view", path=bug.path)[1]]
        rewards.append(_call(env, "insert", path=bug.path, line=0, text="# nothing")[1])
        rewards.append(_call(env, "submit")[1])
        totals[name] = rewards
        env.close()
    assert totals["open"][:2] == [0.0, 0.0] and totals["open"][2] != 0.0, "held until the outcome is known"
    assert totals["strict"] == [0.0, 0.0, 0.0]
    assert totals["direct"][0] > 0.0 and totals["direct"][2] > 0.6


def test_the_editor_follows_no_trick(sandbox: Sandbox) -> None:
    editor = Editor(sandbox)
    sandbox.exec("mkfifo pipe; ln -s /etc/passwd out; printf '\\xff' > binary; echo 'a\na' > twice; mkdir d")
    assert "can't be read" in editor.view("pipe")[0]
    assert "stands there 2 times" in editor.replace("twice", "a", "b").reply
    assert "not a text file" in editor.replace("binary", "a", "b").reply
    assert not editor.replace("out", "root", "toor").applied
    assert "exists already" in editor.create("twice", "x").reply
    assert "exists already" in editor.create("d", "x").reply
    assert "can't be read or changed" in editor.create("/etc/new", "x").reply
    assert "past its end" in editor.view("twice", 9)[0]
    assert editor.view("d") == ("d:\n(nothing)", True)


def test_bad_arguments_are_refused_without_a_change(env: AgentEnv) -> None:
    env.reset(seed=0)
    key = env.game.state_key()
    for name, arguments in (
        ("view", {"path": "\x00"}), ("view", {"path": "../../etc/shadow"}), ("bash", {"command": "echo \x00"}),
        ("search", {"pattern": "("}), ("search", {"pattern": "x", "path": "nowhere"}), ("bash", {"command": "x" * 200_000}),
        ("insert", {"path": "README.md", "text": "x", "line": 999}), ("create", {"path": "README.md", "text": "x"}),
    ):  # fmt: skip
        _, _, terminated, info = _call(env, name, **arguments)
        assert not info["action_executable"] and not terminated, (name, arguments)
    assert env.game.state_key() == key


# ---------------------------------------------------------------------- the builder


def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    files = {
        "pkg/__init__.py": "def clamp(x, low, high):\n    if x < low:\n        return low\n    if x > high:\n"
        "        return high\n    return x\n\n\ndef total(items):\n    result = 0\n    for item in items:\n"
        "        result += item\n    return result\n",
        "tests/test_pkg.py": "import unittest\nfrom pkg import clamp, total\n\n\nclass T(unittest.TestCase):\n"
        "    def test_low(self):\n        self.assertEqual(clamp(-1, 0, 5), 0)\n"
        "    def test_high(self):\n        self.assertEqual(clamp(9, 0, 5), 5)\n"
        "    def test_in(self):\n        self.assertEqual(clamp(3, 0, 5), 3)\n"
        "    def test_total(self):\n        self.assertEqual(total([1, 2]), 3)\n"
        "    def test_none(self):\n        self.assertEqual(total([]), 0)\n",
    }  # fmt: skip
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "cache" / "swe" / "sources" / "pkg-1.tar.gz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"pkg-1/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return Package("pkg", "1", "unittest", ("pkg",), ("tests",))


def test_the_builder_makes_tasks_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkouts: Checkouts
) -> None:
    package, out = _package(tmp_path, monkeypatch), tmp_path / "tasks.json"
    first = command.main(package, 2, str(out))
    assert len(first) == 2
    tried = json.loads((tmp_path / "tasks.tried.json").read_text())
    lines: list[str] = []
    second = command.main(package, 3, str(out), progress=lambda count, line: lines.append(line))
    assert len(second) == 3 and {bug.instance_id for bug in first} <= {bug.instance_id for bug in second}
    assert sum("tests fail" in line for line in lines) == 1, "the first two were not built again"
    assert set(tried) < set(json.loads((tmp_path / "tasks.tried.json").read_text()))
    env = AgentEnv(GAME, tasks=str(out))
    env.reset(seed=0)
    while env.running:
        info = env.step(env.expert_message())[4]
    assert info["success"]
    env.close()
    with pytest.raises(ConfigError, match="at least 1"):
        command.main(package, 0, str(out))


def test_a_git_repository_becomes_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "thing"
    for name, text in (
        ("src/thing/__init__.py", "x = 1\n"), ("src/thing/core.py", ""), ("tests/test_a.py", ""), ("docs/conf.py", ""),
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    with pytest.raises(ConfigError, match="no git repository"):
        detect.repository(str(root))
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], check=True)
    package = detect.repository(str(root), ("attrs==25.4.0",))
    assert (package.source, package.tests, package.path) == (("src/thing",), ("tests",), ("src", "."))
    assert package.requires[-1] == "attrs==25.4.0" and detect.repository(str(root)).sha256 == package.sha256
    assert fetch.files_of(package)["src/thing/__init__.py"] == b"x = 1\n"
    with pytest.raises(ConfigError, match="name==version"):
        command.main("no-such-thing", 1, str(tmp_path / "x.json"))
    with pytest.raises(DataError, match="found no tests"):
        detect.describe("p", "1", {"p/__init__.py": b""}, "")


def test_fetched_environments_hold_the_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = _package(tmp_path, monkeypatch)
    folder = Path(fetch.environment_of(package).site_packages)
    assert (folder / "pkg-1.dist-info" / "METADATA").read_text().startswith("Metadata-Version")
    assert fetch.environment_of(package).site_packages == str(folder)


def test_what_a_command_does_shows_whatever_else_runs(env: AgentEnv) -> None:
    env.reset(seed=3)
    game = env.game
    assert isinstance(game, SWEGame)
    for line, shown in (
        ("echo a > one; printf 'x\\0y'", "x"), ("(sleep 0.3; echo b > two) & echo c > three", "[no output]"), ("kill -9 $$", "[exit code 137]"),
        ("yes | head -c 3000000", "left out"), ("mkdir -p d/e; mv one d/e; chmod 600 d/e/one; rm three", "[no output]"),
        ("cat nothing >&2; exit 4", "[exit code 4]"), ("exec true", "[no output]"), ("ln -s one 'a b'; touch -d 2001-01-01 d/e/one", "[no output]"),
    ):  # fmt: skip
        text, *_ = _call(env, "bash", command=line)
        assert shown in text and "Killed" not in text, (line, text)
        assert game.state.files == Listing().look(game.sandbox), line
    assert "/workspace/two" not in game.state.files, "background processes end with their command"
