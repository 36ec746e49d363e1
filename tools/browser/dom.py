"""A page as a tree of light Python objects, from HTML or from a browser's live DOM.

Both backends make the same tree: the text backend from HTML and CSS-lite, Chromium from what one injected pass
collects. Everything after it (roles, names, lines) knows this tree alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from agentgym.tools.browser import css

_words = str.split

MAX_NODES = 10_000
"""Elements of a page that are read; the rest is left out, with a note."""
MAX_DEPTH = 160
"""Nested elements that are read; what lies deeper is left out, with a note."""

_BLOCK = frozenset(
    _words(
        "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption"
        " figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol optgroup"
        " option p pre search section summary ul"
    )
)
_NONE = frozenset(
    _words("area base basefont command datalist head link meta noembed noframes param rp script style template title")
)
_OTHER = {
    **dict.fromkeys(("button", "input", "meter", "progress", "select", "textarea"), "inline-block"),
    "table": "table",
    "caption": "table-caption",
    "thead": "table-header-group",
    "tbody": "table-row-group",
    "tfoot": "table-footer-group",
    "tr": "table-row",
    "td": "table-cell",
    "th": "table-cell",
}


_DISPLAY = {**dict.fromkeys(_BLOCK, "block"), **_OTHER, **dict.fromkeys((*_NONE, "dialog"), "none")}


class Element:
    """One element with the few computed styles that matter to a reader."""

    __slots__ = (
        "after",
        "attrs",
        "before",
        "children",
        "depth",
        "display",
        "index",
        "parent",
        "role",
        "tag",
        "transform",
        "visible",
    )

    def __init__(self, tag: str, attrs: dict[str, str], parent: Element | None, index: int) -> None:
        self.tag = tag
        self.attrs = attrs
        self.parent = parent
        self.index = index
        self.role = ""
        """Set by ``roles.role_of`` when it is first asked for."""
        self.depth: int = parent.depth + 1 if parent is not None else 0
        self.children: list[Element | str] = []
        self.display = default_display(tag, attrs) if attrs else _DISPLAY.get(tag, "inline")
        self.visible: bool = parent.visible if parent is not None else True
        """CSS ``visibility``, which children may turn on again; ``display`` says whether there is a box at all."""
        self.transform: str = parent.transform if parent is not None else ""
        self.before = ""
        self.after = ""

    def elements(self) -> Iterator[Element]:
        """Child elements."""
        for child in self.children:
            if isinstance(child, Element):
                yield child

    def descendants(self) -> Iterator[Element]:
        """All elements below, in document order."""
        left = self.children[::-1]
        while left:
            child = left.pop()
            if isinstance(child, Element):
                yield child
                left.extend(reversed(child.children))

    def ancestors(self) -> Iterator[Element]:
        """Parents, the nearest first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def closest(self, *tags: str) -> Element | None:
        """The nearest ancestor of one of the tags."""
        return next((node for node in self.ancestors() if node.tag in tags), None)

    def text(self) -> str:
        """All text below as it stands in the source."""
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)


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
    sheets: tuple[str, ...] = ()
    """Linked style sheets, as written in the page."""
    by_id: Mapping[str, Element] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    """Accessible names that were computed, by element index."""


def default_display(tag: str, attrs: Mapping[str, str]) -> str:
    """What a browser's own style sheet gives an element."""
    if "hidden" in attrs or (tag == "input" and attrs.get("type", "").lower() == "hidden"):
        return "none"
    if tag == "dialog" and "open" in attrs:
        return "block"
    return _DISPLAY.get(tag, "inline")


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
                apart |= _apply(element, styles.get(node.mem_id))
            if "style" in element.attrs:
                apart |= _apply(element, css.inline(element.attrs["style"]))
            if apart:
                element.display = _AS_BLOCK.get(element.display, element.display)
            child = node.child
            if child is not None and element.depth < MAX_DEPTH:
                stack.append((child, element))
            elif child is not None:
                cut = True
    return builder.finish(cut)


def linked_sheets(html: str) -> tuple[str, tuple[str, ...]]:
    """``<base href>`` and the linked style sheets of a page, without reading the rest of it."""
    builder = _Builder(False)
    for node in LexborHTMLParser(html).css("base, link"):
        builder.add(node.tag or "", _attributes(node), None)
    found = builder.finish(False)
    return found.base, found.sheets


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


def _apply(element: Element, style: css.Style | None) -> bool:
    """Takes a style over; tells whether it makes a block of the element."""
    if style is None:
        return False
    if style.display:
        element.display = style.display
    if style.visibility:
        element.visible = style.visibility == "visible"
    if style.transform:
        element.transform = "" if style.transform == "none" else style.transform
    element.before, element.after = style.before or element.before, style.after or element.after
    return style.apart


def from_live(nodes: Sequence[Any], *, cut: bool = False) -> Document:
    """Builds a document from what the injected pass of the Chromium backend collects.

    ``nodes`` is flat, in document order: a string is text; a list is ``[parent, tag, attrs, display, visible,
    transform, before, after]`` with the parent's number among the elements (-1 for the root). Text is ``[parent,
    text]``.
    """
    builder = _Builder(True)
    made: list[Element] = builder.elements
    for item in nodes:
        parent = made[item[0]] if item[0] >= 0 else None
        if len(item) == 2:
            if parent is not None:
                parent.children.append(item[1])
            continue
        _, tag, attrs, display, visible, transform, before, after = item
        element = builder.add(tag, attrs, parent)
        element.display, element.visible, element.transform = display, visible, transform
        element.before, element.after = before, after
    return builder.finish(cut)


class _Builder:
    """Numbers elements as they come and notes what a page says about itself."""

    def __init__(self, scripting: bool) -> None:
        self.elements: list[Element] = []
        self._scripting = scripting
        self._titles: list[Element] = []
        self._sheets: list[str] = []
        self._by_id: dict[str, Element] = {}
        self._special: dict[str, Callable[[Element], None]] = {
            "base": self._base,
            "meta": self._meta,
            "link": self._link,
            "title": self._titles.append,
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
        note = self._special.get(tag)
        if note is not None:
            note(element)
        return element

    def _base(self, element: Element) -> None:
        self._base_href = self._base_href or element.attrs.get("href", "")

    def _meta(self, element: Element) -> None:
        if element.attrs.get("http-equiv", "").lower() == "refresh":
            self._refresh = self._refresh or element.attrs.get("content", "")

    def _link(self, element: Element) -> None:
        attrs = element.attrs
        sheet = "stylesheet" in attrs.get("rel", "").lower().split()
        if sheet and attrs.get("href") and "print" not in attrs.get("media", ""):
            self._sheets.append(attrs["href"])

    def finish(self, cut: bool) -> Document:
        root = self.elements[0] if self.elements else Element("html", {}, None, 0)
        title = " ".join(self._titles[0].text().split()) if self._titles else ""
        sheets = tuple(self._sheets)
        return Document(root, tuple(self.elements), title, self._base_href, self._refresh, cut, sheets, self._by_id)
