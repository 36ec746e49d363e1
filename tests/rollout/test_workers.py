"""Workers: equal records from any number of them, and a death costs the episodes in flight and nothing else."""

import asyncio
import os
import signal

import pytest

from agentgym.core.errors import ConfigError, MissingExtraError, UnknownNameError
from agentgym.core.policy import PolicySpec
from agentgym.rollout import workers as module
from agentgym.rollout.run import RunConfig, run
from agentgym.rollout.storage import read_run, read_timing
from agentgym.rollout.workers import Where, parse_workers, require
from rollout.test_storage import contents

ENV = "rollout.games:toy/Rooms-v0"


def config(policy="rollout.games:Expert", episodes=60, **more):
    spec = PolicySpec(policy, more.pop("policy_args", {}))
    return RunConfig(ENV, spec, episodes=episodes, group_size=3, **more)


def play(path, settings, **more):
    return asyncio.run(run(settings, path, **more))


def test_reading():
    assert parse_workers("0") == Where("here", 0)
    assert parse_workers(4) == Where("process", 4)
    assert parse_workers("ray") == Where("ray", 0)
    assert parse_workers("ray:3") == Where("ray", 3)
    assert parse_workers("ray://head:10001") == Where("ray", 0, "ray://head:10001")
    assert parse_workers("ray://head:10001?workers=8") == Where("ray", 8, "ray://head:10001")
    for text in ("-1", "many", "ray:x", "ray://", "1.5", ""):
        with pytest.raises(ConfigError, match="--workers"):
            parse_workers(text)


def test_without_ray_one_line_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'agentgym-kit\[ray\]'"):
        require(Where("ray", 0))
    with pytest.raises(MissingExtraError):
        play(tmp_path / "a", config(), workers="ray")
    assert not (tmp_path / "a").exists()


def test_records_are_equal_with_workers_and_without(tmp_path):
    settings = config(inject="policy=0.05,tool=0.05,env=0.05", tree="1:1")
    play(tmp_path / "here", settings, concurrency=5)
    play(tmp_path / "there", settings, concurrency=8, workers=2)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert (tmp_path / "here" / "manifest.jsonl").read_bytes() == (tmp_path / "there" / "manifest.jsonl").read_bytes()
    hosts = {row["host"] for row in read_timing(tmp_path / "there").values()}
    assert len(hosts) == 2


def test_a_killed_worker_costs_only_what_was_in_flight(tmp_path):
    settings = config("rollout.games:Slow", policy_args={"seconds": 0.02})
    killed = []

    def on_episode(record, tally, stored):
        if stored == 20 and not killed:
            host = next(row["host"] for row in read_timing(tmp_path / "killed").values())
            killed.append(int(host.rpartition(":")[2]))
            os.kill(killed[0], signal.SIGKILL)

    tally = play(tmp_path / "killed", settings, concurrency=8, workers=2, on_episode=on_episode)
    assert tally.episodes == tally.scored == 60
    timing = read_timing(tmp_path / "killed").values()
    assert 1 <= sum(row["deaths"] for row in timing) <= 4
    play(tmp_path / "calm", settings, concurrency=8)
    assert contents(tmp_path / "killed") == contents(tmp_path / "calm")


def test_a_job_that_kills_its_worker_once_is_played_again(tmp_path):
    settings = config("rollout.games:Suicidal", 12, policy_args={"index": 5, "once": str(tmp_path / "mark")})
    assert play(tmp_path / "a", settings, concurrency=4, workers=1).scored == 12
    play(tmp_path / "b", config("rollout.games:Suicidal", 12, policy_args={"index": -1}), concurrency=4)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_only_a_job_that_kills_its_worker_alone_is_given_up(tmp_path):
    settings = config("rollout.games:Suicidal", 12, policy_args={"index": 5})
    tally = play(tmp_path, settings, concurrency=4, workers=1)
    assert (tally.episodes, tally.scored, dict(tally.faults)) == (12, 11, {"environment": 1})
    bad = [record for record in read_run(tmp_path) if record.faults]
    assert [record.trajectory_id for record in bad] == ["e0000005"]
    assert bad[0].faults[0].message == "it ended the worker that played it alone (exit code 3)"


def test_mistakes_are_seen_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="can't be made"):
        play(tmp_path / "a", config("scripted", policy_args={"mistakes": 1}), workers=1)
    with pytest.raises(UnknownNameError, match="policy"):
        play(tmp_path / "a", config("scriptd"), workers=1)
    with pytest.raises(ConfigError, match="build their policy themselves"):
        from rollout.games import Expert

        play(tmp_path / "a", config(), workers=1, policy=Expert())
    assert not (tmp_path / "a").exists()


def test_mistakes_that_only_a_worker_sees_end_the_run_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match="mistake_rate must be a probability"):
        play(tmp_path, config("scripted", policy_args={"mistake_rate": 7}), workers=1)
