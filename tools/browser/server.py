"""The loopback server through which a Chromium context reaches the sites of one environment, and nothing else.

It is an HTTP proxy: host names keep their meaning, every request of the context comes here whatever its address, and
what isn't a site of the environment is refused. A response that a text browser wouldn't show (a download, a redirect to
another place, a site that doesn't answer) becomes 204, which leaves Chromium where it is, and a note of the reason.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agentgym.tools.browser.pages import NotShown, page_html, redirect
from agentgym.tools.browser.transport import MAX_BODY, Request, Response, SiteError, Transport
from agentgym.tools.browser.urls import AllowList

_NOT_SENT = ("content-length", "content-encoding", "transfer-encoding", "connection", "content-type", "location",
             "content-disposition", "refresh")  # fmt: skip
_HOP_BY_HOP = ("connection", "host", "content-length", "keep-alive", "proxy-connection", "te", "transfer-encoding",
               "upgrade", "accept-encoding", "if-none-match", "if-modified-since")  # fmt: skip
_EMPTY = Response(204)


@dataclass
class Journey:
    """What happened on the way to a page since ``begin``."""

    hops: int = 0
    failure: NotShown | None = None
    pages: int = 0
    """Responses that are shown."""
    status: int = 200


PASSED = ("cookie", "content-type", "referer", "origin", "user-agent", "accept-language")
"""Headers that sites get."""


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
        self.journey = Journey()
        self.primed: dict[str, tuple[int, str]] = {}
        """Pages to give once, in place of the site's: address -> status and HTML. For restored snapshots."""
        self.kept: dict[str, tuple[int, str]] = {}
        """The page given last for each address."""
        self._lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            owner = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True, name="site server"
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def begin(self) -> None:
        """A new navigation begins."""
        self.journey = Journey()

    def answer(self, request: Request) -> Response:
        """The response that Chromium gets."""
        if self.allow.problem(request.url):
            return Response(403)
        if not request.document:
            try:
                return self.transport(request)
            except SiteError:
                return Response(504)
        journey = self.journey
        try:
            return self._page(request, journey)
        except NotShown as reason:
            journey.failure = reason
        except SiteError as error:
            journey.failure = NotShown(error.category, error.message)
        return _EMPTY

    def _page(self, request: Request, journey: Journey) -> Response:
        primed = self.primed.pop(request.url, None) if request.method == "GET" else None
        if primed is not None:
            response = Response(primed[0], (("content-type", "text/html"),), primed[1].encode())
        else:
            response = self.transport(request)
        following = redirect(request.url, response, journey.hops, self.allow)
        headers = tuple(item for item in response.headers if item[0] not in _NOT_SENT)
        if following is not None:
            journey.hops += 1
            return Response(response.status, (*headers, ("location", following)))
        html = page_html(response)
        journey.pages += 1
        journey.status = response.status
        self.kept[request.url] = (response.status, html)
        kind = ("content-type", "text/html; charset=utf-8")
        return Response(response.status, (*headers, kind), html.encode("utf-8", "replace"))

    def close(self) -> None:
        """Stops the server and frees its port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    owner: SiteServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def _serve(self) -> None:
        size = self.headers.get("content-length", "0")
        body = self.rfile.read(min(int(size), MAX_BODY)) if size.isdecimal() else b""
        names = self.owner.passed or [name.lower() for name in self.headers if name.lower() not in _HOP_BY_HOP]
        headers = tuple((name, self.headers[name]) for name in names if name in self.headers)
        document = "text/html" in self.headers.get("accept", "")
        response = self.owner.answer(Request(self.command, self.path, headers, body, document))
        self.send_response_only(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("content-length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and response.status != 204:
            self.wfile.write(response.body)

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
