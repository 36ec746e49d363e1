"""Plays episodes: many at once, in one event loop.

Environments that don't block run inline, so that all episodes that wait for the policy ask in the same turn of the
loop and are answered as one batch. A failure is put to its boundary and recorded on the episode; it never takes the run
down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError
from agentgym.core.policy import Policy, Sampling
from agentgym.core.records import Trajectory
from agentgym.rollout.context import ContextStrategy
from agentgym.rollout.garbage import seldom_collected
from agentgym.rollout.jobs import Job
from agentgym.rollout.lanes import Lane, Setup
from agentgym.rollout.limits import Limits, Retries, Timing
from agentgym.rollout.schedule import Played, schedule
from agentgym.rollout.threads import DaemonExecutor, use_daemon_threads

__all__ = ["Limits", "Retries", "Setup", "Timing", "collect", "collect_all", "play_jobs"]


async def play_jobs(jobs: Iterable[Job], setup: Setup, *, concurrency: int = 64) -> AsyncGenerator[Played, None]:
    """Plays all jobs in this process and yields what came of each when it ends.

    Jobs are started in order, at most ``concurrency`` at a time, each lane with an environment of its own. At most
    ``concurrency`` finished jobs wait to be taken, so a slow consumer slows the run down and memory stays bounded.
    """
    if concurrency < 1:
        raise ConfigError(f"concurrency must be at least 1, got {concurrency}.")
    executor = DaemonExecutor()
    use_daemon_threads(asyncio.get_running_loop())  # a policy's thread that hangs is left behind too
    lanes = [Lane(setup, executor) for _ in range(concurrency)]
    played = schedule(jobs, lanes, waiting=concurrency)
    try:
        with seldom_collected():
            async for item in played:
                yield item
    finally:
        await played.aclose()
        executor.shutdown(wait=False)


async def collect(
    jobs: Iterable[Job],
    make_env: Callable[[], AgentEnv],
    policy: Policy,
    *,
    sampling: Sampling,
    limits: Limits | None = None,
    concurrency: int = 64,
    context: ContextStrategy | None = None,
) -> AsyncGenerator[tuple[Job, Trajectory, Timing], None]:
    """Plays all jobs and yields each episode when it ends; see ``play_jobs``."""
    setup = Setup(make_env, policy, sampling, limits or Limits(), context=context)
    played = play_jobs(jobs, setup, concurrency=concurrency)
    try:
        async for job, trajectories, timing in played:
            for trajectory in trajectories:
                yield job, trajectory, timing
    finally:
        await played.aclose()


def collect_all(
    jobs: Sequence[Job],
    make_env: Callable[[], AgentEnv],
    policy: Policy,
    *,
    sampling: Sampling,
    limits: Limits | None = None,
    concurrency: int = 64,
    context: ContextStrategy | None = None,
) -> list[Trajectory]:
    """All episodes of ``jobs`` in their order, in memory: for trainers and evaluations."""

    async def run() -> list[Trajectory]:
        found: dict[int, Trajectory] = {}
        async for job, trajectory, _ in collect(
            jobs,
            make_env,
            policy,
            sampling=sampling,
            limits=limits,
            concurrency=min(concurrency, len(jobs) or 1),
            context=context,
        ):
            found[job.index] = trajectory
        return [found[job.index] for job in jobs]

    return asyncio.run(run())
