"""A lane plays one job at a time: the episode, its branches, and all of it again where that is safe."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError, Boundary, ConfigError, Fault
from agentgym.core.policy import Policy, Sampling
from agentgym.core.records import FaultRecord, Trajectory
from agentgym.rollout.context import ContextStrategy
from agentgym.rollout.episode import Episode
from agentgym.rollout.hosted import HostedEnv
from agentgym.rollout.injector import Injection
from agentgym.rollout.jobs import Job
from agentgym.rollout.limits import Limits, Retries, Timing
from agentgym.rollout.patience import Patience, leave_behind
from agentgym.rollout.schedule import Gate, Played
from agentgym.rollout.threads import DaemonExecutor, Hung, call
from agentgym.rollout.trees import ForkRule

_CLOSE_SECONDS = 10.0
"""How long a blocking environment may take to close."""


_START_SECONDS = 120.0
"""How long the process of an environment may take to start."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What all episodes of a rollout share."""

    make_env: Callable[[], AgentEnv]
    policy: Policy
    sampling: Sampling
    limits: Limits = field(default_factory=Limits)
    retries: Retries = field(default_factory=Retries)
    injection: Injection = field(default_factory=Injection)
    forks: ForkRule | None = None
    context: ContextStrategy | None = None
    """What the policy reads of a long episode. None: everything."""
    screenshots: Path | None = None
    """Folder that pictures of the game go to, one a turn: ``<trajectory>/<turns played>.png``. None: nowhere."""
    gate: Gate | None = None
    """Shut while the policy's weights change. None: they don't."""

    def __post_init__(self) -> None:
        if self.injection.hang and self.limits.seconds is None and self.limits.call_seconds is None:
            raise ConfigError("What hangs is noticed by a time limit only: set call_seconds or seconds.")


class Lane:
    """Plays one job at a time, in an environment of its own that is replaced when it fails."""

    def __init__(self, setup: Setup, executor: DaemonExecutor) -> None:
        self.setup = setup
        self.executor = executor
        self.env: AgentEnv | None = None
        self.blocking = False
        self.env_id = ""

    async def play(self, job: Job) -> Played:
        """What came of ``job``."""
        attempts = _Attempts(self, job)
        task = asyncio.create_task(attempts.run())
        try:
            waited: set[asyncio.Future[Any]] = {task, attempts.stuck}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
            raise
        if task.done():
            return task.result()
        self.env = None  # what is stuck may still use it
        leave_behind(task)
        return attempts.abandon()

    async def ready(self) -> AgentEnv:
        """The lane's environment, made where there is none.

        Raises:
            Fault: It can't be made.
        """
        if self.env is not None:
            return self.env
        make, limits = self.setup.make_env, self.setup.limits
        try:
            if self.blocking:
                env = await call(self.executor, make, limits.call_seconds or limits.seconds, late=lambda: None)
            else:
                env = make()
        except Hung:
            raise Fault(Boundary.ENVIRONMENT, "it could not be made within its time limit") from None
        except AgentGymError:
            raise
        except Exception as error:
            raise Fault(Boundary.ENVIRONMENT, f"it could not be made: {type(error).__name__}: {error}") from error
        kind = type(env.game).capabilities.blocking
        self.blocking = bool(kind)
        self.env = env = await self._hosted(env) if kind == "process" else env
        self.env_id = env.spec.id if env.spec is not None else type(env.game).__name__
        return env

    async def _hosted(self, template: AgentEnv) -> AgentEnv:
        """An environment like ``template`` in a process of its own."""
        env = HostedEnv(template, self.setup.make_env)
        try:
            await call(self.executor, env.begin, _START_SECONDS, late=env.kill)
        except Hung:
            env.kill()
            raise Fault(Boundary.ENVIRONMENT, "its process did not start") from None
        return cast(AgentEnv, env)

    async def close(self) -> None:
        """Closes the environment; one that doesn't return is left behind."""
        env, self.env = self.env, None
        if env is not None:
            await self.close_env(env)

    async def close_env(self, env: AgentEnv) -> None:
        """Closes an environment of this lane; what closing raises can't be the episode's fault any more."""
        try:
            if self.blocking:
                await call(self.executor, env.close, _CLOSE_SECONDS, late=lambda: None)
            else:
                env.close()
        except (Hung, Exception):
            return


