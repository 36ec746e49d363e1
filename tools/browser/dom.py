"""A page as a tree of light Python objects, from HTML or from a browser's live DOM.

Both backends make the same tree: the text backend from HTML and CSS-lite, Chromium from what one injected pass
collects. Everything after it (roles, names, lines) knows this tree alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from agentgym.tools.browser import css, generated
from agentgym.tools.browser.element import Element

MAX_NODES = 10_000
"""Elements of a page that are read; the rest is left out, with a note."""
MAX_DEPTH = 160
"""Nested elements that are read; what lies deeper is left out, with a note."""


@dataclass(frozen=True)
class Document:
    """A parsed page. Immutable: what a user types and ticks is kept beside it (``forms.Controls``)."""

    root: Element
    elements: tuple[Element, ...]
    """In document order; an element's ``index`` is its place here."""
    title: str
    base: str
    """Value of ``<base href>``, or empty."""
    refresh: str = ""
    """Content of ``<meta http-equiv=refresh>``, or empty."""
    cut: bool = False
    """The page had more elements than are read."""
    by_id: Mapping[str, Element] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    """Accessible names that were computed, by element index."""


def parse_html(html: str, sheets: Sequence[str] = (), *, scripting: bool = False) -> Document:
    """Reads HTML.

    Args:
        html: The source; nothing in it is an error.
        sheets: Text of linked style sheets, in the order of their links.
        scripting: Whether scripts run, in which case ``<noscript>`` shows nothing.
    """
    cut = False
    tree = LexborHTMLParser(html)
    styles = css.cascade(tree, sheets) if sheets or "<style" in html.lower() else {}
    builder = _Builder(scripting)
    root = tree.root
    if root is None:  # an empty string has no tree
        return builder.finish(False)
    # An explicit stack: a page may be nested deeper than Python's recursion goes.
    stack: list[tuple[LexborNode, Element | None]] = [(root, None)]
    while stack:
        node, parent = stack.pop()
        following = node.next if parent is not None else None
        if following is not None:
            stack.append((following, parent))
        if node.is_text_node:
            if parent is not None:
                parent.children.append(node.text_content or "")
        elif node.is_element_node:
            if builder.full:
                cut = True
                break
            element = builder.add(node.tag or "", _attributes(node), parent)
            apart = parent is not None and parent.display in _LAY_OUT_BLOCKS
            if styles:
                apart |= builder.apply(element, styles.get(node.mem_id))
            if "style" in element.attrs:
                apart |= builder.apply(element, css.inline(element.attrs["style"]))
            if apart:
                element.display = _AS_BLOCK.get(element.display, element.display)
            child = node.child
            if child is not None and element.depth < MAX_DEPTH:
                stack.append((child, element))
            elif child is not None:
                cut = True
    return builder.finish(cut)


def linked_sheets(html: str) -> tuple[str, tuple[str, ...]]:
    """Value of ``<base href>``, or empty, and the style sheets that a page links or imports, as written in it."""
    tree = LexborHTMLParser(html)
    bases = (node.attributes.get("href") for node in tree.css("base"))
    links = (_attributes(node) for node in tree.css("link[href]"))
    imported = (href for node in tree.css("style") for href in css.imports(node.text()))
    return next(filter(None, bases), "") or "", (*(link["href"] for link in links if _is_sheet(link)), *imported)


def _is_sheet(link: Mapping[str, str]) -> bool:
    sheet = "stylesheet" in link.get("rel", "").lower().split()
    return sheet and link["href"] != "" and "print" not in link.get("media", "")


def _attributes(node: LexborNode) -> dict[str, str]:
    found: dict[str, Any] = node.attributes
    return {key: value or "" for key, value in found.items()} if None in found.values() else found


_LAY_OUT_BLOCKS = frozenset({"flex", "inline-flex", "grid", "inline-grid"})
_AS_BLOCK = {
    "inline": "block", "inline-block": "block", "inline-flex": "flex", "inline-grid": "grid", "inline-table": "table",
    "table-row": "block", "table-cell": "block", "table-row-group": "block", "table-header-group": "block",
    "table-footer-group": "block", "table-caption": "block",
}  # fmt: skip
"""What a box becomes that a flexible or grid box lays out, that floats or that is placed (CSS Display 3, 2.7)."""


def from_live(nodes: Sequence[Any], *, cut: bool = False) -> Document:
    """Builds a document from what the injected pass of the Chromium backend collects.

    ``nodes`` is flat, in document order: a string is text; a list is ``[parent, tag, attrs, display, visible,
    transform, more]`` with the parent's number among the elements (-1 for the root). Text is ``[parent, text]``.
    ``more`` is None, or what is set of ``before``, ``after`` and ``""`` (the element), as values that CSS writes.
    """
    builder = _Builder(True)
    made: list[Element] = builder.elements
    for item in nodes:
        parent = made[item[0]] if item[0] >= 0 else None
        if len(item) == 2:
            if parent is not None:
                parent.children.append(item[1])
            continue
        _, tag, attrs, display, visible, transform, more = item
        element = builder.add(tag, attrs, parent)
        element.display, element.visible, element.transform = display, visible, transform
        if more:
            for settings in more.values():
                if "content" in settings:
                    settings["content"] = generated.parsed(settings["content"])
            builder.generate(element, more)
    return builder.finish(cut)


