"""Which role an element has (WAI-ARIA 1.2, HTML-AAM), in the words of Chromium's accessibility tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agentgym.tools.browser.element import Element

_words = str.split

_TAGS = {
    "abbr": "Abbr",
    "address": "group",
    "article": "article",
    "blockquote": "blockquote",
    "button": "button",
    "code": "code",
    "dd": "definition",
    "del": "deletion",
    "details": "group",
    "dfn": "term",
    "dialog": "dialog",
    "dl": "DescriptionList",
    "dt": "term",
    "em": "emphasis",
    "fieldset": "group",
    "figcaption": "Figcaption",
    "figure": "figure",
    "form": "form",
    "hgroup": "group",
    "hr": "separator",
    "html": "RootWebArea",
    "iframe": "Iframe",
    "ins": "insertion",
    "legend": "Legend",
    "main": "main",
    "mark": "mark",
    "menu": "list",
    "meter": "meter",
    "nav": "navigation",
    "ol": "list",
    "optgroup": "group",
    "option": "option",
    "output": "status",
    "progress": "progressbar",
    "ruby": "Ruby",
    "s": "deletion",
    "search": "search",
    "strong": "strong",
    "sub": "subscript",
    "summary": "DisclosureTriangle",
    "sup": "superscript",
    "table": "table",
    "tbody": "generic",
    "td": "cell",
    "textarea": "textbox",
    "tfoot": "rowgroup",
    "thead": "rowgroup",
    "time": "time",
    "tr": "row",
    "ul": "list",
}
_INPUTS = {
    "button": "button",
    "checkbox": "checkbox",
    "color": "ColorWell",
    "date": "Date",
    "datetime-local": "DateTime",
    "email": "textbox",
    "file": "button",
    "image": "button",
    "month": "Date",
    "number": "spinbutton",
    "password": "textbox",
    "radio": "radio",
    "range": "slider",
    "reset": "button",
    "search": "searchbox",
    "submit": "button",
    "tel": "textbox",
    "text": "textbox",
    "time": "InputTime",
    "url": "textbox",
    "week": "Date",
}
_EXPLICIT = frozenset(
    _words(
        "alert alertdialog application article banner blockquote button caption cell checkbox code"
        " columnheader combobox complementary contentinfo definition deletion dialog directory document"
        " emphasis feed figure form generic grid gridcell group heading img insertion link list listbox"
        " listitem log main marquee math menu menubar menuitem menuitemcheckbox menuitemradio meter navigation"
        " none note option paragraph presentation progressbar radio radiogroup region row rowgroup rowheader"
        " scrollbar search searchbox separator slider spinbutton status strong subscript superscript switch"
        " tab table tablist tabpanel term textbox time timer toolbar tooltip tree treegrid treeitem"
    )
)
WIDGETS = frozenset(
    _words(
        "button checkbox ColorWell combobox Date DateTime DisclosureTriangle InputTime link listbox menuitem"
        " menuitemcheckbox menuitemradio option radio searchbox slider spinbutton switch tab textbox treeitem"
    )
)
"""Roles that an agent can act on."""
TEXT_ENTRY = frozenset({"textbox", "searchbox", "spinbutton", "Date", "DateTime", "InputTime", "ColorWell", "slider"})
"""Roles whose value is written."""
NAMED_FROM_CONTENT = frozenset(
    _words(
        "button cell checkbox columnheader DisclosureTriangle gridcell heading link menuitem menuitemcheckbox"
        " menuitemradio option radio rowheader switch tab term tooltip treeitem"
    )
)
_WHITE = " \t\n\r\f"
_CONTENT = ("button", "img", "input", "select", "svg", "textarea")
_SECTIONING = ("article", "aside", "main", "nav", "section")


def role_of(element: Element) -> str:
    """The role; ``none`` for presentational elements, ``generic`` where nothing else fits."""
    if not element.role:
        element.role = _role(element)
    return element.role


def _role(element: Element) -> str:
    explicit = element.attrs.get("role")
    if explicit:
        for word in explicit.lower().split():
            if word in _EXPLICIT:
                if word in ("none", "presentation"):
                    return "none"
                return "image" if word == "img" else word
    tag = element.tag
    rule = _RULES.get(tag)
    return rule(element) if rule is not None else _TAGS.get(tag, "generic")


def actionable(element: Element, role: str) -> bool:
    """Whether an agent may act on it: a widget, or something that takes the keyboard's focus by itself."""
    if role in WIDGETS:
        return element.tag != "option" and (role != "DisclosureTriangle" or is_disclosure(element))
    attrs = element.attrs
    editable = "contenteditable" in attrs and attrs["contenteditable"] in ("", "true")
    return editable or "data-agent-click" in attrs or "data-agent-shape" in attrs


def is_disclosure(element: Element) -> bool:
    """Whether a ``summary`` opens and closes something: it is the first one of a ``details``."""
    parent = element.parent
    return parent is not None and parent.tag == "details" and next(_summaries(parent), None) is element


