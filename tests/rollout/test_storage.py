"""Runs on disk: exact, resumable, and equal to the byte whatever the order in which episodes end."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.policy import PolicySpec
from agentgym.core.records import Segment, Span, Trajectory, Turn
from agentgym.rollout.columns import from_tables, to_tables
from agentgym.rollout.journal import encode
from agentgym.rollout.run import RunConfig, run
from agentgym.rollout.storage import RunWriter, read_run
from rollout.test_engine import Expert, play

CONFIG = RunConfig("toy/Rooms-v0", PolicySpec("expert"), episodes=30, group_size=3)


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*.parquet"))}


def stored(path: Path, shard_size: int, order=None, episodes=30):
    records = play(episodes, 3)
    with RunWriter(path, {"a": 1}, episodes, shard_size=shard_size) as writer:
        for index in order or range(episodes):
            writer.add(index, [records[index]])
    return records


def with_tokens() -> Trajectory:
    turn = Turn(
        0,
        "o\ud800",
        "m\x00🙂",
        "k",
        {"a": 0.0},
        0.5,
        policy_span=Span(0, 2, 4),
        reply_span=Span(1, 0, 1),
        tags=["plan"],
    )
    segments = [
        Segment([1, 2, 3, 4], [False, False, True, True], [0.0, 0.0, -0.5, -1.5], [-1, -1, 3, 3]),
        Segment([5], [False], [0.0], [-1]),
    ]
    return Trajectory(
        "e0", "g0", "x/Y-v0", "t", "train", 2**61, "p", "sys", [turn], segments, reference={"answer": ["é", 1]}
    )


def test_tables_and_dicts_give_records_back():
    record = with_tokens()
    assert Trajectory.from_dict(json.loads(json.dumps(record.to_dict()))) == record
    (back,) = from_tables(*to_tables([record]))
    back.turns[0].observation = record.turns[0].observation  # a lone surrogate is escaped: UTF-8 can't hold it
    assert back == record
    records = play(6, 2)
    assert from_tables(*to_tables(records)) == records


def test_the_order_in_which_episodes_end_does_not_show(tmp_path):
    order = list(range(30))
    random.Random(0).shuffle(order)
    records = stored(tmp_path / "a", 8)
    stored(tmp_path / "b", 8, order)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert list(read_run(tmp_path / "b")) == records
    assert not list((tmp_path / "b" / "journal").iterdir())


def test_unfinished_runs_can_be_read(tmp_path):
    records = stored(tmp_path, 8, order=[3, 1, 20, 0, 2, 4, 5, 6, 7])
    assert [r.trajectory_id for r in read_run(tmp_path)] == [records[i].trajectory_id for i in [*range(8), 20]]


def test_a_torn_line_is_dropped_and_played_again(tmp_path):
    records = stored(tmp_path, 8, order=[0, 1, 2])
    journal = tmp_path / "journal" / "00000.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    with RunWriter(tmp_path, {"a": 1}, 30, resume=True, shard_size=8) as writer:
        assert writer.done == {0, 1}
        for index in range(2, 8):
            writer.add(index, [records[index]])
    assert [r.trajectory_id for r in read_run(tmp_path)] == [r.trajectory_id for r in records[:8]]


def test_a_kill_between_the_two_files_of_a_shard_is_mended(tmp_path):
    records = stored(tmp_path / "a", 8, order=range(8))
    stored(tmp_path / "b", 8, order=range(7))
    with RunWriter(tmp_path / "b", {"a": 1}, 30, resume=True, shard_size=8) as writer:
        line = encode(7, [records[7]])
    with (tmp_path / "b" / "journal" / "00000.jsonl").open("ab") as journal:
        journal.write(line)  # as if killed after the journal, before the Parquet files
    with RunWriter(tmp_path / "b", {"a": 1}, 30, resume=True, shard_size=8) as writer:
        assert writer.done == set(range(8))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_refusals(tmp_path):
    stored(tmp_path, 8, order=[0])
    with pytest.raises(ConfigError, match="--resume"):
        RunWriter(tmp_path, {"a": 1}, 30)
    with pytest.raises(ConfigError, match="a: 1 then, 2 now"):
        RunWriter(tmp_path, {"a": 2}, 30, resume=True)
    with RunWriter(tmp_path, {"a": 1}, 30, resume=True) as writer:
        with pytest.raises(DataError, match="stored already"):
            writer.add(0, [with_tokens()])
        with pytest.raises(ConfigError, match="Another process"):
            RunWriter(tmp_path, {"a": 1}, 30, resume=True)
    with pytest.raises(DataError, match=r"not a run"):
        next(read_run(tmp_path / "nothing"))


def test_run_and_resume(tmp_path):
    tally = asyncio.run(run(CONFIG, tmp_path / "a", policy=Expert(), concurrency=4))
    assert tally.summary()["episodes"] == 30
    seen = []

    def stop(record, tally, done):
        seen.append(record.trajectory_id)
        if len(seen) == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run(CONFIG, tmp_path / "b", policy=Expert(), concurrency=4, on_episode=stop))
    rest = asyncio.run(run(CONFIG, tmp_path / "b", policy=Expert(), concurrency=9, resume=True))
    assert rest.episodes == 30 - 11
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    again = asyncio.run(run(CONFIG, tmp_path / "b", policy=Expert(), resume=True))
    assert again.episodes == 0


CHILD = """
import sys, asyncio, conftest
from pathlib import Path
from rollout.test_engine import Expert
from rollout.test_storage import slow_run
slow_run(Path(sys.argv[1]))
"""


def slow_run(path: Path) -> None:
    config = RunConfig("toy/Rooms-v0", PolicySpec("expert"), episodes=400, group_size=4)
    asyncio.run(
        run(config, path, policy=Expert(), concurrency=16, resume=True, on_episode=lambda *_: time.sleep(0.002))
    )


def test_kill_nine_loses_only_what_was_in_flight(tmp_path):
    slow_run(tmp_path / "whole")
    path = tmp_path / "killed"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    pause = random.Random(1)
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], env=env, start_new_session=True)
        before = len(list(read_run(path))) if (path / "run.json").exists() else 0
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and child.poll() is None:
            if (path / "run.json").exists() and len(list(read_run(path))) > before + 20:
                break
            time.sleep(0.02)
        time.sleep(pause.random() * 0.1)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    lines = [record.trajectory_id for record in read_run(path)]
    assert len(set(lines)) == len(lines)
    assert len(lines) >= 80
    slow_run(path)
    assert contents(path) == contents(tmp_path / "whole")