class Attempt:
    """What the branches of one attempt share."""

    def __init__(self, lane: Lane, number: int, timing: Timing, patience: Patience) -> None:
        self.lane, self.number, self.timing, self.patience = lane, number, timing, patience
        self.setup, self.executor = lane.setup, lane.executor
        self._lost: list[AgentEnv] = []

    def lose(self, env: AgentEnv) -> None:
        """``env`` did not return: nobody may touch it again."""
        self._lost.append(env)
        if isinstance(env, HostedEnv):
            env.kill()
        if self.lane.env is env:
            self.lane.env = None

    async def close_branch(self, env: AgentEnv) -> None:
        """Closes a branch's environment, if it can be."""
        if not any(env is lost for lost in self._lost):
            await self.lane.close_env(env)

    def branch(self, parent: Episode, env: AgentEnv, job: Job, number: int) -> Episode:
        """An episode that shares what ``parent`` has been through so far."""
        source, turn = parent.trajectory, len(parent.trajectory.turns)
        record = copy.copy(source)
        record.trajectory_id = f"{source.trajectory_id}-t{turn}b{number}"
        record.parent_id, record.fork_turn = source.trajectory_id, turn
        record.turns = [replace(inherited, owned=False) for inherited in source.turns]
        record.faults, record.ledger, record.segments = [], [], []
        episode = Episode(self, env, job, record)
        episode.written, episode.success = parent.written, parent.success
        episode.stop, episode.tools, episode.state_key = parent.stop, parent.tools, parent.state_key
        shared = (self.setup.policy.renderer, self.setup.context, parent.tools)
        episode.conversation = copy.deepcopy(parent.conversation, {id(item): item for item in shared})
        return episode


class _Attempts:
    """A job on its way through its attempts."""

    def __init__(self, lane: Lane, job: Job) -> None:
        self.lane, self.job, self.setup = lane, job, lane.setup
        self.timing = Timing()
        self.began = time.perf_counter()
        self.stuck: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the policy ignores its cancellation."""
        self._records: list[Trajectory] = []
        self._episode: Episode | None = None

    async def run(self) -> Played:
        """Plays the job until it succeeds, or the failure is final."""
        patience = Patience(self.stuck)
        try:
            await self._run(patience)
        finally:
            patience.close()
        return self._played()

    async def _run(self, patience: Patience) -> None:
        last = self.setup.retries.episodes
        for number in range(last + 1):
            self.timing.attempts = number + 1
            fault = await self._attempt(Attempt(self.lane, number, self.timing, patience), final=number == last)
            if fault is None:
                break
            await self.lane.close()  # the next episode gets a fresh environment
            if fault.boundary is Boundary.POLICY or number == last:
                break
            self.timing.retried.append(FaultRecord(str(fault.boundary), fault.message, len(self._records[-1].turns)))

    def abandon(self) -> Played:
        """The record of what will never end: the policy is stuck in a request."""
        episode = self._episode
        assert episode is not None
        episode.fail(Fault(Boundary.POLICY, "a request did not end when it was cancelled"))
        self._records.append(episode.finish())
        return self._played()

    async def _attempt(self, attempt: Attempt, *, final: bool) -> Fault | None:
        """Plays the episode and its branches; returns the failure that makes another attempt worth while, if any."""
        self._records = []
        try:
            env = await self.lane.ready()
        except Fault as fault:
            self._records = [self._blank(fault)]
            return fault
        episodes = [Episode(attempt, env, self.job)]
        failure: Fault | None = None
        try:
            for episode in episodes:  # grows while it is read
                self._episode = episode
                ended = await episode.play()
                self._records.append(episode.finish())
                episodes.extend(episode.branches)
                failure = failure or ended
                if ended is not None and ended.boundary is not Boundary.POLICY and not final:
                    return ended
        finally:
            for branch in episodes[1:]:
                await attempt.close_branch(branch.env)
        return failure

    def _blank(self, fault: Fault) -> Trajectory:
        record = blank_record(self.job, self.lane.env_id, self.setup.policy.name)
        record.faults.append(FaultRecord(str(fault.boundary), fault.message, 0))
        return record

    def _played(self) -> Played:
        self.timing.total = time.perf_counter() - self.began
        return Played(self.job, self._records, self.timing)


def blank_record(job: Job, env_id: str, policy: str) -> Trajectory:
    """The record of an episode that never began."""
    return Trajectory(
        trajectory_id=job.trajectory_id,
        group_id=job.group_id,
        env_id=env_id,
        task_id=job.task_id or "",
        split="",
        seed=job.env_seed,
        policy=policy,
        system_prompt="",
        progress=job.progress,
    )
