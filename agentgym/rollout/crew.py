"""What a worker holds: a policy and as many lanes as jobs are sent at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agentgym.rollout.jobs import Job
from agentgym.rollout.lanes import Lane
from agentgym.rollout.schedule import Played
from agentgym.rollout.threads import DaemonExecutor, use_daemon_threads

if TYPE_CHECKING:
    from agentgym.rollout.run import RunConfig


class Crew:
    """Plays jobs for somebody else. Made inside a running event loop.

    Args:
        config: What environments and policy are built from.
        host: Name of the worker, for the clocks beside the records.
    """

    def __init__(self, config: RunConfig, host: str) -> None:
        from agentgym.rollout.run import make_policy

        use_daemon_threads(asyncio.get_running_loop())
        self.policy = make_policy(config.policy)
        self.host = host
        self._setup = config.setup(self.policy)
        self._executor = DaemonExecutor()
        self._idle: list[Lane] = []

    async def play(self, job: Job) -> Played:
        """What came of ``job``."""
        lane = self._idle.pop() if self._idle else Lane(self._setup, self._executor)
        try:
            played = await lane.play(job)
        except BaseException:
            await lane.close()
            raise
        self._idle.append(lane)
        played.timing.host = self.host
        return played

    async def close(self) -> None:
        """Closes idle environments and the policy."""
        for lane in self._idle:
            await lane.close()
        self.policy.close()
