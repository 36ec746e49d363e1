"""Overhead of a rollout: everything but the policy and the environment, in microseconds a turn.

Both are stubs with next to no work in them: the policy answers with 12 sampled tokens, the environment with a fixed
text of 40 tokens, 10 turns an episode, three reward components, a gate. What their calls take is measured and taken
off. Usage: python benchmarks/rollout.py [--episodes 2000] [--concurrency 64]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Sequence
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
from agentgym.core.text import Message
from agentgym.rollout.engine import collect
from agentgym.rollout.jobs import plan
from agentgym.rollout.run import RunConfig
from agentgym.rollout.storage import RunWriter

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


async def rollout(episodes: int, concurrency: int, out: Path | None) -> tuple[float, float]:
    """Wall time of the run, and the time inside the environment."""
    policy, inside = StubPolicy(), 0.0
    config = RunConfig("stub", PolicySpec("stub"), episodes)
    writer = RunWriter(out, config.resolved(AgentEnv(StubGame())), episodes) if out else None
    began = time.perf_counter()
    async for job, trajectory, timing in collect(
        plan(episodes, 8, 0), lambda: AgentEnv(StubGame()), policy, sampling=Sampling(), concurrency=concurrency
    ):
        inside += timing.environment
        if writer is not None:
            writer.add(job.index, [trajectory], {"total": timing.total})
    seconds = time.perf_counter() - began
    if writer is not None:
        writer.close()
    return seconds, inside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    turns = options.episodes * TURNS
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}")
    print(f"{options.episodes} episodes of {TURNS} turns, {options.concurrency} at once, best of {options.repeats}")
    for stored in (False, True):
        best = float("inf")
        for _ in range(options.repeats):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "run" if stored else None
                seconds, inside = asyncio.run(rollout(options.episodes, options.concurrency, out))
            best = min(best, (seconds - inside) / turns)
        print(f"{'in memory and stored' if stored else 'in memory':<22}{best * 1e6:8.1f} us a turn of overhead")


if __name__ == "__main__":
    main()
