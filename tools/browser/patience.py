"""Requests with a time limit: a site that hangs costs its own request, never the one who asked."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

from agentgym.core.errors import Fault
from agentgym.tools.browser.transport import Request, Response, SiteError, Transport, broken

_KEPT = 16
"""Idle threads that are kept."""


class _Abandoned(BaseException):
    """Raised in a thread that nobody waits for any more."""


class _Worker:
    """A thread that makes one call at a time."""

    def __init__(self) -> None:
        self._begin, self._end = threading.Lock(), threading.Lock()
        self._begin.acquire()
        self._end.acquire()
        self._job: tuple[Transport, Request] | None = None
        self._result: Response | BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="site call")
        self._thread.start()

    def _work(self) -> None:
        while True:
            self._begin.acquire()
            if self._job is None:
                return
            transport, request = self._job
            try:
                self._result = transport(request)
            except _Abandoned:
                return
            except BaseException as error:
                self._result = error
            self._job = None
            self._end.release()

    def call(self, transport: Transport, request: Request, seconds: float) -> Response | BaseException | None:
        """What came of it: a response, an exception, or None when it took too long; the worker is lost then."""
        self._job, self._result = (transport, request), None
        self._begin.release()
        if not self._end.acquire(timeout=seconds):
            ident = ctypes.c_ulong(self._thread.ident or 0)  # ends loops in Python; a sleep goes on in the background
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(_Abandoned))
            return None
        result, self._result = self._result, None
        return result

    def stop(self) -> None:
        """Ends an idle thread."""
        self._job = None
        self._begin.release()


_idle: list[_Worker] = []
_guard = threading.Lock()


def _forget() -> None:
    """Threads don't survive a fork."""
    global _guard
    _idle.clear()
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_forget)


def ask(transport: Transport, request: Request, seconds: float, limit: float) -> Response:
    """The site's answer; the page of an error where the site raised one.

    Args:
        transport: Who answers.
        request: What is asked.
        seconds: How long to wait.
        limit: The whole action's limit, for the message.

    Raises:
        SiteError: It did not answer in time, or said that it can't answer.
        Fault: What the site raised as one.
    """
    result: Any = None
    if seconds > 0:
        with _guard:
            worker = _idle.pop() if _idle else None
        worker = worker or _Worker()
        result = worker.call(transport, request, seconds)
        if result is not None:
            with _guard:
                kept = len(_idle) < _KEPT
                if kept:
                    _idle.append(worker)
            if not kept:
                worker.stop()
    if result is None:
        raise SiteError("timeout", f"The site did not answer within {limit:g} seconds.")
    if isinstance(result, (SiteError, Fault)):
        raise result
    if isinstance(result, BaseException):
        return broken(result)
    response: Response = result
    return response
