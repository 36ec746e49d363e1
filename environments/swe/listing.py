"""What is in a sandbox's writable folders, kept up to date at little cost.

One command a look: names, permissions, links, sizes and times, and digests of the files whose time of change moved
since the last look. Nothing that runs inside can set that time. A shell command brings the look at its own end, where
nothing that it started still runs and could change files afterwards.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from agentgym.sandboxes import HOME, WORKSPACE, ExecResult, Sandbox
from agentgym.tools.shell import STATE_SCRATCH

_OUTPUT = 64 << 20
_SLACK_SECONDS = 2.0
_FIND = (  # programs by their full names: an agent can write to folders of its own PATH
    "/usr/bin/find", f"{WORKSPACE}/", "/tmp", HOME,
    "(", "-name", "__pycache__", "-o", "-name", ".pytest_cache", "-o", "-path", f"{HOME}/.env", ")", "-prune", "-o",
    "!", "-type", "d", "!", "-name", "*.pyc", "!", "-path", STATE_SCRATCH,
    "-printf", r"%y%m\0%l\0%s %T@ %C@\0%p\0", "-type", "f",
)  # fmt: skip
_DIGEST = ("-exec", "/usr/bin/sha256sum", "-z", "--", "{}", "+")
_DIGEST_LINE = re.compile(r"[0-9a-f]{64}  /")
_AND_LOOK = r"""
processes() { set -- /proc/[0-9]*; count=$#; }
marker=$1 looks=$2
shift 2
exec 3>&2 2>/dev/null  # what this shell has to say about a killed command is none of the command's output
processes; before=$count
"${@:looks+1}" 2>&3 3>&-
code=$?
processes
[ "$count" = "$before" ] && printf '\0%s\0' "$marker" && "${@:1:looks}"
exit "$code"
"""
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
        limits = replace(sandbox.spec.limits, output=_OUTPUT)
        return self._take(sandbox, sandbox.exec(self._command(), limits=limits).stdout)

    def run(self, sandbox: Sandbox, argv: Sequence[str], timeout: float | None) -> ExecResult:
        """Runs a command and looks afterwards; ``files`` are those after it."""
        marker, looks = secrets.token_hex(16), self._command()
        line = ["/bin/bash", "-c", _AND_LOOK, "bash", marker, str(len(looks)), *looks, *argv]
        result = sandbox.exec(line, timeout=timeout)
        output, found, listed = result.stdout.rpartition(f"\0{marker}\0".encode())
        if found and not result.truncated and not result.timed_out:
            self._take(sandbox, listed)
        else:
            self.look(sandbox)
        return replace(result, stdout=output) if found else result

    def _command(self) -> list[str]:
        return [*_FIND, "-newerct", f"@{max(self._newest - _SLACK_SECONDS, 0.0):.6f}", *_DIGEST]

    def _take(self, sandbox: Sandbox, output: bytes) -> dict[str, str]:
        # Digests come in between, where a batch of files was full, and at the end.
        lines = os.fsdecode(output).split("\0")[:-1]
        fields = iter([line for line in lines if not _DIGEST_LINE.match(line)])
        digests = _read(line for line in lines if _DIGEST_LINE.match(line))
        found: dict[str, _Seen] = {}
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
        result = sandbox.exec(["/usr/bin/xargs", "-0", "/usr/bin/sha256sum", "-z", "--"], stdin=stdin, limits=limits)
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


class Watched:
    """What a ``Shell`` needs of a sandbox, with a look after each command."""

    def __init__(self, sandbox: Sandbox, listing: Listing) -> None:
        self._sandbox = sandbox
        self._listing = listing
        self.absolute, self.spec = sandbox.absolute, sandbox.spec

    def exec(self, argv: Sequence[str], *, timeout: float | None = None, limits: None = None) -> ExecResult:
        """See ``Sandbox.exec``."""
        return self._listing.run(self._sandbox, argv, timeout)
