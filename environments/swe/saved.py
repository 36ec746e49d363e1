"""A saved episode: its state, and its sandbox frozen at that moment."""

from __future__ import annotations

import weakref
from typing import Any

from agentgym.sandboxes import Sandbox

FOLDERS = ("workspace", "tmp", "home/agent")
_PACK = 'tar -c --sort=name -C / -f - "$@"'
_CLEAR = 'cd / && find "$@" -mindepth 1 -delete'
_UNPACK = "tar -x -p --no-same-owner -C / -f -"


class SavedEpisode:
    """What ``Game.save`` gives. In this process it holds a fork; pickled, it carries the files themselves.

    Args:
        state: The pickled state.
        sandbox: A sandbox of its own, which nothing changes any more.
        folders: What is saved of it, seen from its root.
    """

    def __init__(self, state: bytes, sandbox: Sandbox, folders: tuple[str, ...] = FOLDERS) -> None:
        self.state = state
        self._folders = folders
        self._sandbox: Sandbox | None = sandbox
        self._archive = b""
        self._finalizer = weakref.finalize(self, sandbox.close)

    def fork(self) -> Sandbox | None:
        """A sandbox with the saved files; None where only ``fill`` can make one."""
        return self._sandbox.fork() if self._sandbox is not None and not self._sandbox.closed else None

    def fill(self, sandbox: Sandbox) -> None:
        """Makes the files of a sandbox the saved ones."""
        for script, stdin in ((_CLEAR, b""), (_UNPACK, self._archive)):
            result = sandbox.exec(["/bin/sh", "-c", script, "sh", *self._folders], stdin=stdin)
            if not result.ok:
                raise OSError(f"The saved files could not be put back: {result.error_text[:300]}")

    def close(self) -> None:
        """Frees the frozen sandbox. The episode can't be restored from it any more."""
        self._finalizer()

    def __getstate__(self) -> dict[str, Any]:
        archive = self._archive
        if self._sandbox is not None:
            limits = self._sandbox.spec.limits
            wide = type(limits)(
                wall=60.0, memory=limits.memory, processes=limits.processes, disk=limits.disk, output=limits.disk * 2
            )
            archive = self._sandbox.exec(["/bin/sh", "-c", _PACK, "sh", *self._folders], limits=wide).stdout
        return {"state": self.state, "archive": archive, "folders": self._folders}

    def __setstate__(self, values: dict[str, Any]) -> None:
        self.state, self._archive, self._folders = values["state"], values["archive"], values["folders"]
        self._sandbox = None
        self._finalizer = weakref.finalize(self, int)
