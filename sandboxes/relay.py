"""Lets a sandbox reach the TCP endpoints that its task names, and no others.

The sandbox has a network of its own in which each endpoint's address listens. This process holds those sockets, and
passes what comes in on to the real endpoint, whose name it looks up itself.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading

_CHUNK = 1 << 16
_CONNECT_SECONDS = 10.0


def addresses(endpoints: tuple[str, ...]) -> tuple[list[tuple[str, int]], str]:
    """Where each ``host:port`` listens inside, and the lines of ``/etc/hosts`` that lead names there."""
    places: list[tuple[str, int]] = []
    names: dict[str, str] = {}
    for endpoint in endpoints:
        host, _, port = endpoint.rpartition(":")
        if host == "localhost":
            address = "127.0.0.1"
        elif _is_address(host):
            address = host
        else:
            address = names.setdefault(host, f"127.0.1.{len(names) + 1}")
        places.append((address, int(port)))
    return places, "".join(f"{address} {name}\n" for name, address in names.items())


def _is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return isinstance(ipaddress.ip_address(host), ipaddress.IPv4Address)
    return False


class Relay:
    """Forwards connections of listening sockets to endpoints until it is closed."""

    def __init__(self, listeners: list[socket.socket], endpoints: tuple[str, ...]) -> None:
        self._listeners = listeners
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        for listener, endpoint in zip(listeners, endpoints, strict=True):
            host, _, port = endpoint.rpartition(":")
            threading.Thread(target=self._serve, args=(listener, (host, int(port))), daemon=True).start()

    def _serve(self, listener: socket.socket, target: tuple[str, int]) -> None:
        while True:
            try:
                inner, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(inner, target), daemon=True).start()

    def _connect(self, inner: socket.socket, target: tuple[str, int]) -> None:
        with inner:
            try:
                outer = socket.create_connection(target, _CONNECT_SECONDS)
            except OSError:
                return
            with outer:
                outer.settimeout(None)
                with self._lock:
                    self._open |= {inner, outer}
                back = threading.Thread(target=_copy, args=(outer, inner), daemon=True)
                back.start()
                _copy(inner, outer)
                back.join()
                with self._lock:
                    self._open -= {inner, outer}

    def close(self) -> None:
        """Ends all connections and listens no more."""
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
