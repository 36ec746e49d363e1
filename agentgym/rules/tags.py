"""Finding tagged blocks in model output, in time linear in its length whatever was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Block(NamedTuple):
    """One ``<tag>content</tag>``. ``start`` and ``end`` are character offsets of the whole block."""

    tag: str
    content: str
    start: int
    end: int


def blocks(text: str, tags: str | Sequence[str], *, multiline: bool = True) -> list[Block]:
    """Blocks of any of ``tags`` from left to right, not overlapping.

    A block runs from an opening tag to the next closing tag of the same name, whatever stands between them. An opening
    tag that is never closed is passed over. Same result as ``re.finditer(r"<(a|b)>(.*?)</\\1>", text, re.DOTALL)``, but
    a text of nothing but opening tags can't make it slow.

    Args:
        text: Model output.
        tags: One tag name or several, without angle brackets.
        multiline: False: a block may not contain a line feed (a regular expression without ``re.DOTALL``).
    """
    names = (tags,) if isinstance(tags, str) else tuple(tags)
    finders = [_Finder(text, name, multiline) for name in names]
    found: list[Block] = []
    position = 0
    while True:
        candidates = [block for finder in finders if (block := finder.next(position)) is not None]
        if not candidates:
            return found
        first = min(candidates, key=lambda block: block.start)
        found.append(first)
        position = first.end


class _Finder:
    """The next block of one tag at or after a position that never goes back."""

    def __init__(self, text: str, tag: str, multiline: bool) -> None:
        self.text, self.tag, self.multiline = text, tag, multiline
        self.opening, self.closing = f"<{tag}>", f"</{tag}>"
        self._cached: Block | None = None
        self._close = -1
        self._exhausted = False

    def next(self, position: int) -> Block | None:
        if self._cached is not None and self._cached.start >= position:
            return self._cached
        self._cached = None if self._exhausted else self._search(position)
        self._exhausted = self._cached is None
        return self._cached

    def _search(self, position: int) -> Block | None:
        start = self.text.find(self.opening, position)
        while start >= 0:
            inside = start + len(self.opening)
            if self._close < inside:
                self._close = self.text.find(self.closing, inside)
            if self._close < 0:
                return None
            line_end = -1 if self.multiline else self.text.find("\n", inside, self._close)
            if line_end < 0:
                return Block(self.tag, self.text[inside : self._close], start, self._close + len(self.closing))
            start = self.text.find(self.opening, line_end + 1)
        return None


def last_answer(text: str, tag: str = "answer") -> str | None:
    """Content of the last ``<answer>`` block, stripped; None without one."""
    found = blocks(text, tag)
    return found[-1].content.strip() if found else None


def first_answer(text: str, tag: str = "answer") -> str | None:
    """Content of the first ``<answer>`` block, stripped; None without one."""
    opening, closing = f"<{tag}>", f"</{tag}>"
    start = text.find(opening)
    end = text.find(closing, start + len(opening)) if start >= 0 else -1
    return text[start + len(opening) : end].strip() if end >= 0 else None


def balanced(text: str, tags: Sequence[str]) -> bool:
    """Whether every tag opens as often as it closes, and every opening is followed by a closing.

    Nesting of one tag in itself passes, as in the IGPO release that this check is from.
    """
    for tag in tags:
        opening, closing = f"<{tag}>", f"</{tag}>"
        if text.count(opening) != text.count(closing):
            return False
        position = text.find(opening)
        while position >= 0:
            end = text.find(closing, position)
            if end < 0:
                return False
            position = text.find(opening, end + 1)
    return True
