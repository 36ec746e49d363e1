"""Applies unified diffs, as git writes them, without a program to help."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from agentgym.core.errors import DataError
from agentgym.tools.python_source import split_lines

Read = Callable[[str], bytes | None]
"""Path -> content, None where there is no such file."""

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


@dataclass
class FileDiff:
    """The part of a diff about one file."""

    old: str | None
    """Path before; None: a new file."""
    new: str | None
    """Path after; None: deleted."""
    hunks: list[tuple[int, list[str], list[str]]] = field(default_factory=list)
    """First line (from 1), lines before and lines after, line ends included."""
    copied: bool = False
    """Whether the file of the old path stays."""
    both: str = ""
    """Path in git's first line, for files that no other line names: empty ones."""


def parse(text: str) -> list[FileDiff]:
    """The files of a diff. Changes of binary files and of permissions alone are left out.

    Raises:
        DataError: It is no unified diff.
    """
    found: list[FileDiff] = []
    lines = deque(split_lines(text))
    while lines:
        line = lines.popleft()
        if line.startswith("diff --git "):
            found.append(FileDiff(None, None, both=_same_path(line)))
        elif found and not found[-1].hunks and _header(found[-1], line):
            continue
        elif line.startswith("--- "):
            if not found or found[-1].hunks:
                found.append(FileDiff(None, None))
            found[-1].old = _path(line)
        elif line.startswith("+++ "):
            if not found:
                raise DataError("A diff has '+++' before '---'.")
            found[-1].new = _path(line)
        elif (match := _HUNK.match(line)) is not None:
            if not found:
                raise DataError("A diff has a hunk before any file.")
            found[-1].hunks.append((int(match[1]), *_hunk(lines, int(match[2] or 1), int(match[4] or 1))))
    return [item for item in found if item.old or item.new]


def _header(item: FileDiff, line: str) -> bool:
    """Takes in one of git's lines between its first and the hunks; False: it is none."""
    word, _, rest = line.rstrip("\n").partition(" ")
    what, _, name = rest.partition(" ")
    if word in ("rename", "copy") and what in ("from", "to"):
        item.copied = word == "copy"
        if what == "from":
            item.old = _unquoted(name)
        else:
            item.new = _unquoted(name)
    elif rest.startswith("file mode ") and word in ("new", "deleted"):
        item.old, item.new = (None, item.both) if word == "new" else (item.both, None)
    elif line.startswith(("Binary files ", "GIT binary patch")):
        item.old = item.new = None
    else:
        return False
    return True


def _same_path(line: str) -> str:
    """The path in ``diff --git a/PATH b/PATH``, where both are the same."""
    names = line[11:].rstrip("\n")
    half = names[: len(names) // 2]
    return _unquoted(half)[2:] if _unquoted(half)[2:] == _unquoted(names[len(half) + 1 :])[2:] else ""


def _path(line: str) -> str | None:
    name = _unquoted(line[4:].rstrip("\n").split("\t", 1)[0])
    return None if name == "/dev/null" else name.partition("/")[2] if name[:2] in ("a/", "b/") else name


def _unquoted(name: str) -> str:
    """git puts names with odd letters between quotes and writes these as in C."""
    if len(name) < 2 or not (name[0] == name[-1] == '"'):
        return name

    def letter(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8) & 255]) if len(code) == 3 else _LETTERS.get(code, code)

    return _ESCAPE.sub(letter, name[1:-1].encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _hunk(lines: deque[str], old: int, new: int) -> tuple[list[str], list[str]]:
    before: list[str] = []
    after: list[str] = []
    last: tuple[list[str], ...] = ()
    while len(before) < old or len(after) < new or (lines and lines[0].startswith("\\")):
        if not lines:
            raise DataError("A diff ends in the middle of a hunk.")
        line = lines.popleft()
        kind, text = line[:1], line[1:]
        if kind == "\\":  # the line before has no end
            for side in last:
                side[-1] = side[-1].rstrip("\n")
            continue
        if kind == "\n":  # an empty line of context whose blank was stripped
            kind, text = " ", "\n"
        sides = {" ": (before, after), "-": (before,), "+": (after,)}.get(kind)
        if sides is None:
            raise DataError(f"A diff has a line that begins with {kind!r}.")
        for side in sides:
            side.append(text)
        last = sides
    return before, after


def apply(text: str, read: Read) -> dict[str, bytes | None]:
    """What a diff makes of files: path -> new content, None where it deletes one.

    Raises:
        DataError: It is no unified diff, or a hunk fits nowhere.
    """
    changed: dict[str, bytes | None] = {}
    gone: list[str] = []
    for item in parse(text):
        moved = item.old is not None and item.new is not None and item.old != item.new
        # Renames and copies are of files as they were before all of the diff.
        known = changed if not moved else {}
        source = (known[item.old] if item.old in known else read(item.old)) if item.old else None
        if item.old and source is None:
            raise DataError(f"The diff changes {item.old!r}, which does not exist.")
        content = split_lines((source or b"").decode("utf-8", "surrogateescape"))
        shift = 0
        for first, before, after in item.hunks:
            place = _find(content, before, first - 1 + shift if before else first + shift)
            if place is None:
                raise DataError(f"A hunk of {item.old or item.new!r} at line {first} fits nowhere.")
            content[place : place + len(before)] = after
            shift += len(after) - len(before)
        if item.old and item.old != item.new and not item.copied:
            gone.append(item.old)
        if item.new:
            changed[item.new] = "".join(content).encode("utf-8", "surrogateescape")
    return {**dict.fromkeys(gone), **changed}


def _find(content: list[str], before: list[str], expected: int) -> int | None:
    """Where the lines stand, nearest to where they should. Line ends are no difference."""
    wanted = [line.rstrip("\n") for line in before]
    starts = range(len(content) - len(before) + 1)
    for start in sorted(starts, key=lambda start: abs(start - expected)):
        if [line.rstrip("\n") for line in content[start : start + len(before)]] == wanted:
            return start
    return None