class _Builder:
    """Numbers elements as they come and notes what a page says about itself."""

    def __init__(self, scripting: bool) -> None:
        self.elements: list[Element] = []
        self._scripting = scripting
        self._titles: list[Element] = []
        self._by_id: dict[str, Element] = {}
        self._generated: dict[int, dict[str, dict[str, Any]]] = {}
        """What has to be worked out when the whole page is known."""
        self._dynamic = False
        self._owners: list[Element] = []
        self._special: dict[str, Callable[[Element], None]] = {
            "base": self._base,
            "meta": self._meta,
            "title": self._titles.append,
            "q": self._quote,
        }
        self._base_href = ""
        self._refresh = ""

    @property
    def full(self) -> bool:
        return len(self.elements) >= MAX_NODES

    def add(self, tag: str, attrs: dict[str, str], parent: Element | None) -> Element:
        element = Element(tag, attrs, parent, len(self.elements))
        if parent is not None:
            parent.children.append(element)
        self.elements.append(element)
        if tag == "noscript" and self._scripting:
            element.display = "none"
        if "id" in attrs:
            self._by_id.setdefault(attrs["id"], element)
        if "aria-owns" in attrs:
            self._owners.append(element)
        note = self._special.get(tag)
        if note is not None:
            note(element)
        return element

    def apply(self, element: Element, style: css.Style | None) -> bool:
        """Takes a style over; tells whether it makes a block of the element."""
        if style is None:
            return False
        if style.display:
            element.display = style.display
        if style.visibility:
            element.visible = style.visibility == "visible"
        if style.transform:
            element.transform = "" if style.transform == "none" else style.transform
        if style.more is not None:
            self.generate(element, style.more)
        return style.apart

    def generate(self, element: Element, more: Mapping[str, Mapping[str, Any]]) -> None:
        """Notes what an element and its ``::before`` and ``::after`` generate."""
        kept = self._generated.setdefault(element.index, {})
        for which, settings in more.items():
            kept[which] = {**kept.get(which, {}), **settings}
        for which in ("before", "after"):
            if which in kept:
                self._pseudo(element, which, kept)

    def _pseudo(self, element: Element, which: str, kept: dict[str, dict[str, Any]]) -> None:
        settings = kept[which]
        made = element.generated = element.generated or generated.Texts()
        shown = settings.get("display") != "none" and settings.get("visibility", "visible") == "visible"
        text = settings.get("content", "") if shown else ""
        apart = settings.get("display", "inline") not in ("inline", "contents") or css.is_apart(settings)
        if settings.get("display") == "none":
            del kept[which]
        self._dynamic |= not isinstance(text, str)
        made.put(which, text if isinstance(text, str) else "", apart=apart)

    def _own(self) -> None:
        """Brings what ``aria-owns`` names to its owner. The first owner has it, and nothing owns what it lies in."""
        owner_of: dict[int, Element] = {}
        for owner in self._owners:
            for key in owner.attrs["aria-owns"].split():
                item, holder = self._by_id.get(key), owner
                while item is not None and holder is not item and holder.parent is not None:
                    holder = owner_of.get(holder.index, holder.parent)
                if item is None or item.parent is None or holder is item or item.index in owner_of:
                    continue
                item.parent.reading = [child for child in item.parent.reading if child is not item]
                parted = owner.reading if owner in owner_of.values() else [*owner.reading, " "]
                owner.reading = [*parted, item]
                owner_of[item.index] = owner

    def _quote(self, element: Element) -> None:
        self.generate(element, {"before": {"content": (("open-quote",),)}, "after": {"content": (("close-quote",),)}})

    def _base(self, element: Element) -> None:
        self._base_href = self._base_href or element.attrs.get("href", "")

    def _meta(self, element: Element) -> None:
        if element.attrs.get("http-equiv", "").lower() == "refresh":
            self._refresh = self._refresh or element.attrs.get("content", "")

    def finish(self, cut: bool) -> Document:
        self._own()
        if self._dynamic:
            generated.Generator(self._generated).run(self.elements)
        root = self.elements[0] if self.elements else Element("html", {}, None, 0)
        title = " ".join(self._titles[0].text().split()) if self._titles else ""
        return Document(root, tuple(self.elements), title, self._base_href, self._refresh, cut, self._by_id)
