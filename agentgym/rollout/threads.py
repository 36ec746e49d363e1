"""Blocking calls in threads that nobody has to wait for.

The executors of the standard library join their threads when the interpreter ends, so one call that never returns
keeps the process alive for ever. These threads are daemons: a call that is late is left behind.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Inbox = queue.SimpleQueue[Callable[[], None] | None]


class Hung(Exception):
    """A call did not return in time and was left behind."""


class DaemonExecutor(ThreadPoolExecutor):
    """One daemon thread a call in flight, reused when it is idle. Callers bound how many there are.

    A subclass of ``ThreadPoolExecutor`` because event loops take nothing else as their default.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # its own threads are never started
        self._idle: list[_Inbox] = []
        self._mutex = threading.Lock()
        self._ended = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See ``concurrent.futures.Executor.submit``."""
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        with self._mutex:
            if self._ended:
                raise RuntimeError("cannot schedule new futures after shutdown")
            inbox = self._idle.pop() if self._idle else self._start()
        inbox.put(call)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends idle threads, and the others when their call returns. Never waits."""
        with self._mutex:
            self._ended = True
            for inbox in self._idle:
                inbox.put(None)
            self._idle.clear()

    def _start(self) -> _Inbox:
        inbox: _Inbox = queue.SimpleQueue()
        threading.Thread(target=self._serve, args=(inbox,), daemon=True, name="agentgym-call").start()
        return inbox

    def _serve(self, inbox: _Inbox) -> None:
        while (call := inbox.get()) is not None:
            call()
            del call  # an idle thread must not keep an environment alive
            with self._mutex:
                if self._ended:
                    return
                self._idle.append(inbox)


def use_daemon_threads(loop: asyncio.AbstractEventLoop) -> None:
    """Makes ``asyncio.to_thread`` use threads that nobody joins."""
    if not isinstance(getattr(loop, "_default_executor", None), DaemonExecutor):
        loop.set_default_executor(DaemonExecutor())


async def call(
    executor: DaemonExecutor, function: Callable[[], T], timeout: float | None, late: Callable[[], Any]
) -> T:
    """``function()`` in a thread.

    Args:
        executor: Whose threads.
        function: What to call.
        timeout: Seconds until it is left behind; None waits for ever.
        late: Called in a thread once a call that was left behind returns after all: frees what it used.

    Raises:
        Hung: It did not return in time.
    """
    future = asyncio.get_running_loop().run_in_executor(executor, function)
    try:
        done, _ = await asyncio.wait({future}, timeout=timeout)
    except asyncio.CancelledError:
        _leave(future, executor, late)
        raise
    if not done:
        _leave(future, executor, late)
        raise Hung
    return future.result()


def _leave(future: asyncio.Future[Any], executor: DaemonExecutor, late: Callable[[], Any]) -> None:
    def returned(ended: asyncio.Future[Any]) -> None:
        if not ended.cancelled():
            ended.exception()  # nobody else will look at it
        if not executor._ended:
            executor.submit(late)

    future.add_done_callback(returned)
