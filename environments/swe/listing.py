"""What is in a sandbox's writable folders, kept up to date at little cost.

One command a look: names, permissions, links, sizes and times. Only files whose time of change moved since the last
look are read; nothing that runs inside can set that time.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

from agentgym.sandboxes import HOME, WORKSPACE, Sandbox
from agentgym.tools.shell import STATE_SCRATCH

_OUTPUT = 64 << 20
_FIND = (
    "find", f"{WORKSPACE}/", "/tmp", HOME,
    "(", "-name", "__pycache__", "-o", "-name", ".pytest_cache", "-o", "-path", f"{HOME}/.env", ")", "-prune", "-o",
    "!", "-type", "d", "!", "-name", "*.pyc", "!", "-path", STATE_SCRATCH,
    "-printf", r"%y%m\0%l\0%s %T@ %C@\0%p\0",
)  # fmt: skip


class Listing:
    """Files of one sandbox: path -> kind, permissions, and digest or target of a link. Times are not part of it."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, str, str]] = {}

    def look(self, sandbox: Sandbox) -> dict[str, str]:
        """The files as they are now."""
        limits = replace(sandbox.spec.limits, output=_OUTPUT)
        items = iter(os.fsdecode(sandbox.exec(list(_FIND), limits=limits).stdout).split("\0"))
        found: dict[str, tuple[str, str, str]] = {}
        unread: list[str] = []
        for kind, target, stamp, path in zip(items, items, items, items, strict=False):
            before = self._seen.get(path)
            if not kind.startswith("f"):
                found[path] = (stamp, kind, target)
            elif before is not None and before[0] == stamp:
                found[path] = (stamp, kind, before[2])
            else:
                found[path] = (stamp, kind, "")
                unread.append(path)
        for path, digest in _digests(sandbox, unread).items():
            stamp, kind, _ = found[path]
            found[path] = (stamp, kind, digest)
        self._seen = found
        return {path: f"{kind} {content}" for path, (_, kind, content) in found.items()}


def _digests(sandbox: Sandbox, paths: list[str]) -> dict[str, str]:
    if not paths:
        return {}
    stdin = b"".join(os.fsencode(path) + b"\0" for path in paths)
    limits = replace(sandbox.spec.limits, output=_OUTPUT)
    result = sandbox.exec(["xargs", "-0", "sha256sum", "-z", "--"], stdin=stdin, limits=limits)
    lines = (os.fsdecode(line).split("  ", 1) for line in result.stdout.split(b"\0") if line)
    return {path: digest for digest, path in lines}


def noted(content: bytes, before: str | None) -> str:
    """The entry of a file that was just written."""
    kind = before.partition(" ")[0] if before else "f644"
    return f"{kind} {hashlib.sha256(content).hexdigest()}"
