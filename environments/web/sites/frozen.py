"""Frozen time and randomness for a process that runs a site. Never used in the process of the environment."""

from __future__ import annotations

import datetime
import os
import random
import time
from typing import Any

_DEFAULT = 1_772_442_000
"""Seconds since 1970 (2 March 2026, 09:00 UTC) before a world says what time it is in it."""


class Frozen:
    """Clocks that stand still, and randomness that is the same in every request.

    Equal states then give equal bytes, tokens against forged requests included. Identifiers that must be new (keys of
    wish lists and the like) still are: sites draw again while one is taken.
    """

    def __init__(self) -> None:
        import time_machine

        self._stream = random.Random(0)
        random._urandom = self._bytes  # type: ignore[attr-defined]
        os.urandom = self._bytes
        self._clock: Any = time_machine.travel(_moment(_DEFAULT), tick=False).start()

    def _bytes(self, size: int, /) -> bytes:
        return self._stream.randbytes(size)

    def stand_at(self, seconds: int) -> None:
        """Sets the clocks, in seconds since 1970."""
        self._clock.move_to(_moment(seconds))

    def begin(self) -> None:
        """Before each request: randomness starts anew."""
        self._stream.seed(0)
        random.seed(0)


def _moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def use_utc() -> None:
    """Local time is UTC in this process."""
    os.environ["TZ"] = "UTC"
    time.tzset()
