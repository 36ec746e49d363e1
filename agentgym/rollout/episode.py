"""One episode as a coroutine: asks the policy, plays the turn, keeps the record, the tokens and the limits.

Environments that don't block run inline; blocking ones in threads. A failure is put to its boundary and recorded.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agentgym.core.env import AgentEnv
from agentgym.core.errors import FAILURES, AgentGymError, Boundary, Fault
from agentgym.core.policy import Completion, Request
from agentgym.core.records import FaultRecord, Trajectory, Turn
from agentgym.core.seeding import derive_seed
from agentgym.core.text import TruncatedMessage
from agentgym.rollout.conversation import Conversation
from agentgym.rollout.jobs import Job
from agentgym.rollout.threads import Hung, call

if TYPE_CHECKING:
    from agentgym.rollout.lanes import Attempt

T = TypeVar("T")

_log = logging.getLogger(__name__)

_BACKOFF = 0.05
"""Seconds before the first repetition of a request; doubled each time."""


def picture_path(folder: Path, trajectory_id: str, turns: int) -> Path:
    """Where the picture of an episode after so many turns is stored."""
    return folder / trajectory_id / f"{turns:03d}.png"


class Episode:
    """The moving parts of one episode, or of a branch of one.

    Args:
        attempt: What it shares with the other branches of its job.
        env: Its environment. A branch's is in mid-episode.
        job: Its job; a branch has a policy seed of its own.
        record: Its record as far as it is; None begins one.
    """

    def __init__(self, attempt: Attempt, env: AgentEnv, job: Job, record: Trajectory | None = None) -> None:
        setup = attempt.setup
        self.attempt, self.env, self.job = attempt, env, job
        self.policy, self.sampling, self.limits = setup.policy, setup.sampling, setup.limits
        self.context = setup.context
        self.timing = attempt.timing
        self.injection = setup.injection if setup.injection.per_turn else None
        self.blocking = bool(type(env.game).capabilities.blocking)
        self.screenshots = setup.screenshots if setup.screenshots is not None and env.game.has_pictures else None
        """Where pictures go."""
        self.lost = False
        """A call of the environment did not return: it can't be used or asked any more."""
        self.written = 0
        self.success: bool | None = None
        self.conversation: Conversation | None = None
        self.branches: list[Episode] = []
        self.deadline = float("inf")
        self.context_tokens = min(
            (n for n in (self.limits.context_tokens, self.policy.context) if n is not None), default=None
        )
        self.trajectory = record or Trajectory(
            trajectory_id=job.trajectory_id,
            group_id=job.group_id,
            env_id=env.spec.id if env.spec is not None else type(env.game).__name__,
            task_id=job.task_id or "",
            split=env.split,
            seed=job.env_seed,
            policy=self.policy.name,
            system_prompt=env.system_prompt,
            progress=job.progress,
        )

    async def play(self) -> Fault | None:
        """Plays to the end; returns the failure that ended it, if one did."""
        if self.limits.seconds is not None:
            self.deadline = time.perf_counter() + self.limits.seconds
        forks = self.attempt.setup.forks
        try:
            if self.conversation is None:
                await self.start()
            while self.env.running:
                if forks is not None and (branches := forks.branches(self.trajectory)):
                    await self._fork(branches)
                await self.turn()
        except Fault as fault:
            self.fail(fault)
            return fault
        return None

    async def start(self) -> None:
        """Resets the environment and opens the conversation."""
        options: dict[str, Any] = {"progress": self.job.progress}
        if self.job.task_id is not None:
            options["task_id"] = self.job.task_id
        env, record = self.env, self.trajectory
        observation, info = await self._call(lambda: env.reset(seed=self.job.env_seed, options=options), "reset")
        record.task_id, record.split = env.task.task_id, env.task.split
        record.difficulty, record.reference = env.task.difficulty, dict(env.task.reference)
        record.final_observation = observation
        self.state_key: str = info["state_key"]
        if self.screenshots is not None:
            await self._picture(self.screenshots)
        tools = env.tools if env.action_format.structured else ()
        self.stop = env.stop
        self.tools = tools
        self.conversation = Conversation(
            record.system_prompt, env.messages, tools, env.layout, self.policy.renderer, self.context
        )

    async def turn(self) -> None:
        """One message of the policy and the environment's reply, or the end by a limit."""
        env, record, conversation = self.env, self.trajectory, self.conversation
        assert conversation is not None
        await self._prepare(conversation)
        room = self._room(conversation)
        if room <= 0 or time.perf_counter() > self.deadline:
            self._truncate("deadline" if room > 0 else self._short_of)
            return
        index = len(record.turns)
        request = Request(
            episode_id=record.trajectory_id,
            turn=index,
            messages=conversation.messages,
            prompt_ids=conversation.prompt_ids,
            stop=self.stop,
            seed=self.job.turn_seed(index),
            sampling=self.sampling if room >= self.sampling.max_tokens else replace(self.sampling, max_tokens=room),
            tools=self.tools,
            layout=env.layout,
            env=env if self.policy.bound else None,
        )
        completion = await self._ask(request)
        if completion is None:
            self._truncate("deadline")
            return
        policy_span = conversation.add_message(completion)
        if completion.token_ids is not None:
            self.written += len(completion.token_ids)
        if completion.usage is not None:
            record.usage = record.usage.plus(completion.usage)
        text = completion.text
        cut = completion.finish_reason == "length"
        observation, reward, terminated, truncated, info = await self._call(
            lambda: env.step(TruncatedMessage(text) if cut else text), "step"
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
        for boundary, message in info.get("faults", ()):
            record.faults.append(FaultRecord(boundary, message, index, survived=True))
        record.final_observation = observation
        record.terminated, record.truncated = terminated, truncated
        record.truncation_reason = info.get("truncation_reason", "")
        self.state_key = info["state_key"]
        self.success = info.get("success", self.success)
        if self.screenshots is not None:
            await self._picture(self.screenshots)

    async def _picture(self, folder: Path) -> None:
        """Stores what a person would see now."""
        record = self.trajectory
        try:
            data = await self._call(self.env.game.screenshot, "screenshot")
        except Fault as fault:  # a picture is no part of the episode
            _log.warning("No picture of %s after %d turns: %s", record.trajectory_id, len(record.turns), fault.message)
            return
        path = picture_path(folder, record.trajectory_id, len(record.turns))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def fail(self, fault: Fault) -> None:
        """Ends the episode unscored."""
        if not self.lost:
            self.env.ledger.fault()
        self.trajectory.terminated = self.trajectory.truncated = False
        self.trajectory.truncation_reason = ""
        self.trajectory.faults.append(self.fault_record(fault))

    def fault_record(self, fault: Fault) -> FaultRecord:
        """A failure in the turn being played."""
        return FaultRecord(str(fault.boundary), fault.message, len(self.trajectory.turns))

    def finish(self) -> Trajectory:
        """The closed record."""
        record = self.trajectory
        if self.conversation is not None:
            record.segments = self.conversation.segments()
            record.token_faithful = self.conversation.faithful
            record.drift = self.conversation.drift
        if not record.token_faithful:
            for turn in record.turns:
                turn.policy_span = turn.reply_span = None
        if not self.lost and len(self.env.ledger.causal) == len(record.turns):
            record.settle(self.env.ledger, type(self.env.game).components, self.success)
        return record

    # ------------------------------------------------------------------ the policy

    async def _prepare(self, conversation: Conversation) -> None:
        """Makes the context of the next message; a summary may take a model's time."""
        try:
            if self.context is not None and self.context.blocking:
                await call(self.attempt.executor, conversation.prepare, self._seconds_left(), late=lambda: None)
            else:
                conversation.prepare()
        except Hung:
            raise Fault(Boundary.POLICY, "the context was not ready within its time limit") from None
        except AgentGymError:
            raise
        except Exception as error:
            raise Fault(Boundary.POLICY, f"the context could not be made: {type(error).__name__}: {error}") from error

    async def _ask(self, request: Request) -> Completion | None:
        """The next message; None when the episode's time is up. A failed request is made again with the same seed."""
        tries = 0
        while True:
            try:
                return await self._request(request, tries)
            except Hung:
                fault = Fault(Boundary.POLICY, f"no answer within {self.limits.call_seconds} s", retryable=True)
            except Fault as error:
                fault = error
            if time.perf_counter() >= self.deadline:
                return None
            if not fault.retryable or tries >= self.attempt.setup.retries.requests:
                raise fault
            self.timing.retried.append(self.fault_record(fault))
            await asyncio.sleep(min(_BACKOFF * 2**tries, self.deadline - time.perf_counter()))
            tries += 1

    async def _request(self, request: Request, tries: int) -> Completion:
        gate = self.attempt.setup.gate
        if gate is not None:
            self.deadline += await gate.enter()
        before = time.perf_counter()
        try:
            hangs = self.injection is not None and self._injected(request.turn, tries)
            asked = _never() if hangs else self.policy.act(request)
            completion: Completion = await self.attempt.patience.wait(asked, self._seconds_left())
            if completion.token_ids is not None and not len(completion.token_ids):
                raise Fault(Boundary.POLICY, "it returned a message without a single token", retryable=True)
            return completion
        except (AgentGymError, Hung):
            raise  # a fault, or a mistake of the person who started the run
        except FAILURES as error:
            raise Fault(Boundary.POLICY, f"{type(error).__name__}: {error}", retryable=True) from error
        finally:
            self.timing.policy += time.perf_counter() - before
            if gate is not None:
                gate.leave()

    def _injected(self, turn: int, tries: int) -> bool:
        """Whether a request hangs; raises where it is to fail."""
        assert self.injection is not None
        self.injection.check(Boundary.POLICY, self.job, self.attempt.number, turn, tries)
        return self.injection.hang_of(self.job, self.attempt.number, turn, tries) == "policy"

    # ------------------------------------------------------------------ the environment

    async def _call(self, function: Callable[[], T], what: str) -> T:
        """A call of the environment, inline where it doesn't block."""
        before = time.perf_counter()
        hang: threading.Event | None = None
        threaded: Callable[[], Any] | None = function if self.blocking else None
        try:
            if self.injection is not None and self._env_injected():
                hang = threading.Event()
                threaded = hang.wait
            if threaded is None:
                return function()
            result: T = await call(self.attempt.executor, threaded, self._seconds_left(), late=self.env.close)
            return result
        except (Hung, asyncio.CancelledError) as error:
            self._lose()
            if isinstance(error, asyncio.CancelledError):
                raise
            raise Fault(Boundary.ENVIRONMENT, f"{what} did not return within its time limit", retryable=True) from None
        except AgentGymError:
            raise
        except FAILURES as error:
            raise Fault(Boundary.ENVIRONMENT, f"{what} failed: {type(error).__name__}: {error}") from error
        finally:
            if hang is not None:
                hang.set()
            self.timing.environment += time.perf_counter() - before

    def _env_injected(self) -> bool:
        """Whether this call hangs; raises where it is to fail."""
        assert self.injection is not None
        turn = len(self.trajectory.turns) if self.conversation is not None else -1
        if turn >= 0:
            self.injection.check(Boundary.TOOL, self.job, self.attempt.number, turn)
        self.injection.check(Boundary.ENVIRONMENT, self.job, self.attempt.number, turn)
        return self.injection.hang_of(self.job, self.attempt.number, turn) == "environment"

    def _lose(self) -> None:
        self.lost = True
        self.attempt.lose(self.env)

    async def _fork(self, branches: int) -> None:
        """Splits branches off, each with a policy seed of its own."""
        turn = len(self.trajectory.turns)
        for number in range(branches):
            env = await self._call(self.env.fork, "fork")
            job = replace(self.job, policy_seed=derive_seed(self.job.policy_seed, "fork", turn, number))
            self.branches.append(self.attempt.branch(self, env, job, number))

    # ------------------------------------------------------------------ limits

    def _room(self, conversation: Conversation) -> int:
        """Tokens that the next message may have; ``_short_of`` names the tightest limit."""
        room = self.sampling.max_tokens
        limits, prompt, context = self.limits, conversation.prompt_ids, self.context_tokens
        if context is not None and prompt is not None and context - len(prompt) < room:
            room, self._short_of = context - len(prompt), "context_tokens"
        if limits.episode_tokens is not None and limits.episode_tokens - self.written < room:
            room, self._short_of = limits.episode_tokens - self.written, "episode_tokens"
        return room

    def _seconds_left(self) -> float | None:
        """Of the next call; None without a limit."""
        left = self.deadline - time.perf_counter()
        if self.limits.call_seconds is not None:
            left = min(left, self.limits.call_seconds)
        return None if left == float("inf") else max(left, 0.0)

    def _truncate(self, reason: str) -> None:
        _, reward, _, _, info = self.env.truncate(reason)
        record = self.trajectory
        record.truncated, record.truncation_reason = True, info["truncation_reason"]
        if record.turns:
            record.turns[-1].reward += float(reward)


async def _never() -> Any:
    await asyncio.get_running_loop().create_future()
