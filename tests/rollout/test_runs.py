"""Runs as a whole: the manifest, old runs, memory, interruption, the command line."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.policy import PolicySpec, Sampling
from agentgym.core.records import Trajectory
from agentgym.rollout import storage
from agentgym.rollout.journal import decode, encode
from agentgym.rollout.limits import Limits
from agentgym.rollout.run import RunConfig, run
from agentgym.rollout.shards import check_hashes, read_manifest
from agentgym.rollout.storage import RunWriter, read_run, read_timing, stored_jobs, stored_totals
from rollout.test_storage import contents, stored, with_tokens

CONFIG = RunConfig("rollout.games:toy/Rooms-v0", PolicySpec("rollout.games:Expert"), episodes=30, shard_size=8)


def test_a_line_of_the_journal_gives_records_back():
    record = with_tokens()
    assert decode(encode(7, [record, record])) == (7, [record, record])
    old = json.dumps({"index": 3, "trajectory": record.to_dict()}).encode() + b"\n"
    assert decode(old) == (3, [record])
    with pytest.raises(DataError, match="column of tokens"):
        record.segments[0].token_ids[0] = 2**40
        encode(0, [record])


def test_the_manifest_says_what_is_there(tmp_path):
    asyncio.run(run(CONFIG, tmp_path))
    entries = read_manifest(tmp_path)
    assert [(entry.first, entry.jobs, entry.trajectories) for entry in entries.values()] == [
        (0, 8, 8),
        (8, 8, 8),
        (16, 8, 8),
        (24, 6, 6),
    ]
    records = list(read_run(tmp_path))
    assert sum(entry.turns for entry in entries.values()) == sum(len(record.turns) for record in records)
    check_hashes(tmp_path, entries.values())
    totals = stored_totals(tmp_path).summary()
    assert totals["episodes"] == 30
    assert totals["mean_reward"] == pytest.approx(sum(record.total_reward for record in records) / 30)


def test_totals_of_an_unfinished_run_and_of_one_without_a_manifest(tmp_path):
    stored(tmp_path, 8, order=[3, 1, 20, 0, 2, 4, 5, 6, 7])
    assert stored_totals(tmp_path).episodes == stored_jobs(tmp_path) == 9
    (tmp_path / "manifest.jsonl").unlink()
    assert stored_totals(tmp_path).episodes == 9


def test_a_whole_shard_that_the_manifest_misses_is_taken_over(tmp_path):
    records = stored(tmp_path / "a", 8)
    stored(tmp_path / "b", 8, order=range(24))
    lines = (tmp_path / "b" / "manifest.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "b" / "manifest.jsonl").write_text("".join(lines[:-1]) + lines[-1][:20])  # killed while writing it
    with RunWriter(tmp_path / "b", {"a": 1}, 30, resume=True, shard_size=8) as writer:
        assert writer.done == set(range(24))
        for index in range(24, 30):
            writer.add(index, [records[index]])
    for name in ("manifest.jsonl",):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_torn_lines_do_not_spoil_what_follows(tmp_path):
    records = stored(tmp_path, 8, order=range(8))
    for name in ("manifest.jsonl", "timing.jsonl"):
        with (tmp_path / name).open("a") as file:
            file.write('{"shard": 1, "inde')
    for first in (8, 16):
        writer = RunWriter(tmp_path, {"a": 1}, 30, resume=True, shard_size=8)
        for index in range(first, first + 8):
            writer.add(index, [records[index]], {"attempts": 1})
        writer._close_files()  # as if killed: the manifest is left as it is
    assert sorted(read_manifest(tmp_path)) == [0, 1, 2]
    assert sorted(read_timing(tmp_path)) == list(range(8, 24))


def test_what_was_damaged_is_named(tmp_path):
    stored(tmp_path, 8)
    file = tmp_path / "turns" / "00001.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"00001.parquet' has \d+ bytes; the manifest says"):
        RunWriter(tmp_path, {"a": 1}, 30, resume=True, shard_size=8)
    file.unlink()
    with pytest.raises(DataError, match="is missing"):
        RunWriter(tmp_path, {"a": 1}, 30, resume=True, shard_size=8)
    file.write_bytes(b"not parquet" * 10)
    with pytest.raises(DataError, match="can't be read"):
        list(read_run(tmp_path))
    file.write_bytes(whole)
    (tmp_path / "manifest.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="Line 1 of"):
        RunWriter(tmp_path, {"a": 1}, 30, resume=True, shard_size=8)


def test_a_line_of_a_journal_that_is_no_record_is_named(tmp_path):
    stored(tmp_path, 8, order=[0, 1])
    journal = tmp_path / "journal" / "00000.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"garbage\n" + lines[1])
    with pytest.raises(DataError, match=r"Line 1 of .* is not a record"):
        RunWriter(tmp_path, {"a": 1}, 30, resume=True, shard_size=8)


def test_records_of_a_newer_schema_are_refused_in_one_line(tmp_path, monkeypatch):
    stored(tmp_path, 8)
    monkeypatch.setattr("agentgym.rollout.shards.SCHEMA_VERSION", 1)
    with pytest.raises(DataError, match=r"records of schema 2; this version of agentgym reads up to 1"):
        list(read_run(tmp_path))


def test_records_that_memory_does_not_hold_come_from_the_journal(tmp_path, monkeypatch):
    stored(tmp_path / "a", 8)
    monkeypatch.setattr(storage, "_HELD_BYTES", 5000)
    order = list(range(30))
    random.Random(2).shuffle(order)
    stored(tmp_path / "b", 8, order)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_jobs_with_several_trajectories_stay_together(tmp_path):
    trees = RunConfig(CONFIG.env_id, CONFIG.policy, episodes=12, tree="1:2", shard_size=4)
    asyncio.run(run(trees, tmp_path / "a"))
    asyncio.run(run(trees, tmp_path / "b", concurrency=1))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    entries = read_manifest(tmp_path / "a")
    assert [entry.jobs for entry in entries.values()] == [4, 4, 4]
    assert sum(entry.trajectories for entry in entries.values()) == len(list(read_run(tmp_path / "a"))) > 12
    summary = stored_totals(tmp_path / "a").summary()
    assert summary["branches"] == summary["episodes"] - 12


def test_old_records_are_read():
    values = with_tokens().to_dict()
    for name in ("drift", "usage"):
        del values[name]
    assert Trajectory.from_dict(json.loads(json.dumps(values))) == with_tokens()


def test_a_mistake_before_the_first_episode_leaves_no_run(tmp_path):
    out = tmp_path / "out"
    mistaken = replace(CONFIG, context="window:64tokens")
    with pytest.raises(ConfigError, match="needs a policy with tokens"):
        asyncio.run(run(mistaken, out))
    assert not out.exists()
    out.mkdir()
    (out / "notes.txt").touch()
    with pytest.raises(ConfigError, match="needs a policy with tokens"):
        asyncio.run(run(mistaken, out))
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    asyncio.run(run(CONFIG, out))
    with pytest.raises(ConfigError, match="another configuration"):
        asyncio.run(run(mistaken, out, resume=True))
    assert stored_jobs(out) == CONFIG.episodes


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 0.0, -1.0])
def test_limits_that_limit_nothing(number):
    for name in ("seconds", "call_seconds"):
        with pytest.raises(ConfigError, match=f"{name} must be above 0 and finite"):
            Limits(**{name: number})
    if number:
        with pytest.raises(ConfigError, match="temperature must be at least 0 and finite"):
            Sampling(temperature=number)


def test_configurations_are_checked():
    for wrong in ({"inject": "x=1"}, {"tree": "x"}, {"shard_size": 0}, {"context": "windw:2"}):
        with pytest.raises((ConfigError, LookupError)):
            RunConfig("toy/Rooms-v0", PolicySpec("expert"), 1, **wrong)
    assert RunConfig("toy/Rooms-v0", PolicySpec("expert"), 1, inject="hang=0.1").limits.call_seconds == 2.0


class TestCommand:
    def start(self, out, *more, policy="rollout.games:Slow", episodes=400):
        words = ["--env", CONFIG.env_id, "--policy", policy, "--episodes", str(episodes), "--out", str(out), *more]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        return subprocess.Popen(
            [sys.executable, "-m", "agentgym.cli.main", "rollout", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )

    def finish(self, child):
        out, errors = child.communicate(timeout=120)
        return child.returncode, out, errors

    @pytest.mark.parametrize(("number", "code", "workers"), [(signal.SIGINT, 130, "0"), (signal.SIGTERM, 143, "1")])
    def test_a_signal_ends_it_in_good_order(self, tmp_path, number, code, workers):
        child = self.start(tmp_path / "a", "--json", "--workers", workers, "--concurrency", "4")
        while not (tmp_path / "a" / "timing.jsonl").exists() and child.poll() is None:
            time.sleep(0.05)
        child.send_signal(number)
        returned, out, errors = self.finish(child)
        assert returned == code, errors
        found = json.loads(out)
        assert found["interrupted"] is True
        assert 0 < found["episodes"] < 400
        assert "--resume" in errors
        assert "Traceback" not in errors
        assert len(read_timing(tmp_path / "a")) == found["episodes"]
        rest = self.start(tmp_path / "a", "--resume", "--json", "--concurrency", "200")
        returned, out, errors = self.finish(rest)
        assert returned == 0, errors
        assert json.loads(out)["episodes"] == 400

    def test_a_dry_run_writes_nothing(self, tmp_path):
        returned, out, _ = self.finish(self.start(tmp_path / "a", "--dry-run", "--json", "--tree", "1:1"))
        assert returned == 0
        plan = json.loads(out)
        assert (plan["would_play"], plan["tree"], plan["stored"]) == (400, "1:1", 0)
        assert not (tmp_path / "a").exists()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--inject", "polcy=1"], "Did you mean 'policy'"),
            (["--tree", "2"], "--tree takes TURN:BRANCHES"),
            (["--workers", "some"], "--workers takes"),
            (["--call-seconds", "-1"], "call_seconds must be above 0"),
            (["--task", "train/1", "--task", "train/x"], "Unknown task 'train/x'"),
            (["--context", "window:64tokens"], "needs a policy with tokens"),  # seen when the first episode begins
        ],
    )
    def test_mistakes_are_one_line(self, tmp_path, words, said):
        returned, out, errors = self.finish(self.start(tmp_path / "a", *words))
        assert (returned, out) == (2, "")
        assert said in errors
        assert len(errors.strip().splitlines()) == 1
        assert not (tmp_path / "a").exists()
