"""What is in a sandbox's writable folders, kept up to date at little cost.

One command a look: names, permissions, links, sizes and times, and digests of the files whose time of change moved
since the last look. Nothing that runs inside can set that time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace

from agentgym.sandboxes import HOME, WORKSPACE, Sandbox
from agentgym.tools.shell import STATE_SCRATCH

_OUTPUT = 64 << 20
_SLACK_SECONDS = 2.0
_FILES = (
    f"find {WORKSPACE}/ /tmp {HOME} '(' -name __pycache__ -o -name .pytest_cache -o -path {HOME}/.env ')' -prune -o "
    f"! -type d ! -name '*.pyc' ! -path {STATE_SCRATCH}"
)
_LOOK = (
    rf"{_FILES} -printf '%y%m\0%l\0%s %T@ %C@\0%p\0'; printf '=\0'; "
    f'{_FILES} -type f -newerct "@$1" -exec sha256sum -z -- {{}} +'
)
_Seen = tuple[str, str, str]
"""Times and size, kind and permissions, digest or target of a link."""


class Listing:
    """Files of one sandbox: path -> kind, permissions, and digest or target of a link. Times are not part of it."""

    def __init__(self, other: Listing | None = None) -> None:
        self._seen: Mapping[str, _Seen] = other._seen if other is not None else {}
        self._newest: float = other._newest if other is not None else 0.0

    @property
    def files(self) -> dict[str, str]:
        """The files as they were at the last look."""
        return {path: f"{kind} {content}" for path, (_, kind, content) in self._seen.items()}

    def look(self, sandbox: Sandbox) -> dict[str, str]:
        """The files as they are now."""
        since = f"{max(self._newest - _SLACK_SECONDS, 0.0):.6f}"
        limits = replace(sandbox.spec.limits, output=_OUTPUT)
        output = sandbox.exec(["/bin/sh", "-c", _LOOK, "sh", since], limits=limits).stdout
        listed, _, hashed = os.fsdecode(output).partition("\0=\0")
        digests = _read(hashed)
        found: dict[str, _Seen] = {}
        fields = iter(listed.removesuffix("\0").split("\0") if listed.strip("\0=") else ())
        for kind, target, stamp, path in zip(fields, fields, fields, fields, strict=False):
            before = self._seen.get(path)
            if not kind.startswith("f"):
                found[path] = (stamp, kind, target)
            elif path in digests:
                found[path] = (stamp, kind, digests[path])
            else:
                found[path] = (stamp, kind, before[2] if before is not None and before[0] == stamp else "")
            self._newest = max(self._newest, float(stamp.rpartition(" ")[2]))
        self._fill(sandbox, found)
        self._seen = found
        return self.files

    def _fill(self, sandbox: Sandbox, found: dict[str, _Seen]) -> None:
        """Reads what the command passed over, which takes a clock that was set back."""
        missing = [path for path, (_, kind, digest) in found.items() if kind.startswith("f") and not digest]
        if not missing:
            return
        limits = replace(sandbox.spec.limits, output=_OUTPUT)
        stdin = b"".join(os.fsencode(path) + b"\0" for path in missing)
        result = sandbox.exec(["xargs", "-0", "sha256sum", "-z", "--"], stdin=stdin, limits=limits)
        for path, digest in _read(os.fsdecode(result.stdout)).items():
            stamp, kind, _ = found[path]
            found[path] = (stamp, kind, digest)


def _read(output: str) -> dict[str, str]:
    """Path -> digest, from what ``sha256sum -z`` prints."""
    lines = (line.split("  ", 1) for line in output.split("\0") if line)
    return {path: digest for digest, path in lines}


def noted(content: bytes, before: str | None) -> str:
    """The entry of a file that was just written."""
    kind = before.partition(" ")[0] if before else "f644"
    return f"{kind} {hashlib.sha256(content).hexdigest()}"
