"""Applies unified diffs, as git writes them, without a program to help."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from agentgym.core.errors import DataError

Read = Callable[[str], bytes | None]
"""Path -> content, None where there is no such file."""

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass
class FileDiff:
    """The part of a diff about one file."""

    old: str | None
    """Path before; None: a new file."""
    new: str | None
    """Path after; None: deleted."""
    hunks: list[tuple[int, list[str], list[str]]] = field(default_factory=list)
    """First line (from 1), lines before and lines after, line ends included."""


def parse(text: str) -> list[FileDiff]:
    """The files of a diff.

    Raises:
        DataError: It is no unified diff.
    """
    found: list[FileDiff] = []
    lines = iter(text.splitlines(keepends=True))
    for line in lines:
        if line.startswith("diff --git "):
            found.append(FileDiff(None, None))
        elif line.startswith("rename from "):
            found[-1].old = line[12:].rstrip("\n")
        elif line.startswith("rename to "):
            found[-1].new = line[10:].rstrip("\n")
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


def _path(line: str) -> str | None:
    name = line[4:].rstrip("\n").split("\t", 1)[0]
    return None if name == "/dev/null" else name.partition("/")[2] if name[:2] in ("a/", "b/") else name


def _hunk(lines: Iterator[str], old: int, new: int) -> tuple[list[str], list[str]]:
    before: list[str] = []
    after: list[str] = []
    while len(before) < old or len(after) < new:
        line = next(lines, None)
        if line is None:
            raise DataError("A diff ends in the middle of a hunk.")
        kind, text = line[:1], line[1:]
        if line.startswith("\\"):
            continue
        if kind == "\n":  # an empty line of context whose blank was stripped
            kind, text = " ", "\n"
        if kind in " -":
            before.append(text)
        if kind in " +":
            after.append(text)
        if kind not in " -+":
            raise DataError(f"A diff has a line that begins with {kind!r}.")
    return before, after


def apply(text: str, read: Read) -> dict[str, bytes | None]:
    """What a diff makes of files: path -> new content, None where it deletes one.

    Raises:
        DataError: It is no unified diff, or a hunk fits nowhere.
    """
    changed: dict[str, bytes | None] = {}
    for item in parse(text):
        source = (changed[item.old] if item.old in changed else read(item.old)) if item.old else None
        if item.old and source is None:
            raise DataError(f"The diff changes {item.old!r}, which does not exist.")
        content = (source or b"").decode("utf-8", "surrogateescape").splitlines(keepends=True)
        shift = 0
        for first, before, after in item.hunks:
            place = _find(content, before, first - 1 + shift if before else first + shift)
            if place is None:
                raise DataError(f"A hunk of {item.old or item.new!r} at line {first} fits nowhere.")
            content[place : place + len(before)] = after
            shift += len(after) - len(before)
        if item.old and item.old != item.new:
            changed[item.old] = None
        if item.new:
            changed[item.new] = "".join(content).encode("utf-8", "surrogateescape")
    return changed


def _find(content: list[str], before: list[str], expected: int) -> int | None:
    """Where the lines stand, nearest to where they should. Line ends are no difference."""
    wanted = [line.rstrip("\n") for line in before]
    starts = range(len(content) - len(before) + 1)
    for start in sorted(starts, key=lambda start: abs(start - expected)):
        if [line.rstrip("\n") for line in content[start : start + len(before)]] == wanted:
            return start
    return None
