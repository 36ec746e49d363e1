"""The command line: build, resume after kill -9, verify, export. pip fetches pytest: `make test-sandboxes`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentgym.core.env import AgentEnv
from agentgym.environments.swe.checkout import Checkouts
from agentgym.environments.swe.tasks import load

SOURCE = """def clamp(x, low, high):
    if x < low:
        return low
    if x > high:
        return high
    return x


def total(items):
    result = 0
    for item in items:
        result += item
    return result


def both(a, b):
    return a and b
"""
TESTS = """import pytest
from thing import both, clamp, total


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (9, 5), (3, 3)])
def test_clamp(x, y):
    assert clamp(x, 0, 5) == y


def test_low():
    assert clamp(-9, 0, 5) == 0


def test_total():
    assert total([1, 2]) == 3


def test_none():
    assert total([]) == 0


def test_both():
    assert both(True, True) and not both(True, False)
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with a package; the cache of this test alone, with pytest from this environment."""
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    root = tmp_path / "thing"
    for name, text in (("thing/__init__.py", SOURCE), ("tests/test_thing.py", TESTS)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], check=True)
    return root


def _line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "agentgym", "swe", *arguments]


def _run(*arguments: str) -> str:
    done = subprocess.run(_line(*arguments), capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_repository_becomes_tasks_that_survive_a_kill(repository: Path, tmp_path: Path, checkouts: Checkouts) -> None:
    out, whole = tmp_path / "tasks.json", tmp_path / "whole.json"
    wanted = ("--package", str(repository), "--tasks", "6")
    with subprocess.Popen(_line("build", *wanted, "--out", str(out)), stderr=subprocess.DEVNULL) as killed:
        while not out.is_file():
            assert killed.poll() is None
        killed.send_signal(signal.SIGKILL)
    before = {bug["instance_id"] for bug in json.loads(out.read_text())["bugs"]}
    summary = json.loads(_run("build", *wanted, "--out", str(out), "--json"))
    assert "tasks of" in _run("build", *wanted, "--out", str(whole))
    assert out.read_bytes() == whole.read_bytes(), "as if it had never been killed"
    found = load(str(out)).bugs
    assert before <= set(found) and summary["tasks"] == len(found) >= 3
    assert _run("verify", "--tasks", str(out), "--sample", "2").startswith("2 of 2 tasks")
    rows = tmp_path / "rows.jsonl"
    _run("export", "--tasks", str(out), "--out", str(rows))
    first = json.loads(rows.read_text().splitlines()[0])
    assert first["patch"].startswith("diff --git") and json.loads(first["FAIL_TO_PASS"])
    env = AgentEnv("agentgym.environments.swe.game:SWEGame", tasks=str(out))
    env.reset(seed=0)
    while env.running:
        info = env.step(env.expert_message())[4]
    assert info["success"]
    env.close()
