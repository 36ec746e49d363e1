"""The loopback server through which a Chromium context reaches the sites of one environment, and nothing else.

It is an HTTP proxy: host names keep their meaning, every request of the context comes here whatever its address, and
what isn't a site of the environment is refused. A response that a text browser wouldn't show (a download, a redirect to
another place, a site that doesn't answer) becomes 204, which leaves Chromium where it is, and a note of the reason.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agentgym.core.errors import Fault
from agentgym.tools.browser.pages import NotShown, arrive
from agentgym.tools.browser.patience import ask
from agentgym.tools.browser.transport import MAX_BODY, Request, Response, SiteError, Transport
from agentgym.tools.browser.urls import AllowList

_NOT_SENT = ("content-length", "content-encoding", "transfer-encoding", "connection", "content-type", "location",
             "content-disposition", "refresh", "link", "speculation-rules", "alt-svc", "clear-site-data", "nel",
             "report-to", "reporting-endpoints", "strict-transport-security", "content-security-policy",
             "referrer-policy")  # fmt: skip
_EMPTY = Response(204)
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
MAX_HEADER = 8_000
"""Characters of a header that Chromium gets: it refuses answers whose head is out of measure."""
_ASKED_AGAIN = (408, 421)
"""Statuses at which Chromium asks a second time; the page is the same with another."""
MAX_LED = 8
"""Pages in a row that scripts may lead through."""
_POLICY = ("content-security-policy", "frame-src 'none'; object-src 'none'")
"""Frames are named, not read, so they aren't loaded either."""
_HOP_BY_HOP = ("connection", "host", "content-length", "keep-alive", "proxy-connection", "te", "transfer-encoding",
               "upgrade", "accept-encoding", "if-none-match", "if-modified-since")  # fmt: skip
PASSED = ("cookie", "content-type", "referer", "origin", "user-agent", "accept-language")
"""Headers that sites get."""


@dataclass
class Journey:
    """What happens on the way to a page, from ``SiteServer.begin`` on."""

    limit: float
    """Seconds that the whole action may take, for messages."""
    until: float
    """When the sites' time is up, by the monotonic clock."""
    failed: Callable[[bool], None] | None = None
    """Called, in the server's thread, when no page will come; True: one has come whose scripts tried to lead on."""
    hops: int = 0
    pages: int = 0
    """Responses that are shown."""
    status: int = 200
    styled: bool = False
    """The page that is shown has style sheets of its own to load."""
    failure: NotShown | None = None
    fault: Fault | None = None

    def fail(self, reason: NotShown | Fault) -> Response:
        """Notes why no page comes, and answers with nothing."""
        if isinstance(reason, Fault):
            self.fault = reason
        else:
            self.failure = reason
        if self.failed is not None:
            self.failed(self.pages > 0)
        return _EMPTY


