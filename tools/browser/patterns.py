"""The ``pattern`` of an input: JavaScript's regular expressions with its ``v`` flag, as far as Python has the same."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_PATTERN = 300
"""Characters of a pattern, and of a text, that are tried."""

_BLANK = r"\t\n\v\f\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_KEPT = re.compile(r"\\(?:[dDwWnrtfv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})")
_TOKEN = re.compile(
    r"(?P<escape>\\(?:u\{[0-9a-fA-F]{1,6}\}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|k<\w+>|.))"
    r"|(?P<group>\(\?(?:[:=!]|<[=!]|<[A-Za-z_$]\w*>)|\((?!\?))"
    r"|(?P<repeat>(?:[*+?]|\{\d+(?:,\d*)?\})\??(?![*+?{]))"
    r"|(?P<class>\[\^?(?:\\.|[^\]\\])*\])"
    r"|(?P<plain>[^\\()\[\]{}*+?])|(?P<close>\))",
    re.DOTALL,
)
_ITEM = re.compile(
    r"(?P<escape>\\(?:u\{[0-9a-fA-F]{1,6}\}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.))"
    r"|(?P<plain>[^()\[\]{}/|\\-])|(?P<range>-)",
    re.DOTALL,
)
_DOUBLED = re.compile(r"([&!#$%*+,.:;<=>?@^`~])\1")
_SYNTAX = "^$\\.*+?()[]{}|/"
_PUNCTUATION = _SYNTAX + "-&!#%,:;<=>@`~"


class _Unread(ValueError):
    """A pattern that JavaScript refuses, or that only JavaScript has."""


def fits(pattern: str, text: str) -> bool:
    """Whether a ``pattern`` matches the whole text. One that isn't valid constrains nothing, as in browsers; nor does
    one that can't be matched here in time."""
    if len(pattern) > MAX_PATTERN or len(text) > MAX_PATTERN:
        return True
    made = _made(pattern)
    return made is None or made.fullmatch(text) is not None


@lru_cache(maxsize=256)
def _made(pattern: str) -> re.Pattern[str] | None:
    try:
        made = re.compile("".join(_parts(pattern)), re.ASCII)
    except (_Unread, re.error, RecursionError, OverflowError):
        return None
    return made if _quick(pattern) else None


def _parts(pattern: str) -> list[str]:
    """The pattern as Python writes it. Raises _Unread."""
    found: list[str] = []
    place = 0
    while place < len(pattern):
        match = _TOKEN.match(pattern, place)
        if match is None:
            raise _Unread
        text, place = match[0], match.end()
        match match.lastgroup:
            case "escape":
                found.append(_escape(text))
            case "group":
                found.append(f"(?P{text[2:]}" if text.startswith("(?<") and text[3] not in "=!" else text)
            case "class":
                found.append(_class(text))
            case _:
                found.append({"$": r"\Z", "^": r"\A"}.get(text, text))
    return found


def _escape(text: str, within: bool = False) -> str:
    if _KEPT.fullmatch(text):
        return text
    kind = text[1]
    if kind == "u" and len(text) > 2:
        number = int(text[3:-1], 16)
        if number > 0x10FFFF:
            raise _Unread
        return re.escape(chr(number))
    if kind in "sS":
        if not within:
            return f"[{'^' if kind == 'S' else ''}{_BLANK}]"
        if kind == "s":
            return _BLANK
        return r"\S"
    if kind == "k" and len(text) > 2 and not within:
        return f"(?P={text[3:-1]})"
    if kind in "bB" and not within:
        return text
    if kind.isdecimal() and kind != "0" and not within:
        return text
    if kind in (_PUNCTUATION if within else _SYNTAX):
        return re.escape(kind)
    raise _Unread


def _class(text: str) -> str:
    """A class in brackets. Raises _Unread for what the ``v`` flag forbids there, a bare ``-`` at an edge among it."""
    negated = text.startswith("[^")
    inner = text[2 if negated else 1 : -1]
    found: list[str] = []
    place, open_range, ready = 0, False, False
    if _DOUBLED.search(re.sub(r"\\.", "a", inner)):
        raise _Unread
    while place < len(inner):
        match = _ITEM.match(inner, place)
        if match is None:
            raise _Unread
        place = match.end()
        if match["range"]:
            if not ready:
                raise _Unread
            found.append("-")
            open_range, ready = True, False
            continue
        several = bool(match["escape"]) and match[0][1] in "dDwWsS"
        if several and open_range:
            raise _Unread
        found.append(_escape(match[0], within=True) if match["escape"] else re.escape(match[0]))
        ready, open_range = not open_range and not several, False
    if open_range:
        raise _Unread
    if not found:
        return r"[\x00-\U0010ffff]" if negated else r"(?!)"
    return f"[{'^' if negated else ''}{''.join(found)}]"


_AHEAD = re.compile(r"\(\?<?[=!][^()]*\)")
_CLASS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?<=\()\?:|(?<!\))\{\d+\}")
_OPEN = re.compile(r"[*+]|\{\d*,\}|\{\d*,?\d{2,}\}")
_LOOP = re.compile(r"\([^()]*[*+?|{][^()]*\)[*+{]|\)[*+?]?\)[*+{]")


def _quick(pattern: str) -> bool:
    """Whether matching can't take exponential time: few open-ended repeats, and none within a repeated group."""
    bare = _CLASS.sub("x", pattern)
    ahead = _AHEAD.findall(bare)  # each is tried once a place, and never again
    if len(ahead) > 8 or any(len(_OPEN.findall(part)) > 2 for part in ahead):
        return False
    bare = _AHEAD.sub("", bare)
    return len(_OPEN.findall(bare)) <= 3 and _LOOP.search(bare) is None