def _summaries(details: Element) -> Iterator[Element]:
    return (child for child in details.elements() if child.tag == "summary")


def input_type(element: Element) -> str:
    """``type`` of an ``input``, lower-case; unknown ones are ``text``."""
    kind = element.attrs.get("type", "text").lower()
    return kind if kind in _INPUTS or kind == "hidden" else "text"


def _link(element: Element) -> str:
    return "link" if "href" in element.attrs else "generic"


def _heading(element: Element) -> str:
    return "heading"


def _input(element: Element) -> str:
    kind = input_type(element)
    role = _INPUTS.get(kind, "none")
    if role in ("textbox", "searchbox") and "list" in element.attrs:
        return "combobox"
    return role


def _select(element: Element) -> str:
    size = element.attrs.get("size", "")
    listed = "multiple" in element.attrs or (size.isdecimal() and int(size) > 1)
    return "listbox" if listed else "combobox"


def _image(element: Element) -> str:
    attrs = element.attrs
    if attrs.get("alt") == "" and not (attrs.get("aria-label") or attrs.get("aria-labelledby") or attrs.get("title")):
        return "none"
    return "image"


def _svg(element: Element) -> str:
    return "image" if _labelled(element) or any(child.tag == "title" for child in element.elements()) else "generic"


def _label(element: Element) -> str:
    """Chromium leaves out a label around a checkbox or radio button: the control's name says all of it."""
    boxes = (item for item in element.descendants() if item.tag in ("input", "select", "textarea"))
    first = next(boxes, None)
    ticked = first is not None and first.tag == "input" and input_type(first) in ("checkbox", "radio")
    return "generic" if ticked and "for" not in element.attrs else "LabelText"


_LINED = ("block", "inline-block", "list-item", "flow-root", "table-cell", "table-caption")
_NOTED = frozenset({"id", "title", "aria-label", "aria-labelledby"})


def _section(element: Element) -> str:
    return "region" if _labelled(element) else "generic"


def _labelled(element: Element) -> bool:
    attrs = element.attrs
    return bool(attrs.get("aria-label") or attrs.get("aria-labelledby") or attrs.get("title"))


def _item(element: Element) -> str:
    """An item of what a page has made something else of is none."""
    parent = element.parent
    role = parent.attrs.get("role", "") if parent is not None and parent.tag in ("ul", "ol", "menu") else ""
    return "generic" if role and role.lower() not in ("list", "directory") else "listitem"


def _aside(element: Element) -> str:
    inner = not _labelled(element) and element.closest("article", "aside", "nav", "section") is not None
    return "generic" if inner else "complementary"


def _paragraph(element: Element) -> str:
    """Only a block with lines in it is one to Chromium."""
    return (
        "paragraph" if element.display in _LINED and (element.attrs.keys() & _NOTED or _holds(element)) else "generic"
    )


def _caption(element: Element) -> str:
    return "caption" if _holds(element) else "none"


def _holds(element: Element) -> bool:
    """Whether anything in an element has a box."""
    return element.generated is not None or any(
        child.display != "none" if isinstance(child, Element) else bool(child.strip(_WHITE))
        for child in element.children
    )


def _edge(outer: str, inner: str) -> Callable[[Element], str]:
    def role(element: Element) -> str:
        return inner if element.closest(*_SECTIONING) is not None else outer

    return role


def _header_cell(element: Element) -> str:
    """HTML-AAM's rules for ``th``; without ``scope`` Chromium looks at the neighbours."""
    scope = element.attrs.get("scope", "").lower()
    if scope in ("row", "rowgroup"):
        return "rowheader"
    if scope in ("col", "colgroup"):
        return "columnheader"
    row = element.parent
    cells = [] if row is None else [cell for cell in row.elements() if cell.tag in ("td", "th")]
    place = next((i for i, cell in enumerate(cells) if cell is element), 0)
    neighbours = cells[max(place - 1, 0) : place] + cells[place + 1 : place + 2]
    if len(neighbours) == 2 and neighbours[0].tag == neighbours[1].tag == "th":
        return "columnheader"
    return "rowheader" if any(cell.tag == "td" and _filled(cell) for cell in cells) else "columnheader"


def _filled(cell: Element) -> bool:
    drawn = (item for item in cell.descendants() if item.tag in _CONTENT)
    return bool(cell.text().strip(_WHITE)) or any(item.attrs.get("type", "").lower() != "hidden" for item in drawn)


_RULES: dict[str, Callable[[Element], str]] = {
    "a": _link,
    "area": _link,
    "aside": _aside,
    "caption": _caption,
    "footer": _edge("contentinfo", "sectionfooter"),
    "header": _edge("banner", "sectionheader"),
    "img": _image,
    "label": _label,
    "li": _item,
    "input": _input,
    "p": _paragraph,
    "section": _section,
    "select": _select,
    "svg": _svg,
    "th": _header_cell,
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _heading),
}
