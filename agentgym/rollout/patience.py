"""How long an episode waits for its policy.

A timer ends an await that takes too long by cancelling the episode's task, which costs a fraction of what a task of its
own a request would; one timer serves all awaits, set anew when it fires too early. A policy that ignores its
cancellation is left behind, task and all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from agentgym.rollout.threads import Hung

T = TypeVar("T")

GRACE = 0.25
"""Seconds between one cancellation of a late policy and the next."""
CANCELLATIONS = 4
"""Cancellations before it is left behind."""


class Patience:
    """Watches the awaits of the task that makes it.

    Args:
        stuck: Gets a result when the task is beyond help.
    """

    def __init__(self, stuck: asyncio.Future[None]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] = task
        self._call = 0
        """Number of the await being watched; even while there is none."""
        self._until = 0.0
        """When that await is late, by the loop's clock."""
        self._timer: asyncio.TimerHandle | None = None
        self._cancelled = 0
        self._stuck = stuck

    async def wait(self, awaitable: Awaitable[T], seconds: float | None) -> T:
        """What ``awaitable`` gives.

        Raises:
            Hung: It took longer than ``seconds``.
        """
        if seconds is None:
            return await awaitable
        before = self._task.cancelling()
        self._call += 1
        self._until = self._loop.time() + seconds
        self._watch()
        try:
            return await awaitable
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            self._take_back()
            if self._task.cancelling() > before:
                raise  # somebody else wants the task to end
            raise Hung from None
        finally:
            self._call += 1
            self._until = float("inf")
            self._take_back()  # it was cancelled and answered all the same

    def close(self) -> None:
        """Ends the timer, which otherwise keeps the task alive until it fires."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        """Sees to it that the timer fires no later than the await is late."""
        if self._timer is not None and self._timer.when() > self._until:
            self.close()
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._fire)

    def _fire(self) -> None:
        late, self._timer = self._timer, None
        if self._until == float("inf"):
            return
        if late is not None and late.when() < self._until:
            self._watch()
        else:
            self._expire(self._call)

    def _take_back(self) -> None:
        while self._cancelled:
            self._cancelled -= 1
            self._task.uncancel()

    def _expire(self, call: int) -> None:
        if self._call != call or self._task.done():
            return
        if self._cancelled >= CANCELLATIONS:
            if not self._stuck.done():
                self._stuck.set_result(None)
            return
        self._cancelled += 1
        self._task.cancel()
        self._loop.call_later(GRACE, self._expire, call)


def leave_behind(task: asyncio.Task[Any]) -> None:
    """Forgets a task that ignores its cancellation: otherwise ``asyncio.run`` waits for it for ever."""
    asyncio._unregister_task(task)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
