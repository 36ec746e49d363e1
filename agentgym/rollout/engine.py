"""Plays episodes: many at once, in one event loop.

An episode is a coroutine. Environments that don't block run inline, so that all episodes that wait for the policy ask
in the same turn of the loop and are answered as one batch; blocking ones run in threads. A failure is put to its
boundary and recorded on the episode; it never takes the run down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError, Boundary, ConfigError, Fault
from agentgym.core.policy import Completion, Policy, Request, Sampling
from agentgym.core.records import FaultRecord, Trajectory, Turn
from agentgym.core.text import TruncatedMessage
from agentgym.rollout.context import ContextStrategy
from agentgym.rollout.conversation import Conversation
from agentgym.rollout.jobs import Job

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets that the rollout keeps; the environment keeps those of turns and tool calls. None: no limit."""

    context_tokens: int | None = None
    """Prompt and message of one turn together. Checked for policies with a renderer."""
    episode_tokens: int | None = None
    """Tokens that the policy writes in an episode."""
    seconds: float | None = None
    """Wall time of an episode, from reset to its last reply."""

    def __post_init__(self) -> None:
        for name in ("context_tokens", "episode_tokens", "seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name} must be above 0, got {value}.")


@dataclass(slots=True)
class Timing:
    """Where an episode's wall time went, in seconds. Kept beside the records, never in them."""

    policy: float = 0.0
    environment: float = 0.0
    total: float = 0.0


async def collect(
    jobs: Iterable[Job],
    make_env: Callable[[], AgentEnv],
    policy: Policy,
    *,
    sampling: Sampling,
    limits: Limits | None = None,
    concurrency: int = 64,
    context: ContextStrategy | None = None,
) -> AsyncIterator[tuple[Job, Trajectory, Timing]]:
    """Plays all jobs and yields each episode when it ends.

    Jobs are started in order, at most ``concurrency`` at a time, each lane with an environment of its own. At most
    ``concurrency`` finished episodes wait to be taken, so a slow consumer slows the run down and memory stays bounded.
    """
    if concurrency < 1:
        raise ConfigError(f"concurrency must be at least 1, got {concurrency}.")
    limits = limits or Limits()
    source = iter(jobs)
    done: asyncio.Queue[tuple[Job, Trajectory, Timing] | None] = asyncio.Queue(maxsize=concurrency)

    async def lane() -> None:
        env: AgentEnv | None = None
        try:
            for job in source:
                if env is None:
                    env = make_env()
                trajectory, timing = await play(env, policy, job, sampling=sampling, limits=limits, context=context)
                await done.put((job, trajectory, timing))
        finally:
            if env is not None:
                env.close()

    async def run_lanes() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(lane())
        finally:
            await done.put(None)

    lanes = asyncio.create_task(run_lanes())
    try:
        while (item := await done.get()) is not None:
            yield item
        await lanes
    except BaseExceptionGroup as group:
        raise _first(group) from None
    finally:
        if not lanes.done():
            lanes.cancel()
            while not lanes.done():
                while not done.empty():
                    done.get_nowait()
                await asyncio.sleep(0)
            await asyncio.gather(lanes, return_exceptions=True)


async def play(
    env: AgentEnv,
    policy: Policy,
    job: Job,
    *,
    sampling: Sampling,
    limits: Limits,
    context: ContextStrategy | None = None,
) -> tuple[Trajectory, Timing]:
    """One episode. Failures of the environment or the policy end it and are recorded on it."""
    began = time.perf_counter()
    timing = Timing()
    episode = _Episode(env, policy, job, sampling, limits, timing, began, context)
    try:
        await episode.start()
        while env.running:
            await episode.turn()
    except Fault as fault:
        env.ledger.fault()
        episode.trajectory.faults.append(FaultRecord(fault.boundary, fault.message, len(episode.trajectory.turns)))
    timing.total = time.perf_counter() - began
    return episode.finish(), timing


