"""How requests reach an application: WSGI and ASGI in this process, by host, without a socket."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from agentgym.core.errors import Fault

MAX_BODY = 16_000_000
"""Bytes of a response that are taken."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What a browser asks."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""
    document: bool = True
    """For a page, rather than for a style sheet or an image of one."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a site answers. Header names are lower-case."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first header of that name, or an empty string."""
        return next((value for key, value in self.headers if key == name), "")


class SiteError(Exception):
    """A site did not answer. ``category`` is ``timeout`` or ``closed`` (its process died)."""

    def __init__(self, category: str, message: str) -> None:
        super().__init__(message)
        self.category = category
        self.message = message


class Transport(Protocol):
    """Answers requests."""

    def __call__(self, request: Request) -> Response:
        """The answer. Raises SiteError."""
        ...


WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Wsgi:
    """A WSGI application, called in the calling thread. An exception of it is a page with status 500."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, request: Request) -> Response:
        """See ``Transport``."""
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., Any]:
            started[:] = [int(status.split(" ", 1)[0]), headers]
            return written.append

        written: list[bytes] = []
        try:
            body = self._app(environ(request), start_response)
            try:
                size = 0
                for part in body:
                    written.append(part)
                    size += len(part)
                    if size > MAX_BODY:
                        break
            finally:
                close = getattr(body, "close", None)
                if close is not None:
                    close()
            if not started:
                raise RuntimeError("the application never called start_response")
            headers = tuple((str(name).lower(), str(value)) for name, value in started[1])
            return Response(started[0], headers, b"".join(written)[:MAX_BODY])
        except (Exception, SystemExit) as error:
            return broken(error)


def broken(error: BaseException) -> Response:
    """The page of a site that failed. It names the kind of failure, not the place, which differs by machine."""
    page = f"<title>Server error</title><h1>Server error</h1><p>The site failed: {type(error).__name__}.</p>"
    return Response(500, (("content-type", "text/html; charset=utf-8"),), page.encode())


def environ(request: Request) -> dict[str, Any]:
    """A request as WSGI has it (PEP 3333)."""
    parts = urlsplit(request.url)
    found: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(parts.path, "latin-1") or "/",
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "",
        "SERVER_PORT": str(parts.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": parts.netloc,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if request.body or request.method == "POST":
        found["CONTENT_LENGTH"] = str(len(request.body))
    for name, value in request.headers:
        key = name.upper().replace("-", "_")
        found[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return found


class Asgi:
    """An ASGI application, run to the end of each request on an event loop of its own."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()

    def __call__(self, request: Request) -> Response:
        """See ``Transport``."""
        try:
            return self._loop.run_until_complete(self._answer(request))
        except Exception as error:
            return broken(error)

    async def _answer(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": parts.scheme,
            "path": unquote(parts.path) or "/",
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(b"host", parts.netloc.encode())]
            + [(name.lower().encode(), value.encode("latin-1")) for name, value in request.headers],
            "client": ("127.0.0.1", 1),
            "server": (parts.hostname, parts.port or 80),
        }
        head: list[Any] = [500, ()]
        body = bytearray()
        inbox = [{"type": "http.request", "body": request.body, "more_body": False}]

        async def receive() -> Mapping[str, Any]:
            return inbox.pop(0) if inbox else {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                pairs = ((k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in message.get("headers", ()))
                head[:] = [int(message["status"]), tuple(pairs)]
            elif message["type"] == "http.response.body" and len(body) < MAX_BODY:
                body.extend(message.get("body", b""))

        await self._app(scope, receive, send)
        return Response(head[0], head[1], bytes(body[:MAX_BODY]))

    def close(self) -> None:
        """Ends the loop."""
        self._loop.close()


@dataclass(frozen=True, slots=True)
class Logged:
    """One request for a page, as goals read it."""

    method: str
    host: str
    path: str
    query: str
    form: tuple[tuple[str, str], ...]
    status: int


@dataclass
class Router:
    """Sends each request to the site of its host, and keeps a log of the requests for pages.

    Both backends send everything through one: the text backend calls it, Chromium's loopback server does.
    """

    sites: Mapping[str, Transport]
    log: list[Logged] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        """See ``Transport``."""
        from agentgym.tools.browser.urls import form_decoded

        parts = urlsplit(request.url)
        site = self.sites.get(parts.hostname or "")
        if site is None:
            return Response(404, (("content-type", "text/plain"),), b"No such site.")
        try:
            response = tidy(site(request))
        except (SiteError, Fault):
            raise
        except (Exception, SystemExit) as error:
            response = broken(error)
        if request.document:
            form: list[tuple[str, str]] = []
            kind = next((value for name, value in request.headers if name == "content-type"), "")
            if request.method == "POST" and kind.startswith("application/x-www-form-urlencoded"):
                form = form_decoded(request.body.decode("utf-8", "replace"))
            self.log.append(
                Logged(request.method, parts.hostname or "", parts.path, parts.query, tuple(form), response.status)
            )
        return response


def tidy(response: Response) -> Response:
    """A response whose cookies live as long as the session, and which no browser keeps.

    Sites live in a frozen time of their own; a browser would judge their expiry dates by another clock.
    """
    if not 200 <= response.status <= 599:
        return broken(ValueError(f"status {response.status}"))
    headers = [(name, value) for name, value in response.headers if name not in ("cache-control", "expires", "etag")]
    headers = [(name, _session_cookie(value) if name == "set-cookie" else value) for name, value in headers]
    return Response(response.status, (*headers, ("cache-control", "no-store")), response.body)


def _session_cookie(cookie: str) -> str:
    """A cookie without its expiry, unless it deletes, and without what needs a safe connection."""
    first, *attributes = (part.strip() for part in cookie.split(";"))
    told = {key.strip().lower(): value.strip() for key, _, value in (item.partition("=") for item in attributes)}
    try:
        deletes = int(told["max-age"]) <= 0
    except (KeyError, ValueError):
        expiry = parsedate(told.get("expires", "").strip('"'))
        deletes = expiry is not None and expiry[0] < 2000
    kept = [item for item in attributes if not item.lower().startswith(("max-age", "expires", "secure", "partitioned"))]
    kept = [item for item in kept if item.lower().replace(" ", "") != "samesite=none"]
    return "; ".join([first, *kept, *(["Max-Age=0"] if deletes else [])])
