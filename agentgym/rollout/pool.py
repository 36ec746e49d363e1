"""Episodes for a trainer: more are played than one update takes, none is thrown away, slow ones don't starve.

A trainer submits groups, takes as many as an update needs, changes the weights and says so. Groups that ended meanwhile
wait for the next update; episodes in flight are carried over or begun again, as the trainer wants.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, TypeVar

from agentgym.core.errors import ConfigError
from agentgym.core.records import Trajectory
from agentgym.rollout.jobs import Job
from agentgym.rollout.lanes import Lane, Setup
from agentgym.rollout.schedule import Gate, Played
from agentgym.rollout.threads import DaemonExecutor, use_daemon_threads

T = TypeVar("T")

Carry = Literal["keep", "drop"]
"""What becomes of an episode in flight when the weights change. ``keep``: it goes on, and every token says which
weights sampled it. ``drop``: it is begun again, with the same seeds, before anything younger."""


class RolloutPool:
    """Plays jobs across weight updates.

    Args:
        setup: What the episodes share. Its gate is the pool's own.
        concurrency: Episodes in flight.
        background: Play in a thread of its own, also while nobody waits. Otherwise episodes go on only inside ``take``,
            and between two calls no request is at the policy: its weights may change. With ``background``, ``pause``
            before weights change, unless the policy takes updates with requests in flight.

    A pool is for one thread of callers. Raises ConfigError as ``Setup`` does, and for a job that is there already.
    """

    def __init__(self, setup: Setup, *, concurrency: int = 64, background: bool = False) -> None:
        if concurrency < 1:
            raise ConfigError(f"concurrency must be at least 1, got {concurrency}.")
        self.version = 0
        """Of the weights, as ``on_weights`` was told."""
        self.carried = 0
        """Episodes that went on with other weights than they began with."""
        self.dropped = 0
        """Episodes that were begun again because of other weights."""
        self._loop = asyncio.new_event_loop()
        use_daemon_threads(self._loop)
        self._gate = Gate()
        self._setup = replace(setup, gate=self._gate)
        self._executor = DaemonExecutor()
        self._concurrency = concurrency
        self._queue: list[tuple[int, Job]] = []
        self._ages = itertools.count()
        self._age: dict[int, int] = {}
        """Job -> its place in the order of submission."""
        self._groups: dict[int, list[int]] = {}
        """Group -> jobs of it that have been submitted."""
        self._done: dict[int, Played] = {}
        self._playing: dict[int, asyncio.Task[Played]] = {}
        self._lanes: list[asyncio.Task[None]] = []
        self._changed = asyncio.Condition()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        if background:
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="agentgym-pool")
            self._thread.start()

    def __enter__(self) -> RolloutPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, jobs: Iterable[Job]) -> None:
        """Adds jobs, whole groups at a time; see ``plan(..., first=...)`` for numbers that go on.

        Raises:
            ConfigError: A job's number is in the pool already.
        """
        self._call(self._submit(list(jobs)))

    def take(self, groups: int) -> list[list[Trajectory]]:
        """Waits for that many whole groups and hands them out, oldest submission first. Others stay for next time.

        Raises:
            ConfigError: Fewer groups are in the pool.
        """
        return self._call(self._take(groups))

    def pause(self) -> None:
        """Holds new requests back; returns when the policy has answered those that it has."""
        self._call(self._gate.shut())

    def on_weights(self, version: int, carry: Carry = "keep") -> None:
        """Says that the policy has other weights now, and lets requests through again."""
        self._call(self._on_weights(version, carry))

    @property
    def finished_groups(self) -> int:
        """Groups that can be taken at once."""
        return sum(self._whole(group) for group in list(self._groups))

    @property
    def groups(self) -> int:
        """Groups in the pool, finished or not."""
        return len(self._groups)

    def close(self) -> None:
        """Ends everything; episodes in flight are lost."""
        if self._loop.is_closed():
            return
        self._call(self._close())
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._executor.shutdown(wait=False)

    # ------------------------------------------------------------------ inside the loop

    async def _submit(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job.index in self._age:
                raise ConfigError(f"Job {job.index} is in the pool already; give every job a number of its own.")
        for job in jobs:
            self._age[job.index] = next(self._ages)
            self._groups.setdefault(job.group, []).append(job.index)
            heapq.heappush(self._queue, (self._age[job.index], job))
        async with self._changed:
            self._changed.notify_all()

    async def _take(self, wanted: int) -> list[list[Trajectory]]:
        if wanted > len(self._groups):
            raise ConfigError(f"{wanted} groups were asked for and {len(self._groups)} are in the pool; submit more.")
        if not self._lanes:
            self._lanes = [self._loop.create_task(self._serve()) for _ in range(self._concurrency)]
        self._gate.open()
        async with self._changed:
            await self._changed.wait_for(lambda: self._failure is not None or self.finished_groups >= wanted)
        if self._failure is not None:
            raise self._failure
        if self._thread is None:
            await self._gate.shut()
        ripe = [group for group in self._groups if self._whole(group)]
        return [self._hand_out(group) for group in ripe[:wanted]]

    def _hand_out(self, group: int) -> list[Trajectory]:
        found: list[Trajectory] = []
        for index in sorted(self._groups.pop(group)):
            found.extend(self._done.pop(index).trajectories)
            del self._age[index]
        return found

    async def _on_weights(self, version: int, carry: Carry) -> None:
        self.version = version
        playing = list(self._playing.values())
        if carry == "drop":
            self.dropped += len(playing)
            for task in playing:
                task.cancel()
        else:
            self.carried += len(playing)
        if self._thread is not None:
            self._gate.open()

    async def _serve(self) -> None:
        lane = Lane(self._setup, self._executor)
        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: bool(self._queue))
                    age, job = heapq.heappop(self._queue)
                task = self._playing[job.index] = self._loop.create_task(lane.play(job))
                try:
                    await asyncio.wait({task})
                finally:
                    task.cancel()
                    del self._playing[job.index]
                async with self._changed:
                    if task.cancelled():  # dropped
                        heapq.heappush(self._queue, (age, job))
                    elif (error := task.exception()) is not None:
                        self._failure = error
                    else:
                        self._done[job.index] = task.result()
                    self._changed.notify_all()
        finally:
            await lane.close()

    async def _close(self) -> None:
        self._gate.open()
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)

    def _whole(self, group: int) -> bool:
        return all(index in self._done for index in self._groups.get(group, (-1,)))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        if self._thread is None:
            return self._loop.run_until_complete(work)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