class _Episode:
    """The moving parts of one episode."""

    def __init__(
        self,
        env: AgentEnv,
        policy: Policy,
        job: Job,
        sampling: Sampling,
        limits: Limits,
        timing: Timing,
        began: float,
        context: ContextStrategy | None,
    ) -> None:
        self.env, self.policy, self.job, self.context = env, policy, job, context
        self.sampling, self.limits, self.timing, self.began = sampling, limits, timing, began
        self.blocking = type(env.game).capabilities.blocking
        self.written = 0
        self.success: bool | None = None
        self.trajectory = Trajectory(
            trajectory_id=job.trajectory_id,
            group_id=job.group_id,
            env_id=env.spec.id if env.spec is not None else type(env.game).__name__,
            task_id=job.task_id or "",
            split=env.split,
            seed=job.env_seed,
            policy=policy.name,
            system_prompt=env.system_prompt,
            progress=job.progress,
        )

    async def start(self) -> None:
        """Resets the environment and opens the conversation."""
        options: dict[str, Any] = {"progress": self.job.progress}
        if self.job.task_id is not None:
            options["task_id"] = self.job.task_id
        env, record = self.env, self.trajectory
        observation, info = await self._call(lambda: env.reset(seed=self.job.env_seed, options=options))
        record.task_id, record.split = env.task.task_id, env.task.split
        record.difficulty, record.reference = env.task.difficulty, dict(env.task.reference)
        record.final_observation = observation
        self.state_key: str = info["state_key"]
        tools = env.tools if env.action_format.structured else ()
        self.stop = env.stop
        self.tools = tools
        self.conversation = Conversation(
            record.system_prompt, env.messages, tools, env.layout, self.policy.renderer, self.context
        )

    async def turn(self) -> None:
        """One message of the policy and the environment's reply, or the end by a limit."""
        env, record, conversation = self.env, self.trajectory, self.conversation
        if self.context is not None and self.context.blocking:
            await asyncio.to_thread(conversation.prepare)
        room = self._room()
        if room <= 0 or self._late():
            self._truncate("time" if room > 0 else self._short_of)
            return
        index = len(record.turns)
        request = Request(
            episode_id=record.trajectory_id,
            turn=index,
            messages=conversation.messages,
            prompt_ids=conversation.prompt_ids,
            stop=self.stop,
            seed=self.job.turn_seed(index),
            sampling=self.sampling if room >= self.sampling.max_tokens else _shorter(self.sampling, room),
            tools=self.tools,
            layout=env.layout,
            env=env if self.policy.bound else None,
        )
        completion = await self._ask(request)
        policy_span = conversation.add_message(completion)
        if completion.token_ids is not None:
            self.written += len(completion.token_ids)
        if completion.usage is not None:
            record.usage = record.usage.plus(completion.usage)
        text = completion.text
        cut = completion.finish_reason == "length"
        observation, reward, terminated, truncated, info = await self._call(
            lambda: env.step(TruncatedMessage(text) if cut else text)
        )
        reply_span = conversation.add_reply(env.messages)
        record.turns.append(
            Turn(
                index=index,
                observation=record.final_observation,
                message=text,
                state_key=self.state_key,
                components=info["rewards"],
                reward=float(reward),
                action=info["action"],
                action_valid=info["action_valid"],
                action_executable=info["action_executable"],
                tags=info.get("tags", []),
                tool_calls=info["tool_calls"],
                error=info.get("error", ""),
                message_truncated=cut,
                finish_reason=completion.finish_reason,
                policy_span=policy_span,
                reply_span=reply_span,
            )
        )
        record.final_observation = observation
        record.terminated, record.truncated = terminated, truncated
        record.truncation_reason = info.get("truncation_reason", "")
        self.state_key = info["state_key"]
        self.success = info.get("success", self.success)

    def finish(self) -> Trajectory:
        """The closed record."""
        record = self.trajectory
        if hasattr(self, "conversation"):
            record.segments = self.conversation.segments()
            record.token_faithful = self.conversation.faithful
            record.drift = self.conversation.drift
        if not record.token_faithful:
            for turn in record.turns:
                turn.policy_span = turn.reply_span = None
        if len(self.env.ledger.causal) == len(record.turns):
            record.settle(self.env.ledger, type(self.env.game).components, self.success)
        return record

    async def _ask(self, request: Request) -> Completion:
        before = time.perf_counter()
        try:
            completion = await self.policy.act(request)
            if completion.token_ids is not None and not len(completion.token_ids):
                raise Fault(Boundary.POLICY, "it returned a message without a single token")
            return completion
        except (Fault, asyncio.CancelledError, KeyboardInterrupt):
            raise
        except AgentGymError:
            raise  # a mistake of the person who started the run, not a failure of this episode
        except Exception as error:
            raise Fault(Boundary.POLICY, f"{type(error).__name__}: {error}") from error
        finally:
            self.timing.policy += time.perf_counter() - before

    async def _call(self, function: Callable[[], T]) -> T:
        before = time.perf_counter()
        try:
            return await asyncio.to_thread(function) if self.blocking else function()
        finally:
            self.timing.environment += time.perf_counter() - before

    def _room(self) -> int:
        """Tokens that the next message may have; ``_short_of`` names the tightest limit."""
        room = self.sampling.max_tokens
        limits, prompt = self.limits, self.conversation.prompt_ids
        context = min((n for n in (limits.context_tokens, self.policy.context) if n is not None), default=None)
        if context is not None and prompt is not None and context - len(prompt) < room:
            room, self._short_of = context - len(prompt), "context_tokens"
        if limits.episode_tokens is not None and limits.episode_tokens - self.written < room:
            room, self._short_of = limits.episode_tokens - self.written, "episode_tokens"
        return room

    def _late(self) -> bool:
        return self.limits.seconds is not None and time.perf_counter() - self.began > self.limits.seconds

    def _truncate(self, reason: str) -> None:
        _, reward, _, _, info = self.env.truncate(reason)
        record = self.trajectory
        record.truncated, record.truncation_reason = True, info["truncation_reason"]
        if record.turns:
            record.turns[-1].reward += float(reward)


def _shorter(sampling: Sampling, max_tokens: int) -> Sampling:
    return Sampling(sampling.temperature, sampling.top_p, sampling.top_k, max_tokens)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


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
