"""What a rollout costs beside policy and environment: time a turn, memory with many in flight, time to resume.

Policy and environment are stubs with next to no work in them: the policy answers with 12 sampled tokens, the
environment with a fixed text of 40 tokens, 10 turns an episode, three reward components, a gate. What the environment's
calls take is measured and taken off. Usage: python benchmarks/rollout.py [--episodes 2000] [--concurrency 64]
[--crowd 1000] [--stored 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from agentgym import (
    FORMAT,
    TURN_COST,
    AgentEnv,
    Completion,
    Component,
    Game,
    GeneratedTasks,
    Observation,
    Outcome,
    Policy,
    Sampling,
    Task,
    tool,
)
from agentgym.core.policy import Layout, PolicySpec
from agentgym.core.records import Trajectory
from agentgym.core.text import Message
from agentgym.rollout.batch import to_batch
from agentgym.rollout.engine import Limits, Setup, collect_all, play_jobs
from agentgym.rollout.jobs import plan
from agentgym.rollout.run import RunConfig, make_policy
from agentgym.rollout.shards import write_shard
from agentgym.rollout.storage import SHARD_SIZE, RunWriter

TURNS, SAMPLED, ENVIRONMENT = 10, 12, 40


class StubGame(Game):
    """Ten turns of nothing."""

    components = (Component("done", "outcome", 0, 1, ""), Component("step", "process", 0, 1, ""), FORMAT, TURN_COST)
    tools = (tool("go", "go", where="where"),)

    def tasks(self) -> GeneratedTasks:
        return GeneratedTasks(lambda split, number: Task(f"{split}/{number}", split))

    def start(self, task: Task, rng: object) -> Observation:
        self.state = 0
        return Observation("You are here.")

    def act(self, action: object) -> Outcome:
        self.state += 1
        done = self.state == TURNS
        return Outcome("You went there.", {"step": 0.1, "done": float(done)}, done, success=done)

    def state_key(self) -> str:
        return str(self.state)


class StubRenderer:
    """Fixed tokens."""

    ids = list(range(ENVIRONMENT))

    def initial(self, messages: Sequence[Message], tools: object, layout: Layout) -> list[int]:
        return self.ids

    def suffix(self, messages: Sequence[Message], layout: Layout, *, closed: bool) -> list[int]:
        return self.ids

    def is_closed(self, token_ids: Sequence[int]) -> bool:
        return True


class StubPolicy(Policy):
    """The same message each time."""

    name = "stub"
    renderer = StubRenderer()  # type: ignore[assignment]
    answer = Completion("go[there]", list(range(SAMPLED)), [-0.5] * SAMPLED)

    def __init__(self) -> None:
        self.seconds = 0.0

    async def act(self, request: object) -> Completion:
        return self.answer


class WaitingPolicy(StubPolicy):
    """The same message, after a while: all episodes are in flight at once."""

    async def act(self, request: object) -> Completion:
        await asyncio.sleep(0.05)
        return self.answer


def make_env() -> AgentEnv:
    return AgentEnv(StubGame())


async def rollout(episodes: int, concurrency: int, out: Path | None, batch: bool) -> float:
    """CPU time of the run."""
    config = RunConfig("stub", PolicySpec("stub"), episodes)
    setup = Setup(make_env, StubPolicy(), Sampling(), Limits(seconds=3600, call_seconds=60))
    writer = RunWriter(out, config.resolved(make_env()), episodes) if out else None
    records: list[Trajectory] = []
    began = time.process_time()
    async for job, trajectories, timing in play_jobs(plan(episodes, 8, 0), setup, concurrency=concurrency):
        if batch:
            records.extend(trajectories)
        if writer is not None:
            writer.add(job.index, trajectories, asdict(timing))
    if records:
        to_batch(records)
    if writer is not None:
        writer.close()
    return time.process_time() - began


def environment(episodes: int) -> float:
    """CPU time of the environment's calls alone, which overhead doesn't count."""
    env = make_env()
    began = time.process_time()
    for job in plan(episodes, 8, 0):
        env.reset(seed=job.env_seed)
        for _ in range(TURNS):
            env.step(StubPolicy.answer.text)
    return time.process_time() - began


def overhead(options: argparse.Namespace) -> None:
    """Everything but policy and environment, with both time limits on."""
    turns = options.episodes * TURNS
    print(f"{options.episodes} episodes of {TURNS} turns, {options.concurrency} at once, best of {options.repeats}")
    inside = min(environment(options.episodes) for _ in range(options.repeats))
    for name, stored, batch in (
        ("records in memory", False, False),
        ("and as credit's columns", False, True),
        ("and stored instead", True, False),
    ):
        best = float("inf")
        for _ in range(options.repeats):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "run" if stored else None
                best = min(best, asyncio.run(rollout(options.episodes, options.concurrency, out, batch)))
        print(f"  {name:<28}{(best - inside) / turns * 1e6:8.1f} us of CPU a turn", flush=True)
    print("  of others, on their machine (wall): verifiers 0.1.14 200, SkyRL's generator 226, Agent Lightning 2,129")


def memory(concurrency: int) -> None:
    """The most that a process needs with many episodes in flight, everything stored."""
    with tempfile.TemporaryDirectory() as folder:
        code = f"import rollout, asyncio; asyncio.run(rollout.crowd({concurrency}, {str(folder)!r}))"
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
        )
    print(done.stdout.strip() or done.stderr[-500:])


async def crowd(concurrency: int, folder: str) -> None:
    episodes = 5 * concurrency
    config = RunConfig("stub", PolicySpec("stub"), episodes)
    setup = Setup(make_env, WaitingPolicy(), Sampling())
    began = time.perf_counter()
    with RunWriter(Path(folder) / "run", config.resolved(make_env()), episodes) as writer:
        async for job, trajectories, _ in play_jobs(plan(episodes, 8, 0), setup, concurrency=concurrency):
            writer.add(job.index, trajectories)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{concurrency} episodes in flight, {episodes} stored in {seconds:.0f} s: {peak:.0f} MB at most")


def resume(stored: int) -> None:
    """From the start of the process to the first new episode of a run that has many already."""
    with tempfile.TemporaryDirectory() as folder:
        out, shards = Path(folder) / "run", stored // SHARD_SIZE
        words = ["--env", "ShoppingTiny-v0", "--policy", "scripted", "--json", "--out", str(out)]
        words += ["--episodes", str((shards + 1) * SHARD_SIZE), "--seconds", "0"]
        config = RunConfig(
            "agentgym/ShoppingTiny-v0",
            PolicySpec("scripted"),
            (shards + 1) * SHARD_SIZE,
            env_kwargs={"scheme": "gated"},
        )
        records = collect_all(
            list(plan(SHARD_SIZE, 1, 0)), config.make_env, make_policy(config.policy), sampling=Sampling()
        )
        with RunWriter(out, config.resolved(config.make_env()), config.episodes):
            pass
        copied = writer_entries(out, shards, records)
        (out / "manifest.jsonl").write_text("".join(copied))
        command = [sys.executable, "-m", "agentgym.cli.main", "rollout", *words, "--resume"]
        best = float("inf")
        for _ in range(3):
            (out / "timing.jsonl").unlink(missing_ok=True)
            for file in (out / "journal").iterdir():
                file.unlink()
            began = time.perf_counter()
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            while child.poll() is None and not (out / "timing.jsonl").exists():
                time.sleep(0.002)
            best = min(best, time.perf_counter() - began)
            child.kill()
            child.communicate()
            for table in ("turns", "trajectories"):
                (out / table / f"{shards:05d}.parquet").unlink(missing_ok=True)
            (out / "manifest.jsonl").write_text("".join(copied))
    print(f"{shards * SHARD_SIZE} episodes stored: {best:.2f} s from the command to the first new episode, best of 3")


def writer_entries(out: Path, shards: int, records: list[Trajectory]) -> list[str]:
    """One shard, copied many times; lines of the manifest."""
    first = write_shard(out, 0, 0, SHARD_SIZE, records)
    lines = [first.line()]
    for shard in range(1, shards):
        files = {}
        for name, entry in first.files.items():
            copy = f"{name.partition('/')[0]}/{shard:05d}.parquet"
            shutil.copyfile(out / name, out / copy)
            files[copy] = entry
        lines.append(replace(first, shard=shard, first=shard * SHARD_SIZE, files=files).line())
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--crowd", type=int, default=1000, help="episodes in flight for the measurement of memory")
    parser.add_argument("--stored", type=int, default=100_000, help="stored episodes of the run that is resumed")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}")
    overhead(options)
    memory(options.crowd)
    resume(options.stored)


if __name__ == "__main__":
    main()
