"""Containers started in advance, since starting one takes half a second. Each is used once."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

from agentgym.sandboxes.protocol import SandboxSpec

_log = logging.getLogger(__name__)
_pools: dict[SandboxSpec, WarmPool] = {}
_lock = threading.Lock()


class WarmPool:
    """Keeps ``count`` containers of one specification started until it is closed. Also a context manager."""

    def __init__(
        self, spec: SandboxSpec, count: int, start: Callable[[], str], remove: Callable[[str], object]
    ) -> None:
        self._key = _key(spec)
        self._count = count
        self._start, self._remove = start, remove
        self._ready: list[str] = []
        self._changed = threading.Condition()
        self._open = True
        with _lock:
            replaced, _pools[self._key] = _pools.get(self._key), self
        if replaced is not None:
            replaced.close()
        self._filler = threading.Thread(target=self._fill, name="agentgym-warm-containers", daemon=True)
        self._filler.start()

    @property
    def ready(self) -> int:
        """How many containers wait."""
        return len(self._ready)

    def wait(self, timeout: float = 60.0) -> bool:
        """Waits until all are started. False: they were not within ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._ready) >= self._count or not self._open, timeout)

    def _fill(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: len(self._ready) < self._count or not self._open)
                if not self._open:
                    return
            try:
                container = self._start()
            except Exception as error:  # whoever opens the next sandbox gets it as an error of its own
                _log.warning("no container could be started in advance: %s", error)
                return
            with self._changed:
                if self._open:
                    self._ready.append(container)
                    container = ""
                self._changed.notify_all()
            if container:
                self._remove(container)

    def _take(self) -> str | None:
        with self._changed:
            container = self._ready.pop(0) if self._ready else None
            self._changed.notify_all()
            return container

    def close(self) -> None:
        """Removes the containers that nobody took."""
        with _lock:
            if _pools.get(self._key) is self:
                del _pools[self._key]
        with self._changed:
            self._open = False
            left, self._ready = self._ready, []
            self._changed.notify_all()
        self._filler.join()
        for container in left:
            with contextlib.suppress(Exception):  # the daemon may be gone
                self._remove(container)

    def __enter__(self) -> WarmPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def take(spec: SandboxSpec) -> str | None:
    """A container of that specification that was started in advance, if there is one."""
    with _lock:
        pool = _pools.get(_key(spec))
    return pool._take() if pool is not None else None


def _key(spec: SandboxSpec) -> SandboxSpec:
    return replace(spec, env=())  # variables belong to commands


def _forget_after_fork() -> None:
    """The containers are the parent's."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


def _close_all() -> None:
    for pool in list(_pools.values()):
        pool.close()


os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(_close_all)
