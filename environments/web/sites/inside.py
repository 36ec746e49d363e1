"""The process that runs one site: it answers the requests of ``WorkerSite``, one at a time, until it is let go.

Messages are marshalled plain data. Started as ``python -m agentgym.environments.web.sites.inside TARGET FD FOLDER``.
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import astuple
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from agentgym.environments.web.sites.changes import Change
from agentgym.environments.web.sites.frozen import Frozen, use_utc
from agentgym.tools.browser.transport import Request, Response

MAX_MEMORY = 2 << 30
"""Bytes of data that a site may hold."""


class Inside(Protocol):
    """A site as its own process has it. ``clock`` sets the time that its world stands at."""

    def __call__(self, request: Request) -> Response:
        """Answers a request."""
        ...

    def build(self) -> bytes:
        """What golden data is made from and only the application can make: an empty database, say."""
        ...

    def restore(self, data: bytes, edits: tuple[str, ...]) -> None:
        """See ``Site``."""
        ...

    def snapshot(self) -> bytes:
        """See ``Site``."""
        ...

    def changes(self) -> tuple[Change, ...]:
        """See ``Site``."""
        ...


class Late(BaseException):
    """A request took too long. No ``Exception``, so that applications don't take it for one of theirs."""


def _ring(number: int, frame: Any) -> None:
    raise Late


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raises Late in the main thread after so many seconds, or never for 0."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def serve(site: Inside, frozen: Frozen, pipe: Connection) -> None:
    """Answers messages ``(method, seconds, arguments)`` with ``(kind, value)`` until the other end is closed."""
    while True:
        try:
            name, seconds, arguments = marshal.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        frozen.begin()
        try:
            with deadline(seconds):
                reply = marshal.dumps(("value", _METHODS[name](site, *arguments)))
        except Late:
            reply = marshal.dumps(("late", ""))
        except Exception as error:
            reply = marshal.dumps(("error", f"{type(error).__name__}: {error}"))
        try:
            pipe.send_bytes(reply)
        except OSError:
            return


def _ask(site: Inside, *parts: Any) -> tuple[Any, ...]:
    response = site(Request(*parts))
    return response.status, response.headers, response.body


_METHODS: dict[str, Callable[..., Any]] = {
    "ask": _ask,
    "build": lambda site: site.build(),
    "restore": lambda site, data, edits: site.restore(data, edits),
    "snapshot": lambda site: site.snapshot(),
    "changes": lambda site: tuple(astuple(change) for change in site.changes()),
}


def main(target: str, number: str, folder: str) -> None:
    """Runs until the pipe is closed."""
    from agentgym.core.registry import load

    use_utc()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the parent, which closes the pipe
    signal.signal(signal.SIGALRM, _ring)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    pipe = Connection(int(number))
    frozen = Frozen()
    site = load(target)(frozen, Path(folder))
    gc.collect()
    gc.freeze()  # what was loaded stays, and need not be looked through again and again
    gc.set_threshold(20_000, 20, 20)
    pipe.send_bytes(marshal.dumps(("value", None)))
    serve(site, frozen, pipe)
    os._exit(0)  # threads of applications needn't be waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
