"""Workers: other processes that play episodes, on this machine or in a Ray cluster.

A worker builds environments and policy from the configuration and plays many episodes in an event loop of its own;
what came of a job goes back when it ends. The death of a worker loses only its episodes in flight: they are played
again with the same seeds, so that records don't depend on it. A job that was in flight in several deaths is played
alone, and only one that kills a worker all by itself is given up.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from agentgym.core.errors import ConfigError, MissingExtraError
from agentgym.core.records import FaultRecord
from agentgym.core.registry import load
from agentgym.rollout.injector import Injection
from agentgym.rollout.jobs import Job
from agentgym.rollout.lanes import blank_record
from agentgym.rollout.limits import Timing
from agentgym.rollout.schedule import Played, schedule

if TYPE_CHECKING:
    from agentgym.rollout.run import RunConfig

SUSPECT = 2
"""Deaths in which a job was in flight before it is played alone."""
_STARTS = 3
"""Attempts to start a worker that dies before it is ready."""


class WorkerDied(Exception):
    """A worker ended with jobs in flight. The text says how."""


class Worker(Protocol):
    """A process that plays."""

    ordered: bool
    """Its death was ordered by the injector: it is nobody's fault."""

    async def ready(self) -> None:
        """Returns once it can play.

        Raises:
            AgentGymError: The configuration is wrong.
            WorkerDied: It ended before.
        """
        ...

    async def play(self, job: Job) -> Played:
        """What came of ``job``; many may be played at once. Raises WorkerDied."""
        ...

    def kill(self) -> None:
        """Ends it at once, whatever it does."""
        ...

    async def close(self) -> None:
        """Ends it."""
        ...


StartWorker = Callable[[], Worker]


@dataclass(frozen=True, slots=True)
class Where:
    """Which workers play."""

    kind: Literal["here", "process", "ray"]
    count: int
    """0 with Ray: as many as the cluster has CPUs."""
    address: str = ""
    """Of the Ray cluster; empty for the one of this machine or of RAY_ADDRESS."""


_RAY = re.compile(r"^(ray)(?::(\d+)|(://[^?\s]+?)(?:\?workers=(\d+))?)?$")


def parse_workers(text: str | int) -> Where:
    """Reads ``4`` (processes), ``ray``, ``ray:4``, ``ray://host:10001`` or ``ray://host:10001?workers=4``.

    Raises:
        ConfigError: It is none of these.
    """
    text = str(text).strip()
    if text.isdecimal():
        return Where("process" if int(text) else "here", int(text))
    match = _RAY.match(text)
    if match is None:
        raise ConfigError(
            f"--workers takes a number of processes, 'ray', 'ray:4' or 'ray://host:10001?workers=4', got {text!r}."
        )
    return Where("ray", int(match[2] or match[4] or 0), "ray" + match[3] if match[3] else "")


def require(where: Where) -> None:
    """Raises MissingExtraError where the workers need a package that isn't there."""
    if where.kind == "ray" and importlib.util.find_spec("ray") is None:
        raise MissingExtraError(
            "--workers ray needs 'ray', which is not installed. Install it with: pip install 'agentgym-kit[ray]'"
        )


async def play_with_workers(
    jobs: Iterable[Job], config: RunConfig, where: Where, *, concurrency: int
) -> AsyncGenerator[Played, None]:
    """Plays all jobs in workers and yields what came of each when it ends; see ``agentgym.rollout.engine.play_jobs``.

    Args:
        jobs: What to play, oldest first.
        config: What workers build environments and policy from.
        where: Which workers.
        concurrency: Episodes in flight over all of them.
    """
    kind = "agentgym.rollout.ray_workers:start" if where.kind == "ray" else "agentgym.rollout.processes:start"
    count, start = load(kind)(config, where, concurrency)
    injection = Injection.parse(config.inject)
    slots = [_Slot(start, config) for _ in range(min(count, concurrency))]
    seats = [_Seat(slots[i % len(slots)]) for i in range(concurrency)]
    killer = asyncio.create_task(_kill_now_and_then(slots, injection.kill_worker)) if injection.kill_worker else None
    played = schedule(jobs, seats, waiting=concurrency)
    try:
        await asyncio.gather(*(slot.worker() for slot in slots))
        async for item in played:
            yield item
    finally:
        if killer is not None:
            killer.cancel()
        await played.aclose()
        await asyncio.gather(*(slot.close() for slot in slots))


