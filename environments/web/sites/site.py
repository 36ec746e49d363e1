"""What a site is to the rest: an application over one SQLite database that can be restored in no time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Protocol

from agentgym.core.errors import Boundary, Fault
from agentgym.environments.web.sites.changes import Change, forget, net_changes
from agentgym.tools.browser.transport import Request, Response, Wsgi, WsgiApp


class Site(Protocol):
    """A running site of one environment; its own copy, shared with nobody."""

    host: str

    def golden(self, world: int, /) -> bytes:
        """The database of a world, for ``restore``. Built once and cached."""
        ...

    def __call__(self, request: Request) -> Response:
        """Answers a request."""
        ...

    def restore(self, data: bytes, edits: tuple[str, ...] = ()) -> None:
        """Goes back to a database, then runs the task's own edits, which don't count as changes."""
        ...

    def snapshot(self) -> bytes:
        """The database as it is."""
        ...

    def changes(self) -> tuple[Change, ...]:
        """Net changes since ``restore``."""
        ...

    def close(self) -> None:
        """Frees what the site holds."""
        ...


class MemorySite:
    """A WSGI application over a database in memory.

    Args:
        host: Its name.
        make_app: Makes the application for a connection.
        golden: The database of a world.
    """

    def __init__(
        self, host: str, make_app: Callable[[sqlite3.Connection], WsgiApp], golden: Callable[[int], bytes]
    ) -> None:
        self.host = host
        self.golden = golden
        self._make_app = make_app
        self._open()

    def _open(self) -> None:
        self._lock = threading.Lock()  # requests come from threads
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._app = Wsgi(self._make_app(self._db))
        self._seen: tuple[int, tuple[Change, ...]] = (-1, ())

    def _free(self, seconds: float) -> bool:
        """Takes the lock; False where a request holds it for longer than that, since it hangs."""
        return self._lock.acquire(timeout=seconds)

    def __call__(self, request: Request) -> Response:
        """See ``Site``."""
        with self._lock:
            return self._app(request)

    def restore(self, data: bytes, edits: tuple[str, ...] = ()) -> None:
        """See ``Site``. A site that hangs is replaced by a new one."""
        if not self._free(0.2):
            self._open()
            self._lock.acquire()
        try:
            self._db.deserialize(data)
            for edit in edits:
                self._db.execute(edit)
            if edits:
                forget(self._db)
            self._seen = (-1, ())
        finally:
            self._lock.release()

    def snapshot(self) -> bytes:
        """See ``Site``."""
        if not self._free(5.0):
            raise Fault(Boundary.ENVIRONMENT, f"The site {self.host} hangs, so it can't be saved.", retryable=True)
        try:
            return self._db.serialize()
        finally:
            self._lock.release()

    def changes(self) -> tuple[Change, ...]:
        """See ``Site``. Read again only after a write; while a request hangs, what was read last."""
        if not self._free(0.2):
            return self._seen[1]
        try:
            writes = self._db.total_changes
            if self._seen[0] != writes:
                self._seen = (writes, net_changes(self._db))
            return self._seen[1]
        finally:
            self._lock.release()

    def close(self) -> None:
        """See ``Site``."""
        if self._free(0.2):
            self._db.close()
            self._lock.release()
