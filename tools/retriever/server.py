"""A retriever as a server: ``POST /retrieve`` in three dialects on one port, ``GET /health``.

One event loop reads and writes; queries that arrive together are answered together in one worker thread, so that
retrievers with a model see batches. The HTTP is the part that JSON clients use: keep-alive, pipelining, bodies with a
length.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agentgym.core.errors import AgentGymError, ConfigError, DataError
from agentgym.tools.retriever.base import Hits, Retriever
from agentgym.tools.retriever.batch import search_all
from agentgym.tools.retriever.corpus import Corpus
from agentgym.tools.retriever.dialects import JSON, Request, Scored, read_request, write_reply

MOST_HEADER, MOST_BODY = 1 << 14, 1 << 23
MOST_DIGITS = 20
"""Of a length: Python refuses to read numbers of thousands of digits."""
MOST_TOGETHER = 256
"""Queries that are answered in one go."""
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 411: "Length Required", 413: "Content Too Large"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    content_type: str = JSON

    def encode(self, keep: bool) -> bytes:
        reason = _REASONS.get(self.status, "Internal Server Error")
        head = [
            f"HTTP/1.1 {self.status} {reason}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            *([] if keep else ["Connection: close"]),
        ]
        return "\r\n".join([*head, "", ""]).encode("ascii") + self.body


def _problem(status: int, text: str) -> _Reply:
    return _Reply(status, json.dumps({"error": text}).encode())


class _Batcher:
    """Answers requests in a worker thread, all that wait at once."""

    def __init__(self, corpus: Corpus, retriever: Retriever, default_k: int) -> None:
        self._corpus, self._retriever, self._default_k = corpus, retriever, default_k
        self._waiting: list[tuple[Request, asyncio.Future[_Reply]]] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="retriever")
        self._busy = False

    def ask(self, body: bytes) -> asyncio.Future[_Reply]:
        """The answer to a request, when it is there."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Reply] = loop.create_future()
        try:
            request = read_request(body, self._default_k)
        except AgentGymError as error:
            future.set_result(_problem(400 if isinstance(error, DataError) else 500, str(error)))
            return future
        self._waiting.append((request, future))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        batch: list[tuple[Request, asyncio.Future[_Reply]]] = []
        count = 0
        while self._waiting and (not batch or count + len(self._waiting[0][0].queries) <= MOST_TOGETHER):
            batch.append(self._waiting.pop(0))
            count += len(batch[-1][0].queries)
        if not batch:
            self._busy = False
            return
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._pool, self._answer, [request for request, _ in batch])
        done.add_done_callback(lambda finished: self._deliver(finished, [future for _, future in batch]))

    def _deliver(self, finished: asyncio.Future[list[_Reply]], futures: list[asyncio.Future[_Reply]]) -> None:
        error = finished.exception()
        if error is not None:
            _log.error("Retrieval failed", exc_info=error)
        replies = [_problem(500, f"{type(error).__name__}: {error}")] * len(futures) if error else finished.result()
        for future, reply in zip(futures, replies, strict=True):
            if not future.done():
                future.set_result(reply)
        self._flush()

    def _answer(self, requests: list[Request]) -> list[_Reply]:
        by_k: dict[int, list[str]] = {}
        for request in requests:
            by_k.setdefault(request.k, []).extend(request.queries)
        found = {k: iter(search_all(self._retriever, queries, k)) for k, queries in by_k.items()}
        replies = []
        for request in requests:
            hits = [next(found[request.k]) for _ in request.queries]
            replies.append(_Reply(200, *write_reply(request, [self._passages(one) for one in hits])))
        return replies

    def _passages(self, hits: Hits) -> list[Scored]:
        return [(self._corpus[i], score) for i, score in zip(hits.ids.tolist(), hits.scores.tolist(), strict=True)]

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Http(asyncio.Protocol):
    """One connection. Answers go out in the order of the requests."""

    def __init__(self, batcher: _Batcher, health: _Reply, connections: set[_Http]) -> None:
        self._batcher, self._health, self._connections = batcher, health, connections
        self._buffer = b""
        self._replies: asyncio.Queue[tuple[asyncio.Future[_Reply], bool]] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        self._writer = asyncio.get_running_loop().create_task(self._write())

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._writer is not None:
            self._writer.cancel()

    def close(self) -> None:
        """Ends the connection."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._read_one():
            pass

    async def _write(self) -> None:
        while True:
            future, keep = await self._replies.get()
            reply = await future
            self._transport.write(reply.encode(keep))
            if not keep:
                self._transport.close()
                return

    def _say(self, reply: _Reply, keep: bool) -> bool:
        future: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        future.set_result(reply)
        self._replies.put_nowait((future, keep))
        return keep

    def _read_one(self) -> bool:
        """Takes one request from the buffer; False where it isn't complete or the connection is given up."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return len(self._buffer) > MOST_HEADER and self._give_up(_problem(400, "The header is too long."))
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        parts = first.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return self._give_up(_problem(400, "This is not HTTP/1.1."))
        method, path = parts[0], parts[1].partition("?")[0]
        length = headers.get("content-length", "0" if method == "GET" else "")
        if not length.isdecimal():
            return self._give_up(_problem(411, "Send a body with a Content-Length."))
        if len(length) > MOST_DIGITS or int(length) > MOST_BODY:
            return self._give_up(_problem(413, f"A body has at most {MOST_BODY} bytes."))
        stop = end + 4 + int(length)
        if len(self._buffer) < stop:
            if headers.get("expect", "").lower() == "100-continue" and len(self._buffer) == end + 4:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return False
        body, self._buffer = self._buffer[end + 4 : stop], self._buffer[stop:]
        keep = headers.get("connection", "").lower() != "close" and parts[2] != "HTTP/1.0"
        return self._route(method, path, body, keep)

    def _route(self, method: str, path: str, body: bytes, keep: bool) -> bool:
        if method == "GET" and path == "/health":
            return self._say(self._health, keep)
        if method != "POST" or path not in ("/retrieve", "/"):
            return self._say(
                _problem(404, f"There is no {method} {path} here, only POST /retrieve and GET /health."), keep
            )
        self._replies.put_nowait((self._batcher.ask(body), keep))
        return keep

    def _give_up(self, reply: _Reply) -> bool:
        self._buffer = b""
        return self._say(reply, keep=False)


@contextlib.asynccontextmanager
async def serving(
    corpus: Corpus,
    retriever: Retriever,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    default_k: int = 3,
    shared_port: bool = False,
) -> AsyncIterator[int]:
    """Serves while the context is open; gives the port.

    Args:
        corpus: The documents.
        retriever: Finds them.
        host: Address to listen on.
        port: 0 takes a free one.
        default_k: Hits where a request doesn't say.
        shared_port: Several processes may listen on the port; the system spreads connections over them.

    Raises:
        ConfigError: The port can't be had.
    """
    batcher = _Batcher(corpus, retriever, default_k)
    health = _Reply(200, json.dumps({"documents": len(corpus)}).encode())
    connections: set[_Http] = set()
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            lambda: _Http(batcher, health, connections), host, port, reuse_port=shared_port or None, backlog=1024
        )
    except (OSError, OverflowError) as error:
        batcher.close()
        raise ConfigError(f"Can't listen on {host}:{port}: {error}. Choose another port.") from error
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for connection in list(connections):
            connection.close()
        batcher.close()
        await asyncio.sleep(0)  # lets the transports go
