"""Waiting for a server no longer than promised, however slowly it sends.

A socket's timeout bounds the wait for the next bytes; a server that sends one byte now and then could hold a client for
ever, and so could a name server that doesn't answer.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import threading
import time
from typing import Any


class Response(http.client.HTTPResponse):
    """An answer whose every byte must be there before the deadline of its socket."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_Timed(raw, sock))


class _Timed(io.RawIOBase):
    """Bytes of a socket; before each wait its timeout is what is left."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._until = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Some bytes. Raises TimeoutError at the deadline."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("The answer was not complete in time.")
        self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        """Frees the socket."""
        self._raw.close()
        super().close()


def connect(address: tuple[str, int], timeout: float, source: Any = None) -> socket.socket:
    """A connection within ``timeout`` seconds, the look-up of the name included. Takes what ``http.client`` passes.

    Raises:
        OSError: There is no such host, it can't be reached, or not in time.
    """
    host, port = address
    until = time.monotonic() + timeout
    problem: OSError = OSError(f"The name {host!r} has no address.")
    for number in _look_up(host, port, timeout):
        try:
            return socket.create_connection((number, port), max(until - time.monotonic(), 0.01), source)
        except OSError as error:
            problem = error
    raise problem


def _look_up(host: str, port: int, seconds: float) -> list[str]:
    """Addresses of a name, asked for in a thread: the system's own look-up can't be told how long to wait."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(where[0]) for *_, where in found)))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"The name {host!r} was not found in time.") from None
    if isinstance(answer, OSError):
        raise answer
    return answer