class _Slot:
    """The place of one worker; a dead one is replaced."""

    def __init__(self, start: StartWorker, config: RunConfig) -> None:
        self.config = config
        self.deaths: Counter[int] = Counter()
        """Job -> deaths in which it was in flight."""
        self._start = start
        self._worker: Worker | None = None
        self._starting = asyncio.Lock()
        self._alone = asyncio.Condition()
        self._playing = 0
        self._waiting = 0

    async def worker(self) -> Worker:
        """The worker, started where there is none."""
        async with self._starting:
            for attempt in range(_STARTS):
                if self._worker is not None:
                    break
                worker = self._start()
                try:
                    await worker.ready()
                except WorkerDied as death:
                    if attempt == _STARTS - 1:
                        raise ConfigError(
                            f"No worker can be started: {_STARTS} in a row ended at once ({death})."
                        ) from None
                    continue
                except BaseException:
                    worker.kill()
                    raise
                self._worker = worker
            assert self._worker is not None
            return self._worker

    def bury(self, worker: Worker) -> None:
        """Forgets a dead worker."""
        if self._worker is worker:
            self._worker = None
            worker.kill()

    def kill(self) -> None:
        """Kills the worker, as the injector wants."""
        if self._worker is not None:
            self._worker.ordered = True
            self._worker.kill()

    async def close(self) -> None:
        """Ends the worker."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()

    @asynccontextmanager
    async def turn(self, *, alone: bool) -> AsyncGenerator[None, None]:
        """Room to play: with others, or without any. Those who want to be alone go first."""
        async with self._alone:
            if alone:
                self._waiting += 1
                try:
                    await self._alone.wait_for(lambda: not self._playing)
                finally:
                    self._waiting -= 1
                    self._alone.notify_all()
                self._playing = -1
            else:
                await self._alone.wait_for(lambda: self._playing >= 0 and not self._waiting)
                self._playing += 1
        try:
            yield
        finally:
            async with self._alone:
                self._playing = 0 if alone else self._playing - 1
                self._alone.notify_all()


class _Seat:
    """A player whose episodes are played in a slot's worker."""

    def __init__(self, slot: _Slot) -> None:
        self.slot = slot

    async def play(self, job: Job) -> Played:
        """See ``Player.play``: again and again until a worker lives long enough."""
        slot, deaths = self.slot, 0
        while True:
            alone = slot.deaths[job.index] >= SUSPECT
            async with slot.turn(alone=alone):
                worker = await slot.worker()
                try:
                    played = await worker.play(job)
                except WorkerDied as death:
                    deaths += 1
                    slot.bury(worker)
                    if not worker.ordered:
                        slot.deaths[job.index] += 1
                        if alone:
                            return self._given_up(job, str(death), deaths)
                    continue
            slot.deaths.pop(job.index, None)
            played.timing.deaths = deaths
            return played

    async def close(self) -> None:
        """See ``Player.close``: the worker belongs to the slot."""

    def _given_up(self, job: Job, death: str, deaths: int) -> Played:
        config = self.slot.config
        record = blank_record(job, config.env_id, config.policy.name)
        record.split = config.split
        record.faults.append(FaultRecord("environment", f"it ended the worker that played it alone ({death})", 0))
        return Played(job, [record], Timing(deaths=deaths))


async def _kill_now_and_then(slots: list[_Slot], seconds: float) -> None:
    """Kills one worker every ``seconds``, in turn."""
    while True:
        for slot in slots:
            await asyncio.sleep(seconds)
            slot.kill()
