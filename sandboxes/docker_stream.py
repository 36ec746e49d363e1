"""The byte stream of a Docker command: frames of two outputs one way, standard input the other."""

from __future__ import annotations

import selectors
import socket
import struct
import time
from types import TracebackType
from typing import Any

from agentgym.sandboxes.streams import Clip

_HEADER = struct.Struct(">BxxxI")
_CHUNK = 1 << 16
_LONGEST_WAIT = 3600.0
"""Seconds at once: the system's own clock types end somewhere."""


class Exchange:
    """One running command's streams. ``run`` may be called again after a deadline passed."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        self._socket.setblocking(False)
        self._buffer = bytearray(_read_ahead(stream))
        self.out, self.err = Clip(limit), Clip(limit)
        self.flooded = False
        """Whether the command wrote so much that it is to be killed."""

    def run(self, stdin: bytes, deadline: float) -> bool:
        """Moves bytes until the command closes its side. False: the deadline passed, or it floods."""
        pending = memoryview(stdin)
        self._split()
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if stdin else 0))
            while (left := deadline - time.monotonic()) > 0:
                for _, mask in selector.select(min(left, _LONGEST_WAIT)):
                    if mask & selectors.EVENT_WRITE:
                        pending = self._write(pending)
                        if not pending:
                            selector.modify(self._socket, selectors.EVENT_READ)
                    if mask & selectors.EVENT_READ and not self._read():
                        return True
                if not self.flooded and (self.out.flooded or self.err.flooded):
                    self.flooded = True
                    return False
        return False

    def _write(self, pending: memoryview) -> memoryview:
        try:
            pending = pending[self._socket.send(pending[:_CHUNK]) :]
        except BlockingIOError:
            return pending
        except OSError:
            return pending[:0]  # it closed its input; what it wrote still counts
        if not pending:
            self._socket.shutdown(socket.SHUT_WR)
        return pending

    def _read(self) -> bool:
        try:
            chunk = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return True
        self._buffer += chunk
        self._split()
        return bool(chunk)

    def _split(self) -> None:
        """Hands every whole frame to its output."""
        while len(self._buffer) >= _HEADER.size:
            kind, size = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + size
            if len(self._buffer) < end:
                break
            (self.err if kind == 2 else self.out).add(bytes(self._buffer[_HEADER.size : end]))
            del self._buffer[:end]

    def __enter__(self) -> Exchange:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        response = getattr(self._stream, "_response", None)
        if response is not None:
            response.close()  # first, since it flushes what lies on the stream
        self._stream.close()
        self._socket.close()


def _read_ahead(stream: Any) -> bytes:
    """What came in one piece with the headers of the HTTP answer: their reader has taken it off the socket already."""
    response = getattr(stream, "_response", None)
    if response is None:
        return b""
    reader = response.raw._fp.fp
    waiting = reader.peek()  # the socket does not block, so this looks no further than there is something
    return bytes(reader.read1(len(waiting))) if waiting else b""
