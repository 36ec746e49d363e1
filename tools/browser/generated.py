"""Generated content (CSS Content 3, CSS Lists 3): attributes, counters, quotes and alternative texts.

Most ``content`` is a plain string and never comes here. The rest is worked out once a page is read, since counters and
quotes depend on everything before them. Chromium's accessibility tree leaves counters out of names and takes an
alternative text for the text; a reader of the page sees it the other way round. So there are two texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import tinycss2

if TYPE_CHECKING:
    from agentgym.tools.browser.element import Element

Piece = str | tuple[Any, ...]
Content = str | tuple[Piece, ...]
"""Plain text; or texts, ``(attr, name)``, ``(counter, name, style)``, ``(counters, name, separator, style)``,
``(open-quote,)`` and the like, ``(var, name, fallback)``, and ``(/,)`` before an alternative text."""

PROPERTIES = ("counter-reset", "counter-increment", "counter-set", "quotes")
_QUOTES = ("“", "”", "‘", "’")
_WORDS = ("open-quote", "close-quote", "no-open-quote", "no-close-quote")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_DEEP = 5
"""Custom properties that may be made of each other."""
_MANY = 1_000
"""Numbers beyond it are written in digits, and no more than that many counters are nested."""


def content(tokens: Sequence[Any]) -> Content:
    """What a ``content`` value stands for. Images give nothing."""
    pieces: list[Piece] = []
    for token in tokens:
        if token.type == "string":
            pieces.append(token.value)
        elif token.type == "literal" and token.value == "/":
            pieces.append(("/",))
        elif token.type == "ident" and token.lower_value in _WORDS:
            pieces.append((token.lower_value,))
        elif token.type == "function" and token.lower_name == "var":
            names = [part.value for part in token.arguments if part.type == "ident"]
            comma = next((i for i, part in enumerate(token.arguments) if part == ","), None)
            pieces.append(
                ("var", names[0] if names else "", None if comma is None else content(token.arguments[comma + 1 :]))
            )
        elif token.type == "function" and token.lower_name in ("attr", "counter", "counters"):
            inner = [part.value for part in token.arguments if part.type in ("ident", "string")]
            if inner:
                pieces.append((token.lower_name, *inner))
    return "".join(map(str, pieces)) if all(isinstance(piece, str) for piece in pieces) else tuple(pieces)


def custom(name: str, tokens: Sequence[Any]) -> bool:
    """Whether a property is one of the page's own that may be meant for ``content``."""
    return name.startswith("--") and any(token.type == "string" for token in tokens)


@lru_cache(maxsize=1024)
def parsed(text: str) -> Content:
    """The same of a value as a browser writes it."""
    return content(tinycss2.parse_component_value_list(text, skip_comments=True))


@dataclass(slots=True)
class Texts:
    """What an element's ``::before`` and ``::after`` say: to names, and to a reader of the page."""

    before: str = ""
    after: str = ""
    shown_before: str = ""
    shown_after: str = ""
    before_apart: bool = False
    """Whether it is a box of its own."""
    after_apart: bool = False

    def put(self, which: str, text: str, shown: str | None = None, *, apart: bool = False) -> None:
        """Sets the texts of ``before`` or ``after``."""
        if which == "before":
            self.before, self.shown_before, self.before_apart = text, text if shown is None else shown, apart
        else:
            self.after, self.shown_after, self.after_apart = text, text if shown is None else shown, apart


