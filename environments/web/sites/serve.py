"""Serves one site to a person's browser on this machine."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from agentgym.environments.web.sites.site import Site
from agentgym.tools.browser.transport import MAX_BODY, Request

_PASSED = ("cookie", "content-type", "referer", "user-agent", "accept-language")


def serve_site(site: Site, port: int, ready: Callable[[int], None]) -> None:
    """Serves until interrupted. ``ready`` is called with the port once requests are taken."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            size = self.headers.get("content-length", "0")
            body = self.rfile.read(min(int(size), MAX_BODY)) if size.isdecimal() else b""
            headers = tuple((name, self.headers[name]) for name in _PASSED if name in self.headers)
            response = site(Request(self.command, f"http://{site.host}{self.path}", headers, body))
            self.send_response(response.status)
            for name, value in response.headers:
                self.send_header(name, value.replace(f"http://{site.host}", ""))
            self.send_header("content-length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_GET = do_POST = _serve

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        ready(server.server_address[1])
        server.serve_forever()