class SiteServer:
    """Serves one environment's sites on a port of its own, in threads.

    Args:
        transport: Answers requests.
        allow: What may be opened.
        passed: Headers that sites get; empty for all that a proxy passes on.
    """

    def __init__(self, transport: Transport, allow: AllowList, passed: tuple[str, ...] = PASSED) -> None:
        self.transport = transport
        self.allow = allow
        self.passed = passed
        self.primed: dict[str, tuple[int, str]] = {}
        """Pages to give once, in place of the site's: address -> status and HTML. For restored snapshots."""
        self.kept: dict[str, tuple[int, str]] = {}
        """The page given last for each address."""
        self.journey = Journey(0.0, 0.0)
        self.busy = 0
        """Requests that are being answered."""
        self.last = 0.0
        """When one came or was answered last, by the monotonic clock."""
        self._lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            owner = outer

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True, name="site server"
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def alive(self) -> bool:
        """Whether it takes requests."""
        return self._thread.is_alive() and self._server.socket.fileno() >= 0

    def begin(self, limit: float, until: float, failed: Callable[[bool], None] | None = None) -> Journey:
        """A new navigation begins."""
        self.journey = Journey(limit, until, failed)
        self.last = time.monotonic()
        return self.journey

    def answer(self, request: Request) -> Response:
        """The response that Chromium gets."""
        self._count(1)
        try:
            return self._answer(request)
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            self.busy += step
            self.last = time.monotonic()

    def _answer(self, request: Request) -> Response:
        journey = self.journey
        problem = self.allow.problem(request.url)
        if not request.document:
            return Response(403) if problem else self._part(request, journey)
        if problem:  # what scripts lead to; everything else was checked before
            return journey.fail(NotShown("forbidden_url", problem))
        try:
            return self._page(request, journey)
        except (NotShown, Fault) as reason:
            return journey.fail(reason)
        except SiteError as error:
            return journey.fail(NotShown(error.category, error.message))

    def _part(self, request: Request, journey: Journey) -> Response:
        """Sheets, scripts and images of a page. One that doesn't come is missing; the page is shown without it."""
        try:
            return ask(self.transport, request, max(journey.until - time.monotonic(), 1.0), journey.limit)
        except SiteError:
            return Response(504)
        except Fault as fault:
            journey.fault = fault
            return Response(504)

    def _page(self, request: Request, journey: Journey) -> Response:
        if journey.pages > MAX_LED:  # pages whose scripts lead on and on
            raise NotShown("http_error", f"The page led to another more than {MAX_LED} times.")
        primed = self.primed.pop(request.url, None) if request.method == "GET" else None
        if primed is not None:
            response = Response(primed[0], (("content-type", "text/html"),), primed[1].encode())
        else:
            response = ask(self.transport, request, journey.until - time.monotonic(), journey.limit)
        try:
            arrived = arrive(request.url, response, journey.hops, self.allow)
        except NotShown as reason:
            empty = journey.fail(reason)
            return Response(empty.status, tuple(item for item in response.headers if item[0] == "set-cookie"))
        headers = tuple(item for item in response.headers if item[0] not in _NOT_SENT)
        if arrived.following:
            journey.hops += 1
            status = response.status if 300 <= response.status < 400 else 303
            return Response(status, (*headers, ("location", arrived.following)))
        journey.pages += 1
        journey.status = response.status
        journey.styled = "stylesheet" in arrived.html
        self.kept[request.url] = (response.status, arrived.html)
        kind = ("content-type", "text/html; charset=utf-8")
        status = 400 if response.status in _ASKED_AGAIN else response.status
        return Response(status, (*headers, kind, _POLICY), arrived.html.encode("utf-8", "replace"))

    def close(self) -> None:
        """Stops the server, ends its connections and frees its port."""
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serves a connection in a thread."""
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection is over."""
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends the connections that are kept open, and with them their threads."""
        for connection in list(self.open):
            with contextlib.suppress(OSError):  # it is over already
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is Chromium's to report."""


class _Handler(BaseHTTPRequestHandler):
    owner: SiteServer
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True
    wbufsize = 65_536  # head and body in one packet

    def _serve(self) -> None:
        size = self.headers.get("content-length", "0")
        body = self.rfile.read(min(int(size), MAX_BODY)) if size.isdecimal() else b""
        names = self.owner.passed or [name.lower() for name in self.headers if name.lower() not in _HOP_BY_HOP]
        headers = tuple((name, self.headers[name]) for name in names if name in self.headers)
        # Chromium says that it can upgrade when it goes to a page, and never otherwise.
        document = "text/html" in self.headers.get("accept", "") and "upgrade-insecure-requests" in self.headers
        response = self.owner.answer(Request(self.command, self.path, headers, body, document))
        self.send_response_only(response.status)
        for name, value in response.headers:
            if _NAME.fullmatch(name) and len(value) <= MAX_HEADER and not {"\r", "\n", "\0"} & {*value}:
                self.send_header(name, value.encode("latin-1", "replace").decode("latin-1"))
        if response.status != 204:
            self.send_header("content-length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and response.status != 204:
            self.wfile.write(response.body)
        self.wfile.flush()

    def handle_one_request(self) -> None:
        """Serves one request; a browser that went away is no error."""
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def do_CONNECT(self) -> None:
        """Tunnels would lead out: there are none."""
        self.send_error(403)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""
