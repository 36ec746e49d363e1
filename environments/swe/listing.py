"""What is in a sandbox's writable folders, kept up to date at little cost.

One command a look: names, permissions, links, sizes and times, and digests of the files whose time of change moved
since the last look. Nothing that runs inside can set that time.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from agentgym.sandboxes import HOME, WORKSPACE, Sandbox
from agentgym.tools.shell import STATE_SCRATCH

_OUTPUT = 64 << 20
_SLACK_SECONDS = 2.0
_FIND = (
    "find", f"{WORKSPACE}/", "/tmp", HOME,
    "(", "-name", "__pycache__", "-o", "-name", ".pytest_cache", "-o", "-path", f"{HOME}/.env", ")", "-prune", "-o",
    "!", "-type", "d", "!", "-name", "*.pyc", "!", "-path", STATE_SCRATCH,
    "-printf", r"%y%m\0%l\0%s %T@ %C@\0%p\0", "-type", "f",
)  # fmt: skip
_DIGEST = ("-exec", "sha256sum", "-z", "--", "{}", "+")
_DIGEST_LINE = re.compile(r"[0-9a-f]{64}  /")
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
        since = f"@{max(self._newest - _SLACK_SECONDS, 0.0):.6f}"
        limits = replace(sandbox.spec.limits, output=_OUTPUT)
        output = os.fsdecode(sandbox.exec([*_FIND, "-newerct", since, *_DIGEST], limits=limits).stdout)
        # Digests come in between, where a batch of files was full, and at the end.
        fields = [field for field in output.split("\0")[:-1] if not _DIGEST_LINE.match(field)]
        digests = _read(field for field in output.split("\0") if _DIGEST_LINE.match(field))
        found: dict[str, _Seen] = {}
        each = iter(fields)
        for kind, target, stamp, path in zip(each, each, each, each, strict=False):
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
        for path, digest in _read(os.fsdecode(result.stdout).split("\0")).items():
            stamp, kind, _ = found[path]
            found[path] = (stamp, kind, digest)


def _read(lines: Iterable[str]) -> dict[str, str]:
    """Path -> digest, from what ``sha256sum -z`` prints."""
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines if line)}


def noted(content: bytes, before: str | None) -> str:
    """The entry of a file that was just written."""
    kind = before.partition(" ")[0] if before else "f644"
    return f"{kind} {hashlib.sha256(content).hexdigest()}"
