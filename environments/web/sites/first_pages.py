"""First pages of episodes, remembered: episodes of one task begin in the same world with the same request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from agentgym.environments.web.sites.changes import Change
from agentgym.tools.browser.transport import Request, Response

MAX_BYTES = 64_000_000
"""Bytes of databases and pages that a process keeps; the longest unused go first."""

Start = tuple[str, bytes, tuple[str, ...]]
"""Where a site begins: what makes it, the data that were restored, and the edits of the task."""


@dataclass(frozen=True, slots=True)
class First:
    """What came of the first request after a restore. Time and randomness stand still, so it always comes of it."""

    response: Response
    after: bytes | None
    """The site's snapshot after it; None where it changed nothing."""
    changes: tuple[Change, ...]


class FirstPages:
    """First requests by where they began. Safe for threads."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[Start, dict[Request, First]] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, start: Start) -> bool:
        """Whether something began there."""
        with self._lock:
            return start in self._kept

    def find(self, start: Start, request: Request) -> First | None:
        """What came of a request there."""
        with self._lock:
            if start not in self._kept:
                return None
            self._kept.move_to_end(start)
            return self._kept[start].get(request)

    def keep(self, start: Start, request: Request, first: First) -> None:
        """Remembers what came of a request."""
        with self._lock:
            pages = self._kept.pop(start, {})
            self._size -= _size(start, pages)
            self._kept[start] = pages | {request: first}
            self._size += _size(start, self._kept[start])
            while self._size > self._limit:
                self._size -= _size(*self._kept.popitem(last=False))


def _size(start: Start, pages: dict[Request, First]) -> int:
    if not pages:
        return 0
    return len(start[1]) + sum(len(first.response.body) + len(first.after or b"") for first in pages.values())


first_pages = FirstPages()
"""Those of this process."""