class Generator:
    """Works out the contents of a page's elements, in document order.

    Args:
        settings: By number of the element: what applies to ``""`` (the element itself), ``before`` and ``after``.
    """

    def __init__(self, settings: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
        self._settings = settings
        self._counters: dict[str, list[list[int]]] = {}
        """By name: depth of the element that made a counter, and its value, the innermost last."""
        self._depth = 0
        """Quotes that are open."""

    def run(self, elements: Sequence[Element]) -> None:
        """Sets the texts that the elements generate."""
        opened: list[Element] = []
        gone = None
        for element in elements:
            while opened and opened[-1] is not element.parent:
                self._after(opened.pop())
            if gone is not None and element.depth > gone:
                continue
            gone = element.depth if element.display == "none" else None
            if gone is None:
                self._enter(element)
                opened.append(element)
        while opened:
            self._after(opened.pop())

    def _enter(self, element: Element) -> None:
        mine = self._settings.get(element.index)
        if mine is not None:
            self._count(mine.get("", {}), element.depth)
            if "before" in mine:
                self._say(element, "before", mine["before"])

    def _after(self, element: Element) -> None:
        mine = self._settings.get(element.index)
        if mine is not None and "after" in mine:
            self._say(element, "after", mine["after"])

    # ------------------------------------------------------------------ counters

    def _count(self, settings: Mapping[str, Any], depth: int) -> None:
        for name, value in _numbers(settings.get("counter-reset", ""), 0):
            self._make(name, depth)[1] = value
        for name, value in _numbers(settings.get("counter-increment", ""), 1):
            counter = self._find(name, depth)
            counter[1] += value
        for name, value in _numbers(settings.get("counter-set", ""), 0):
            self._find(name, depth)[1] = value

    def _living(self, name: str, depth: int) -> list[list[int]]:
        """Counters in whose scope an element of that depth stands: those of ancestors, and of siblings before it."""
        counters = self._counters.setdefault(name, [])
        while counters and counters[-1][0] > depth:
            counters.pop()
        return counters

    def _make(self, name: str, depth: int) -> list[int]:
        counters = self._living(name, depth)
        if not counters or counters[-1][0] < depth:
            counters.append([depth, 0])
        return counters[-1]

    def _find(self, name: str, depth: int) -> list[int]:
        counters = self._living(name, depth)
        return counters[-1] if counters else self._make(name, depth)

    # ------------------------------------------------------------------ texts

    def _say(self, element: Element, which: str, settings: Mapping[str, Any]) -> None:
        self._count(settings, element.depth + 1)
        pieces = settings.get("content", "") if settings.get("visibility", "visible") == "visible" else ""
        made = element.generated
        if made is None or isinstance(pieces, str):
            return
        pieces = tuple(self._expanded(element, pieces, settings, _DEEP))
        told: list[str] = []
        shown: list[str] = []
        alternative = False
        for piece in pieces:
            if piece == ("/",):
                alternative = True
                told.clear()
                continue
            text = piece if isinstance(piece, str) else self._text(element, piece)
            if isinstance(piece, str) or not piece[0].startswith("counter"):
                told.append(text)
            if not alternative:
                shown.append(text)
        apart = alternative or (made.before_apart if which == "before" else made.after_apart)
        made.put(which, "".join(told), "".join(shown), apart=apart)

    def _expanded(self, element: Element, pieces: Content, own: Mapping[str, Any], deep: int) -> Iterator[Piece]:
        """Pieces with the values of custom properties, which elements inherit."""
        for piece in (pieces,) if isinstance(pieces, str) else pieces:
            if isinstance(piece, str) or piece[0] != "var":
                yield piece
                continue
            _, name, value = piece
            holders = (self._settings.get(item.index, {}).get("", {}) for item in (element, *element.ancestors()))
            value = next((holder[name] for holder in (own, *holders) if name in holder), value)
            if value is not None and deep > 0:
                yield from self._expanded(element, value, own, deep - 1)

    def _text(self, element: Element, piece: tuple[Any, ...]) -> str:
        kind = piece[0]
        if kind == "attr":
            return element.attrs.get(str(piece[1]).lower(), "")
        if kind == "counter":
            value = (self._living(piece[1], element.depth + 1) or [[0, 0]])[-1][1]
            return _written(value, piece[2] if len(piece) > 2 else "decimal")
        if kind == "counters":
            values = self._living(piece[1], element.depth + 1) or [[0, 0]]
            separator, style = piece[2] if len(piece) > 2 else "", piece[3] if len(piece) > 3 else "decimal"
            return separator.join(_written(value, style) for _, value in values[:_MANY])
        return self._quote(element, kind)

    def _quote(self, element: Element, kind: str) -> str:
        quotes = self._quotes(element)
        if kind.endswith("open-quote"):
            place = 2 * self._depth
            self._depth += 1
        elif self._depth == 0:
            return ""
        else:
            self._depth -= 1
            place = 2 * self._depth + 1
        if kind.startswith("no-") or not quotes:
            return ""
        return quotes[min(place, len(quotes) - 2 + place % 2)]

    def _quotes(self, element: Element) -> Sequence[str]:
        for item in (element, *element.ancestors()):
            value = self._settings.get(item.index, {}).get("", {}).get("quotes", "inherit")
            if value == "none":
                return ()
            if value not in ("inherit", "unset"):
                tokens: list[Any] = tinycss2.parse_component_value_list(value)
                found = [token.value for token in tokens if token.type == "string"]
                return found if len(found) > 1 and len(found) % 2 == 0 else _QUOTES
        return _QUOTES


@lru_cache(maxsize=256)
def _numbers(value: str, default: int) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for word in value.split():
        if word.lstrip("+-").isdecimal():
            if found:
                found[-1] = (found[-1][0], int(word[:9]))
        elif word != "none":
            found.append((word, default))
    return tuple(found)


def _roman(number: int) -> str:
    text = ""
    for value, letters in _ROMAN:
        text += letters * (number // value)
        number %= value
    return text


def _letters(number: int) -> str:
    text = ""
    while number > 0:
        number, rest = divmod(number - 1, 26)
        text = chr(97 + rest) + text
    return text


_STYLES: dict[str, Callable[[int], str]] = {
    "lower-roman": _roman,
    "lower-alpha": _letters,
    "lower-latin": _letters,
    "upper-roman": lambda number: _roman(number).upper(),
    "upper-alpha": lambda number: _letters(number).upper(),
    "upper-latin": lambda number: _letters(number).upper(),
}
_SIGNS = {"none": "", "disc": "•", "circle": "◦", "square": "▪"}


def _written(number: int, style: str) -> str:
    if style in _SIGNS:
        return _SIGNS[style]
    if style == "decimal-leading-zero":
        return f"{number:03d}" if number < 0 else f"{number:02d}"
    return _STYLES[style](number) if style in _STYLES and 0 < number < _MANY else str(number)
