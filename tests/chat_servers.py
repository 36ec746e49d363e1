"""A real HTTP server that misbehaves on command."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def chat(content="hello", **choice):
    """A well-formed answer of a chat server."""
    usage = {"prompt_tokens": 100, "completion_tokens": 20}
    row = {"message": {"role": "assistant", "content": content}, "finish_reason": "stop", **choice}
    return {"choices": [row], "usage": usage}


class Server:
    """Answers requests with what ``script`` holds, in order; its last entry again and again.

    An entry is a body (JSON), or a dictionary with ``status``, ``headers``, ``body``, ``raw`` (bytes), ``delay``
    (seconds), ``cut`` (announce more than is sent, then hang up), ``hang_up`` (say nothing), or a function of the
    request's body and headers that returns one.
    """

    def __init__(self, *script):
        self.script, self.requests, self.headers = list(script), [], []
        self.in_flight = self.most_in_flight = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.answer(self)

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = self.root + "/v1"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler):
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        with self._lock:
            request = json.loads(body) if body else None
            entry = self.script[min(len(self.requests), len(self.script) - 1)]
            self.requests.append(request)
            self.headers.append(dict(handler.headers))
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            entry = entry(request, {**handler.headers, "path": handler.path}) if callable(entry) else entry
            with contextlib.suppress(ConnectionError):
                self._send(handler, entry)
        finally:
            with self._lock:
                self.in_flight -= 1

    @staticmethod
    def _send(handler, entry):
        plain = not (set(entry) & {"status", "raw", "delay", "cut", "hang_up"})
        body = entry if plain else entry.get("body", {})
        raw = entry.get("raw") if not plain and "raw" in entry else json.dumps(body).encode()
        time.sleep(0 if plain else entry.get("delay", 0))
        if not plain and entry.get("hang_up"):
            handler.close_connection = True
            return
        handler.send_response(200 if plain else entry.get("status", 200))
        for name, value in ({} if plain else entry.get("headers", {})).items():
            handler.send_header(name, value)
        cut = not plain and entry.get("cut")
        handler.send_header("content-length", str(len(raw) + (100 if cut else 0)))
        handler.end_headers()
        handler.wfile.write(raw)
        if cut:
            handler.wfile.flush()
            handler.close_connection = True
