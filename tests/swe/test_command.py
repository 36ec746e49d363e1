"""What a user reads when something is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError
from agentgym.environments.swe.build import issue
from agentgym.environments.swe.tasks import load


def _errors(*arguments: str) -> str:
    """What the command prints as its error."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    line = [sys.executable, "-m", "agentgym", "swe", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    return done.stderr


def test_mistakes_of_a_user_are_one_line(tmp_path: Path) -> None:
    for arguments, words in (
        (("build", "--package", "toolz=1"), "Did you mean 'toolz==1.2.0'"),
        (("build", "--package", str(tmp_path)), "no git repository"),
        (("build", "--package", "toolz==1.2.0", "--split", "trian"), "train"),
        (("verify", "--tasks", "nowhere.json"), "neither"),
        (("export", "--out", str(tmp_path)), "can't be written"),
    ):
        assert words in _errors(*arguments)
    bad = tmp_path / "bad.json"
    bad.write_text("[1")
    assert "not JSON" in _errors("build", "--package", "toolz==1.2.0", "--out", str(bad))


@pytest.mark.parametrize(
    "wrong", [{"packages": "tinykit"}, {"command_timeout": 0.0}, {"command_timeout": float("nan")}]
)
def test_arguments_of_the_environment_are_checked(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="Expected a list of packages and a command_timeout above 0"):
        AgentEnv("agentgym.environments.swe.game:SWEGame", **wrong)


def test_a_writer_may_not_give_the_place_away() -> None:
    bug = next(iter(load("bundled").bugs.values()))
    assert issue.rewritten(bug, lambda prompt: "It fails.").statement == "It fails."
    for text in ("", f"See {bug.path}.", "Line 12 is wrong: line 12", f"{bug.hidden[0].rpartition('::')[2]} fails"):
        assert issue.rewritten(bug, lambda prompt, text=text: text) == bug
    bug = next(bug for bug in load("bundled").bugs.values() if bug.path == "tinykit/texts.py")
    for text in ("tests/test_texts.py fails", "test_texts.py"):
        assert issue.rewritten(bug, lambda prompt, text=text: text).statement == text


def test_without_a_sandbox_it_says_what_to_do() -> None:
    """In a process of its own: this one may hold a connection to a daemon already."""
    code = "from agentgym.core.env import AgentEnv; AgentEnv('agentgym.environments.swe.game:SWEGame')"
    there = {**os.environ, "PATH": "/nowhere", "DOCKER_HOST": "unix:///nowhere.sock"}
    there["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=there, check=False)
    assert "UnsupportedError" in done.stderr and "apt install bubblewrap" in done.stderr
