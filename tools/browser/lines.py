"""What an agent reads of a page: lines in document order, with a reference before everything that it can act on.

One line is one block of the page; a table row is one line with `` | `` between its cells. References are ``a1``, ``a2``
... over the visible widgets in document order, counted anew in every observation::

    heading 'Contacts'
    [a4] textbox 'Search' value='ann' [a5] button 'Find'
    [a6] link 'Ann Miller' | Springfield | $12.00
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentgym.tools.browser.dom import Document
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.forms import Controls, disabled, option_label, options
from agentgym.tools.browser.names import Namer, folds, hidden, transformed
from agentgym.tools.browser.roles import TEXT_ENTRY, WIDGETS, actionable, input_type, role_of

MAX_NAME = 300
"""Characters of a name that are shown."""
MAX_LINE = 3_000
"""Characters of a line; a longer one goes on in the next."""
MAX_OPTIONS = 40
"""Options of a list that are shown."""

_BLOCKS = frozenset({"block", "flex", "grid", "list-item", "table", "table-row-group", "flow-root", "table-caption"})
_NESTING = ("link", "button", "generic", "DisclosureTriangle", "tab", "listitem")
_LOUD = frozenset({"alert", "alertdialog", "dialog", "status"})


@dataclass(frozen=True)
class View:
    """The lines of a page and what its references stand for."""

    lines: tuple[str, ...]
    refs: tuple[int, ...]
    """Element indices; ``a1`` is the first."""

    def element(self, ref: str) -> int | None:
        """The element index behind a reference such as ``a3`` (``3`` will do); None when there is none."""
        digits = ref.strip().strip("[]").lower().removeprefix("a")
        if not digits.isascii() or not digits.isdecimal() or len(digits) > 6:
            return None
        number = int(digits) - 1
        return self.refs[number] if 0 <= number < len(self.refs) else None

    def ref(self, index: int) -> str:
        """The reference of an element index; empty when it has none."""
        return f"a{self.refs.index(index) + 1}" if index in self.refs else ""


def read(document: Document, controls: Controls) -> View:
    """The lines of a document with what the user put into its controls."""
    return _Reader(document, controls).view()


def quoted(text: str) -> str:
    """A name as it stands in a line."""
    text = " ".join(text.split())
    if len(text) > MAX_NAME:
        text = text[:MAX_NAME] + "…"
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class _Reader:
    def __init__(self, document: Document, controls: Controls) -> None:
        self._document = document
        self._controls = controls
        self._namer = Namer(document)
        self._lines: list[str] = []
        self._refs: list[int] = []
        self._pieces: list[str] = []
        self._text: list[str] = []
        self._in_row = 0
        self._nests = sum(element.tag == "table" for element in document.elements) > 1

    def view(self) -> View:
        self._children(self._document.root)
        self._flush()
        if self._document.cut:
            self._lines.append("(The page goes on; the rest is too long to read.)")
        return View(tuple(self._lines), tuple(self._refs))

    # ------------------------------------------------------------------ lines out of pieces

    def _settle(self) -> None:
        """Makes the collected text a piece."""
        if self._text:
            text = " ".join("".join(self._text).split())  # non-breaking blanks are blanks to a reader
            self._text.clear()
            if text:
                self._pieces.append(text)

    def _piece(self, text: str) -> None:
        self._settle()
        self._pieces.append(text)

    def _flush(self) -> None:
        self._settle()
        if self._pieces:
            line = " ".join(self._pieces)
            self._pieces.clear()
            if line.strip("|- "):
                self._lines.extend(_folded(line) if len(line) > MAX_LINE else (line,))

    def _break(self) -> None:
        """Ends the line; within a table row only the word ends."""
        if self._in_row:
            self._text.append(" ")
        else:
            self._flush()

    # ------------------------------------------------------------------ the walk

    def _children(self, element: Element) -> None:
        made = element.generated if element.visible else None
        if made is not None:
            self._text.append(made.shown_before)
        for child in element.reading:
            if isinstance(child, str):
                if element.visible and not folds(element):
                    self._text.append(transformed(child, element) if element.transform else child)
            else:
                self._element(child)
        if made is not None:
            self._text.append(made.shown_after)

    def _element(self, element: Element) -> None:
        if hidden(element):
            return
        role = role_of(element)
        if element.visible and actionable(element, role):
            self._widget(element, role)
        elif element.tag == "br":
            self._break()
        elif element.tag == "tr" and element.display == "table-row":
            self._row(element)
        elif role == "heading":
            self._heading(element)
        elif role in ("image", "Iframe", "separator", "progressbar", "meter"):
            self._leaf(element, role)
        elif element.tag == "label" and self._names_a_widget(element):
            self._inner_widgets(element)
        elif element.tag == "pre":
            self._preformatted(element)
        else:
            self._box(element, role)

    def _box(self, element: Element, role: str) -> None:
        block = element.display in _BLOCKS
        if block:
            self._break()
        if role == "listitem" and not self._in_row:
            self._pieces.append("-")
        elif role in _LOUD and element.visible:
            self._piece(f"{role}:")
        self._children(element)
        if block:
            self._break()

    def _row(self, row: Element) -> None:
        nested = self._nests and any(item.tag == "table" for item in row.descendants())
        self._break()
        if not nested:
            self._in_row += 1
        first = True
        for cell in row.reading:
            if isinstance(cell, str) or hidden(cell):
                continue
            if not first and not nested:
                self._piece("|")
            first = False
            self._children(cell)
            if nested:
                self._break()
        if not nested:
            self._in_row -= 1
        self._break()

    def _heading(self, element: Element) -> None:
        self._break()
        widgets = any(actionable(item, role_of(item)) for item in element.descendants())
        name = self._namer.name(element, "heading")
        if widgets:
            self._piece("heading")
            self._children(element)
        elif name and element.visible:
            self._piece(f"heading {quoted(name)}")
        self._break()

    def _leaf(self, element: Element, role: str) -> None:
        if role == "separator" or not element.visible:
            self._break()
            return
        name = self._namer.name(element, role)
        if role == "Iframe":
            self._piece(f"frame {quoted(name)}")
        elif name:
            value = element.attrs.get("value", "") if role in ("progressbar", "meter") else ""
            self._piece(f"{role} {quoted(name)}" + (f" value={quoted(value)}" if value else ""))

    def _preformatted(self, element: Element) -> None:
        self._break()
        if self._in_row or any(actionable(item, role_of(item)) for item in element.descendants()):
            self._children(element)
        elif element.visible:
            for line in self._namer.verbatim(element).replace("\r\n", "\n").strip("\n").split("\n"):
                self._lines.extend(_folded(line.replace("\xa0", " ").rstrip()))
        self._break()

    # ------------------------------------------------------------------ widgets

    def _names_a_widget(self, label: Element) -> bool:
        """Whether a label's text stands in a widget's name already."""
        if "for" in label.attrs:
            target = self._document.by_id.get(label.attrs["for"])
        else:
            target = next((item for item in label.descendants() if item.tag in ("input", "select", "textarea")), None)
        if target is None or hidden(target) or not target.visible:
            return False
        return self._namer.labels(label, target) and not any(hidden(item) for item in target.ancestors())

    def _inner_widgets(self, element: Element) -> None:
        """The widgets below; what lies in one of them is that one's."""
        for item in element.reading:
            if isinstance(item, str) or hidden(item):
                continue
            role = role_of(item)
            if item.visible and actionable(item, role):
                self._widget(item, role)
            else:
                self._inner_widgets(item)

    def _widget(self, element: Element, role: str) -> None:
        block = element.display in _BLOCKS
        if block:
            self._break()
        self._refs.append(element.index)
        name = self._namer.name(element, role)
        shown = "summary" if role == "DisclosureTriangle" else role.lower()
        if "data-agent-shape" in element.attrs:
            shown, name = "shape", name or element.attrs["data-agent-shape"]
        elif role not in WIDGETS:
            shown, name = "clickable", name or self._namer.content(element).strip()
            name = name or element.attrs.get("data-agent-click", "")
        parts = [f"[a{len(self._refs)}] {shown} {quoted(name)}", *self._state(element, role)]
        self._piece(" ".join(parts))
        if (role in _NESTING or role not in WIDGETS) and any(isinstance(child, Element) for child in element.reading):
            self._inner_widgets(element)
        if block:
            self._break()

    def _state(self, element: Element, role: str) -> list[str]:
        parts: list[str] = []
        attrs, controls = element.attrs, self._controls
        if role in TEXT_ENTRY or (role == "combobox" and element.tag == "input"):
            secret = element.tag == "input" and input_type(element) == "password"
            value = controls.text(element) if element.tag in ("input", "textarea") else ""
            if value:
                parts.append("value=" + quoted("•" * len(value) if secret else _multiline(value)))
        elif element.tag == "select":
            parts += self._choices(element)
        elif role in ("checkbox", "radio", "switch", "menuitemcheckbox", "menuitemradio"):
            native = element.tag == "input"
            on = controls.checked(element) if native else attrs.get("aria-checked", "").lower() == "true"
            parts.append("checked" if on else "unchecked")
        elif role == "DisclosureTriangle":
            parent = element.parent
            parts.append("expanded" if parent is not None and "open" in parent.attrs else "collapsed")
        elif "aria-expanded" in attrs and attrs["aria-expanded"].lower() in ("true", "false"):
            parts.append("expanded" if attrs["aria-expanded"].lower() == "true" else "collapsed")
        if "aria-current" in attrs and attrs["aria-current"].lower() != "false":
            parts.append("current")
        if "aria-selected" in attrs and attrs["aria-selected"].lower() == "true":
            parts.append("selected")
        if "required" in attrs:
            parts.append("required")
        if "readonly" in attrs:
            parts.append("readonly")
        if element.tag in ("input", "select", "textarea", "button") and disabled(element):
            parts.append("disabled")
        return parts

    def _choices(self, select: Element) -> list[str]:
        choices = options(select)
        labels = [quoted(option_label(option)) for option in choices[:MAX_OPTIONS]]
        if len(choices) > MAX_OPTIONS:
            labels.append(f"... {len(choices) - MAX_OPTIONS} more")
        return [f"value={quoted(self._controls.shown(select))}", f"options=[{', '.join(labels)}]"]


def _folded(line: str) -> Iterator[str]:
    """A line in pieces of a length that can be shown, cut at blanks where there are any."""
    while len(line) > MAX_LINE:
        cut = line.rfind(" ", MAX_LINE // 2, MAX_LINE) + 1 or MAX_LINE
        yield line[:cut].rstrip()
        line = line[cut:]
    yield line


def _multiline(text: str) -> str:
    return text.replace("\n", "⏎")
