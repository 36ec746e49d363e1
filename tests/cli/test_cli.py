"""The command line, as a person uses it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHIM = "import conftest; from agentgym.cli.main import main; main()"
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "COLUMNS": "100"}


def agentgym(*args: str, text: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SHIM, *args],
        env=ENV,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def rollout(out: Path, *more: str, episodes: int = 12) -> subprocess.CompletedProcess[str]:
    return agentgym(
        "rollout",
        "--env",
        "toy/Rooms-v0",
        "--policy",
        "scripted",
        "--out",
        str(out),
        "--episodes",
        str(episodes),
        *more,
    )


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["rollout", "--env", "toy/Room-v0", "--policy", "scripted", "--out", "x"], "Did you mean 'toy/Rooms-v0'"),
        (["rollout", "--env", "toy/Rooms-v0", "--policy", "scriptd", "--out", "x"], "Did you mean 'scripted'"),
        (
            ["rollout", "--env", "toy/Rooms-v0", "--policy", "scripted", "--out", "x", "--scheme", "gatd"],
            "Did you mean 'gated'",
        ),
        (["rollout", "--env", "toy/Rooms-v0", "--policy", "scripted", "--out", "x", "-e", "nonsense"], "KEY=VALUE"),
        (["rollout", "--env", "toy/Rooms-v0", "--policy", "scripted", "--out", "x", "-e", "speed=3"], "can't be made"),
        (
            ["rollout", "--env", "toy/Rooms-v0", "--policy", "scripted", "--out", "x", "--temperature", "-1"],
            "temperature",
        ),
        (["show", "no-such-folder"], "is not a run"),
        (["check", "toy/Nothing-v0"], "Unknown environment"),
        (["check", "toy/Rooms-v0", "--only", "expart"], "Did you mean 'expert'"),
        (["init", "3"], "no Python module name"),
        (["play", "Shopping"], "Unknown environment"),
    ],
)
def test_a_users_mistake_is_one_line(args, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = agentgym(*args)
    assert result.returncode == 2
    assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_run_without_a_scored_episode_fails(tmp_path):
    done = rollout(tmp_path / "run", "--inject", "env=1", "--retries", "0", "--json")
    assert done.returncode == 1
    assert "environment" in done.stderr and "not one episode was scored" in done.stderr
    assert json.loads(done.stdout)["faults"] == {"environment": 12}


def test_rollout_show_and_resume(tmp_path):
    out = tmp_path / "run"
    result = rollout(out, "--group", "3", "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert (summary["episodes"], summary["success"]) == (12, 1.0)
    again = rollout(out, "--group", "3")
    assert (again.returncode, "--resume" in again.stderr) == (2, True)
    assert rollout(out, "--group", "3", "--resume").returncode == 0
    changed = rollout(out, "--group", "4", "--resume")
    assert "group_size: 3 then, 4 now" in changed.stderr
    listing = agentgym("show", str(out), "--list").stdout.splitlines()
    assert len(listing) == 12
    shown = agentgym("show", str(out), "-n", "5").stdout
    assert "e0000005" in shown
    assert "sighted" in shown
    assert "paid +0.500 in turn 2" in shown
    assert json.loads(agentgym("show", str(out), "-n", "e0000001", "--json").stdout)["trajectory_id"] == "e0000001"
    missing = agentgym("show", str(out), "-n", "99")
    assert (missing.returncode, "holds no episode" in missing.stderr) == (2, True)


def test_ctrl_c_keeps_what_was_finished(tmp_path):
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-c",
        SHIM,
        "rollout",
        "--env",
        "toy/Rooms-v0",
        "--policy",
        "scripted",
        "--out",
        str(out),
    ]
    child = subprocess.Popen(
        [*command, "--episodes", "200000"], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    journal = out / "journal"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and any(journal.iterdir())):
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert len(agentgym("show", str(out), "--list").stdout.splitlines()) > 0


def test_play_from_a_pipe():
    result = agentgym("play", "toy/Rooms-v0", text=":expert\n:help\nlook[hall]\n:undo\n:state\nnonsense\n")
    assert result.returncode == 0, result.stderr
    for text in ("look[", ":undo takes a turn back", "seen: []", "exactly one action", "left unfinished"):
        assert text in result.stdout


def test_check_prints_and_exits():
    good = agentgym("check", "toy/Rooms-v0", "--cheat-tasks", "30", "--tasks", "3")
    assert good.returncode == 0, good.stdout
    assert "19 of 19 checks hold" in good.stdout
    rows = json.loads(agentgym("check", "toy/Rooms-v0", "--only", "order", "--json").stdout)
    assert rows[0]["status"] == "passed"


def test_doctor_and_envs():
    findings = {row["name"]: row for row in json.loads(agentgym("doctor", "--json").stdout)}
    assert findings["Python"]["ok"]
    assert findings["gymnasium"]["ok"]
    rows = json.loads(agentgym("envs", "--json").stdout)
    assert "toy/Rooms-v0" in [row["id"] for row in rows]


def test_init_writes_an_environment_that_passes_the_suite(tmp_path):
    assert agentgym("init", "lost things", "--folder", str(tmp_path)).returncode == 0
    project = tmp_path / "lost-things"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            str(tmp_path / "site"),
            str(project),
        ],
        check=True,
        capture_output=True,
    )
    env = {**ENV, "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ENV['PYTHONPATH']}"}
    result = subprocess.run(
        [sys.executable, "-m", "agentgym", "check", "my/LostThings-v0", "--cheat-tasks", "100"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "19 of 19" in result.stdout
    twice = agentgym("init", "lost things", "--folder", str(tmp_path))
    assert "exists already" in twice.stderr
