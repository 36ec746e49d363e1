"""Posting to a server: short waits, retries with jitter, and an error that says which server is away."""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.tools.retriever.deadline import Response, connect

_JITTER = random.Random()  # only waiting times depend on it


@dataclass(frozen=True)
class Patience:
    """How long a request may take, in seconds."""

    connect: float = 2.0
    """The look-up of the name included."""
    read: float = 10.0
    """For a whole answer."""
    total: float = 15.0
    """For all tries together."""
    retries: int = 2
    """Further tries after the first."""
    pause: float = 0.1
    """Before the first retry; doubles with each, times a random factor in [0.5, 1.5]."""


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    body: bytes
    content_type: str


class Connection:
    """Keeps one connection a thread open to a server, until ``close`` or the end of the object.

    Args:
        url: ``http://host:port/path`` or ``https://...``.
        patience: How long to wait.
    """

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        self._all: list[http.client.HTTPConnection] = []
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"The address of a server looks like 'http://host:8000/path', got {url!r}.")
        self.url, self.patience = url, patience or Patience()
        self._parts, self._local = parts, threading.local()

    def post(self, body: bytes, content_type: str) -> Reply:
        """Sends ``body`` and returns the answer, whatever its status below 500.

        Raises:
            Fault: The server is away, too slow or failing (``tool``, retryable), after all retries.
        """
        patience, problem, tries = self.patience, "", 0
        until = time.monotonic() + patience.total
        while tries <= patience.retries and (left := until - time.monotonic()) > 0:
            if tries:
                time.sleep(min(left, patience.pause * 2 ** (tries - 1) * (0.5 + _JITTER.random())))
            tries += 1
            try:
                reply = self._once(body, content_type, until)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                problem = _reason(error)
                continue
            if reply.status < 500:
                return reply
            problem = f"it answered {reply.status}: {reply.body[:200].decode('utf-8', 'replace')}"
        raise Fault(
            Boundary.TOOL,
            f"The server at {self.url} can't be used ({problem}; tries: {tries}). Is it running?",
            retryable=True,
        )

    def close(self) -> None:
        """Closes the connections of all threads. Posting again opens new ones."""
        while self._all:
            self._all.pop().close()

    def __del__(self) -> None:
        self.close()

    def _drop(self) -> None:
        """Closes this thread's connection."""
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is not None:
            found.close()
            self._local.connection = None

    def _once(self, body: bytes, content_type: str, until: float) -> Reply:
        connection = self._opened()
        connection.sock.settimeout(max(min(self.patience.read, until - time.monotonic()), 0.01))
        path = self._parts.path or "/"
        if self._parts.query:
            path += f"?{self._parts.query}"
        connection.request("POST", path, body, {"Content-Type": content_type, "Accept": content_type})
        with connection.getresponse() as response:
            return Reply(response.status, response.read(), response.headers.get_content_type())

    def _opened(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None or found.sock is None:
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            found = kind(str(self._parts.hostname), self._parts.port, timeout=self.patience.connect)
            found.response_class = Response
            found._create_connection = connect  # type: ignore[attr-defined]  # http.client's own hook
            self._all = [one for one in self._all if one.sock is not None] + [found]
            found.connect()
            found.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._local.connection = found
        return found


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return f"{type(error).__name__}: {error}"


def post_json(url: str, data: Any, patience: Patience | None = None) -> Any:
    """Posts JSON and returns the JSON of the answer.

    Raises:
        Fault: The server can't be used, refuses the request, or answers something else than JSON.
    """
    reply = Connection(url, patience).post(json.dumps(data).encode(), "application/json")
    try:
        if reply.status >= 400:
            raise ValueError(reply.body[:200].decode("utf-8", "replace"))
        return json.loads(reply.body)
    except ValueError as error:
        raise Fault(Boundary.TOOL, f"{url} answered {reply.status}: {error}") from error
