"""Which job is played when, and by whom: oldest first, with back-pressure from whoever takes the episodes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import NamedTuple, Protocol

from agentgym.core.records import Trajectory
from agentgym.rollout.jobs import Job
from agentgym.rollout.limits import Timing


class Played(NamedTuple):
    """What came of a job."""

    job: Job
    trajectories: list[Trajectory]
    """The episode, then its branches in the order in which they left it; one without branches."""
    timing: Timing


class Player(Protocol):
    """Plays one job at a time, here or in a worker."""

    async def play(self, job: Job) -> Played:
        """What came of ``job``. A failed episode is data; what this raises ends the run."""
        ...

    async def close(self) -> None:
        """Frees what it holds. Safe to call twice."""
        ...


class Gate:
    """Keeps episodes from asking the policy while its weights change."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._asking = 0

    async def enter(self) -> float:
        """Waits until the gate is open; returns the seconds that this took. Then ``leave`` must follow."""
        began = time.perf_counter()
        while not self._open.is_set():
            await self._open.wait()
        self._asking += 1
        self._quiet.clear()
        return time.perf_counter() - began

    def leave(self) -> None:
        """The request has its answer."""
        self._asking -= 1
        if not self._asking:
            self._quiet.set()

    def open(self) -> None:
        """Lets requests through again."""
        self._open.set()

    async def shut(self) -> None:
        """Holds new requests back, and returns when those in flight have their answers."""
        self._open.clear()
        await self._quiet.wait()


async def schedule(jobs: Iterable[Job], players: Sequence[Player], *, waiting: int) -> AsyncGenerator[Played, None]:
    """Plays all jobs and yields each when it is done.

    Args:
        jobs: Taken in order, each the moment a player is free.
        players: As many as jobs are played at once.
        waiting: Most jobs that are done and not yet taken; with more, players wait.
    """
    source = iter(jobs)
    done: asyncio.Queue[Played | None] = asyncio.Queue(maxsize=waiting)

    async def seat(player: Player) -> None:
        try:
            for job in source:
                await done.put(await player.play(job))
        finally:
            await player.close()

    async def all_seats() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for player in players:
                    group.create_task(seat(player))
        finally:
            await done.put(None)

    seats = asyncio.create_task(all_seats())
    try:
        while (item := await done.get()) is not None:
            yield item
        await seats
    except BaseExceptionGroup as group:
        raise _first(group) from None
    finally:
        if not seats.done():
            seats.cancel()
            while not seats.done():
                while not done.empty():
                    done.get_nowait()
                await asyncio.wait({seats}, timeout=0.01)
            await asyncio.gather(seats, return_exceptions=True)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
