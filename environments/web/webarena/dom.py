"""A page as the judge reads it: selectors, source and rendered text over the observation engine's document.

The document comes from HTML or from a live page alike, so both backends judge by the same code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from html import escape

from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from agentgym.tools.browser import forms
from agentgym.tools.browser.backend import Page
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.forms import Controls
from agentgym.tools.browser.roles import input_type
from agentgym.tools.browser.urls import resolve

MAX_SELECTOR = 2_000
_MARK = "data-agentgym-number"
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())  # noqa: SIM905
_RAW = frozenset(("script", "style"))
_BLOCKS = ("block", "flex", "grid", "list-item", "table", "flow-root", "table-row-group", "table-caption",
           "table-header-group", "table-footer-group")  # fmt: skip
# Stand-ins while text is put together: a break that merges with its neighbours, an empty line, and what must stay.
_BREAK, _GAP, _LINE, _BLANK, _CELL = "\ue001", "\ue002", "\ue003", "\ue004", "\ue005"


class PageDom:
    """Reads one page. Nothing here changes it.

    Args:
        page: What the browser shows.
    """

    def __init__(self, page: Page) -> None:
        self.url = page.url
        self.document = page.document
        self.controls: Controls = page.controls

    # ------------------------------------------------------------------ finding

    def select(self, selector: str, below: Element | None = None) -> list[Element]:
        """Elements that match, in document order; those below an element alone where one is given.

        Raises:
            ValueError: It is no selector.
        """
        if len(selector) > MAX_SELECTOR:
            raise ValueError(f"a selector has more than {MAX_SELECTOR} characters")
        try:
            nodes = self._tree.css(selector)
        except SelectolaxError:
            raise ValueError(f"{selector!r} is no selector") from None
        numbers = (node.attributes.get(_MARK) for node in nodes)
        found = [self.document.elements[int(number)] for number in numbers if number is not None]
        if below is None:
            return found
        return [element for element in found if any(node is below for node in element.ancestors())]

    @cached_property
    def _tree(self) -> LexborHTMLParser:
        return LexborHTMLParser(self.html(self.document.root, numbered=True))

    # ------------------------------------------------------------------ source and text

    def html(self, element: Element, *, numbered: bool = False, inner: bool = False) -> str:
        """The element's source, with what the user did to controls."""
        parts: list[str] = []
        self._write(element, parts, numbered, not inner)
        return "".join(parts)

    def _write(self, element: Element, parts: list[str], numbered: bool, outer: bool = True) -> None:
        if outer:
            attrs = dict(element.attrs)
            if element.index in self.controls.changed and element.tag == "input":
                if input_type(element) in ("checkbox", "radio"):
                    attrs.pop("checked", None)
                    attrs |= {"checked": ""} if self.controls.checked(element) else {}
                else:
                    attrs["value"] = self.controls.text(element)
            if numbered:
                attrs[_MARK] = str(element.index)
            parts.append(f"<{element.tag}{''.join(f' {key}={_attribute(value)}' for key, value in attrs.items())}>")
        for child in element.children:
            if isinstance(child, Element):
                self._write(child, parts, numbered)
            else:
                parts.append(child if element.tag in _RAW else escape(child, quote=False))
        if outer and element.tag not in _VOID:
            parts.append(f"</{element.tag}>")

    def text(self, element: Element) -> str:
        """What is rendered of an element (``innerText``); its source text where it isn't rendered."""
        if any(node.display == "none" for node in (element, *element.ancestors())):
            return element.text()
        joined = "".join(_rendered(element, False))
        joined = re.sub(r"[ \t\n\r\f]+", " ", joined)
        joined = re.sub(rf" ?([{_BREAK}{_GAP}{_LINE}{_CELL}]) ?", r"\1", joined)
        joined = joined.strip(f" {_BREAK}{_GAP}")
        joined = re.sub(rf"[{_BREAK}{_GAP}]+", lambda match: "\n\n" if _GAP in match[0] else "\n", joined)
        return joined.translate({ord(_LINE): "\n", ord(_BLANK): " ", ord(_CELL): "\t"})

    # ------------------------------------------------------------------ controls

    def value(self, element: Element) -> str | None:
        """``value`` of a control; None where the element has none."""
        if element.tag == "select":
            chosen = self.controls.selected(element)
            return forms.option_value(forms.options(element)[chosen[0]]) if chosen else ""
        if element.tag == "option":
            return forms.option_value(element)
        if element.tag == "input" and input_type(element) in ("checkbox", "radio"):
            return element.attrs.get("value", "on")
        if element.tag in ("input", "textarea"):
            return self.controls.text(element)
        return element.attrs.get("value", "") if element.tag in ("button", "data", "param", "li") else None

    def address(self, element: Element, name: str) -> str:
        """``href`` or ``src`` as a whole address."""
        given = element.attrs.get(name)
        return "" if given is None else resolve(resolve(self.url, self.document.base), given)

    def images(self, selector: str) -> list[Element]:
        """The ``img`` elements that match or stand below what matches; all of the page without a selector."""
        if not selector.strip():
            return [element for element in self.document.elements if element.tag == "img"]
        found: dict[int, Element] = {}
        for element in self.select(selector):
            for image in (element, *element.descendants()):
                if image.tag == "img":
                    found.setdefault(image.index, image)
        return list(found.values())


def _attribute(value: str) -> str:
    return '"' + value.replace("&", "&amp;").replace('"', "&quot;") + '"'


def _rendered(element: Element, kept: bool) -> Iterator[str]:
    """Text below an element with the marks of its boxes. ``kept``: blanks and lines stay as they are."""
    if element.tag in ("script", "style", "template", "head", "noscript") or element.display == "none":
        return
    kept = kept or element.tag in ("pre", "textarea")
    edge = _GAP if element.tag == "p" else _BREAK if _is_block(element) else ""
    yield edge
    if element.tag == "br":
        yield _LINE
    for child in element.children:
        if isinstance(child, Element):
            yield from _rendered(child, kept)
        elif element.visible:
            yield _transformed(child, element, kept)
    yield _cell_end(element)
    yield edge


def _is_block(element: Element) -> bool:
    return element.display in _BLOCKS or element.tag in ("option", "optgroup")


def _transformed(text: str, element: Element, kept: bool) -> str:
    match element.transform:
        case "uppercase":
            text = text.upper()
        case "lowercase":
            text = text.lower()
        case "capitalize":
            text = re.sub(r"(?<![\w'])\w", lambda match: match[0].upper(), text)
    return text.replace("\n", _LINE).replace(" ", _BLANK) if kept else text


def _cell_end(element: Element) -> str:
    if element.display not in ("table-cell", "table-row"):
        return ""
    siblings = _of_display(element.parent.elements() if element.parent is not None else (), element.display)
    last = not siblings or siblings[-1] is element
    return "" if last else _CELL if element.display == "table-cell" else _BREAK


def _of_display(elements: Iterable[Element], display: str) -> list[Element]:
    return [element for element in elements if element.display == display]
