"""Output of a command, kept within a bound: the head and the tail of what is too long."""

from __future__ import annotations

from collections import deque

FLOOD_FACTOR = 256
"""A command that writes this many times more than is kept is killed."""


class Clip:
    """Keeps the first and the last half of ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self.total = 0

    def add(self, chunk: bytes) -> None:
        """Takes in what was read."""
        self.total += len(chunk)
        room = self._limit - self._limit // 2 - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if chunk:
            self._tail.append(chunk)
            self._tail_bytes += len(chunk)
            while self._tail_bytes - len(self._tail[0]) >= self._limit // 2:
                self._tail_bytes -= len(self._tail.popleft())
                if not self._tail:
                    break

    @property
    def truncated(self) -> bool:
        """Whether bytes are missing."""
        return self.total > self._limit

    @property
    def flooded(self) -> bool:
        """Whether so much came that the command should be killed."""
        return self.total > self._limit * FLOOD_FACTOR

    def value(self) -> bytes:
        """What is kept: at most ``limit`` bytes."""
        tail = b"".join(self._tail)
        keep = self._limit // 2
        return bytes(self._head) + (tail[-keep:] if keep and len(tail) > keep else tail if keep else b"")
