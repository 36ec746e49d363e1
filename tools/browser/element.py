"""One element of a page, with the few computed styles that matter to a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentgym.tools.browser import generated

_words = str.split

_BLOCK = frozenset(
    _words(
        "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption"
        " figure footer foreignobject form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol optgroup"
        " option p pre search section summary text ul"
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


def default_display(tag: str, attrs: Mapping[str, str]) -> str:
    """What a browser's own style sheet gives an element."""
    if "hidden" in attrs or "popover" in attrs or (tag == "input" and attrs.get("type", "").lower() == "hidden"):
        return "none"
    if tag == "dialog" and "open" in attrs:
        return "block"
    return _DISPLAY.get(tag, "inline")


class Element:
    """One element with the few computed styles that matter to a reader."""

    __slots__ = (
        "attrs",
        "children",
        "depth",
        "display",
        "generated",
        "index",
        "parent",
        "reading",
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
        self.reading = self.children
        """Children as they are read: with those that ``aria-owns`` brings, without those that it takes away."""
        self.display = default_display(tag, attrs) if attrs else _DISPLAY.get(tag, "inline")
        self.visible: bool = parent.visible if parent is not None else True
        """CSS ``visibility``, which children may turn on again; ``display`` says whether there is a box at all."""
        self.transform: str = parent.transform if parent is not None else ""
        self.generated: generated.Texts | None = None
        """What ``::before`` and ``::after`` say, where they say anything."""

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
