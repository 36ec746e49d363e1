"""Accessible names: what static pages need of Accessible Name computation 1.2 and HTML-AAM 1.0."""

from __future__ import annotations

import re

from agentgym.tools.browser.dom import Document
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.roles import NAMED_FROM_CONTENT, WIDGETS, input_type, role_of

MAX_GATHERED = 300_000
"""Elements that are looked at for all names of a page together: names that refer to each other could multiply."""

_WHITE = " \t\n\r\f"
_SPACE = re.compile(r"[ \t\n\r\f]+")
_BUTTONS = {"submit": "Submit", "reset": "Reset", "image": "Submit", "file": "Choose File"}
_INLINE = ("inline", "ruby", "ruby-text")
"""Everything else stands apart from its neighbours, in names as on the screen."""
_LAID_OUT = ("flex", "grid", "inline-flex", "inline-grid")
"""Generated text is a box of its own there."""
_CONTROLS = ("button", "input", "meter", "progress", "select", "textarea")
_UNTITLED = frozenset({"caption", "code", "deletion", "emphasis", "generic", "insertion", "none", "paragraph", "strong",
                       "subscript", "superscript", "time"})  # fmt: skip
"""Roles that a ``title`` describes and doesn't name (WAI-ARIA 1.2, section 5.2.8.6)."""
_LABELLED = ("input", "select", "textarea", "meter", "progress", "output", "button")


def hidden(element: Element) -> bool:
    """Whether an element has no part in what is read: no box, ``aria-hidden`` or ``inert``."""
    if element.display == "none":
        return True
    attrs = element.attrs
    if attrs and ("inert" in attrs or attrs.get("aria-hidden", "").lower() == "true"):
        return True
    return element.parent is not None and element.parent.tag == "details" and _folded(element)


def folds(element: Element) -> bool:
    """Whether it is a closed ``details``, which shows its summary alone."""
    return element.tag == "details" and "open" not in element.attrs


def _folded(element: Element) -> bool:
    """Inside a closed ``details``, other than its summary."""
    parent = element.parent
    if parent is None or not folds(parent):
        return False
    return element.tag != "summary" or element is not next(item for item in parent.elements() if item.tag == "summary")


class _Blank(str):
    """White space between two elements. Browsers drop it beside more of it, or beside what has no box."""

    __slots__ = ()


_GONE = _Blank("")


def squeeze(text: str) -> str:
    """Text with runs of white space as one blank, as it is shown. Non-breaking blanks stay."""
    if "\xa0" not in text:
        return " ".join(text.split())
    return _SPACE.sub(" ", text).strip(" ")


def transformed(text: str, element: Element) -> str:
    """Text as ``text-transform`` shows it."""
    match element.transform:
        case "uppercase":
            return text.upper()
        case "lowercase":
            return text.lower()
        case "capitalize":
            return re.sub(r"(?<![^\W_])(?<!['’])[^\W\d_]", lambda match: match[0].upper(), text)
    return text


class Namer:
    """Names of the elements of one document. Labels are looked up once.

    What stands in a control that a label embeds is no part of the name: it changes while the agent types.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._labels: dict[int, list[Element]] | None = None
        self._labelling: dict[int, int] = {}
        """Number of the control by the number of its label."""
        self._left = MAX_GATHERED
        self._referring = False
        """While the texts that an ``aria-labelledby`` names are gathered, further ones are not followed."""

    def name(self, element: Element, role: str = "") -> str:
        """The accessible name, white space squeezed; empty when there is none."""
        known = self._document.names
        if element.index not in known:
            known[element.index] = self._name(element, role or role_of(element))
        return known[element.index]

    def _name(self, element: Element, role: str) -> str:
        attrs = element.attrs
        text = self._said(element)
        if text:
            return text
        if element.tag in _LABELLED:
            labels = self.label_of(element)
            if labels:  # they are the name, even where it is empty since none is shown
                seen = (label for label in labels if not _out_of_sight(label))
                return squeeze(" ".join(self.content(label, skip=element) for label in seen))
        native = self._native(element)
        if native is not None and squeeze(native):
            return squeeze(native)
        if role in NAMED_FROM_CONTENT and element.tag not in ("input", "select", "textarea"):
            text = squeeze(self.content(element))
            if text:
                return text
        return "" if role in _UNTITLED else squeeze(attrs.get("title", "") or attrs.get("placeholder", ""))

    def _said(self, element: Element) -> str:
        """What ``aria-labelledby`` or ``aria-label`` say."""
        attrs = element.attrs
        if "aria-labelledby" in attrs and not self._referring:
            self._referring = True
            referred = [self._document.by_id.get(key) for key in attrs["aria-labelledby"].split()]
            text = squeeze(" ".join(self._referred(item) for item in referred if item is not None))
            self._referring = False
            if text:
                return text
        return squeeze(attrs.get("aria-label", ""))

    def label_of(self, control: Element) -> list[Element]:
        """The ``label`` elements of a control."""
        if self._labels is None:
            self._labels = self._collect()
        return self._labels.get(control.index, [])

    def _collect(self) -> dict[int, list[Element]]:
        labels: dict[int, list[Element]] = {}
        for element in self._document.elements:
            if element.tag != "label":
                continue
            if "for" in element.attrs:
                target = self._document.by_id.get(element.attrs["for"])
            else:
                target = next((item for item in element.descendants() if _labelable(item)), None)
            if target is not None and _labelable(target):
                labels.setdefault(target.index, []).append(element)
                self._labelling[element.index] = target.index
        return labels

    def labels(self, label: Element, control: Element) -> bool:
        """Whether it is a label of that control."""
        self.label_of(control)
        return self._labelling.get(label.index) == control.index

    def _referred(self, element: Element) -> str:
        label = element.attrs.get("aria-label", "")
        return label or self.content(element, even_hidden=True)

    def _native(self, element: Element) -> str | None:
        """The name that HTML itself gives, or None."""
        tag, attrs = element.tag, element.attrs
        if tag == "input":
            kind = input_type(element)
            if kind in ("button", "submit", "reset", "file"):
                return attrs.get("value") or attrs.get("title") or _BUTTONS.get(kind, "")
            if kind == "image":
                return attrs.get("alt") or attrs.get("title") or _BUTTONS["image"]
        elif tag in ("img", "area"):
            return attrs.get("alt")
        elif tag == "fieldset":
            return self._first(element, "legend")
        elif tag == "table":
            return self._first(element, "caption")
        elif tag == "svg":
            return self._first(element, "title")
        elif tag == "optgroup":
            return attrs.get("label")
        elif tag == "option":
            return (attrs.get("label") or element.text()) if element.children else ""
        elif tag == "html":
            return self._document.title
        return None

    def _first(self, element: Element, tag: str) -> str:
        found = next((child for child in element.elements() if child.tag == tag), None)
        return "" if found is None else self.content(found, even_hidden=tag == "title")

    def content(self, element: Element, *, skip: Element | None = None, even_hidden: bool = False) -> str:
        """Name from content: texts below, with embedded controls' values and images' names.

        ``skip``: the control that is being named, which its own label leaves out. ``even_hidden``: count ``element``
        itself although it isn't shown, as ``aria-labelledby`` does.
        """
        parts = self._parts(element, skip, even_hidden)
        count = len(parts)
        if count == 1:
            return parts[0]
        return "".join(
            part
            for i, part in enumerate(parts)
            if type(part) is not _Blank
            or not ((i and type(parts[i - 1]) is _Blank) or (i + 1 < count and type(parts[i + 1]) is _Blank))
        )

    def verbatim(self, element: Element) -> str:
        """The same with all white space, as preformatted text shows it."""
        return "".join(self._parts(element, None, False))

    def _parts(self, element: Element, skip: Element | None, forced: bool) -> list[str]:
        parts: list[str] = []
        self._gather(element, parts, skip, forced)
        return parts

    def _gather(self, element: Element, parts: list[str], skip: Element | None, forced: bool) -> None:
        self._left -= 1
        if self._left < 0:
            return
        seen = forced or element.visible
        made = element.generated if seen else None
        if made is not None and made.before:
            parts.append(made.before)
        start = len(parts)
        for child in element.reading:
            if isinstance(child, str):
                if not seen or (not forced and folds(element)):
                    parts.append("")
                elif not child.strip(_WHITE):
                    parts.append(_Blank(child))
                else:
                    parts.append(transformed(child, element) if element.transform else child)
            elif child is not skip:
                if forced or not hidden(child):
                    self._gather_child(child, parts, skip, forced)
                else:
                    parts.append(_GONE)
        if made is None:
            return
        laid_out = element.display in _LAID_OUT
        if made.before and (laid_out or made.before_apart) and len(parts) > start:
            parts.insert(start, " ")
        if made.after:
            parts.append(" " + made.after if laid_out or made.after_apart else made.after)

    def _gather_child(self, child: Element, parts: list[str], skip: Element | None, forced: bool) -> None:
        if child.tag == "br":
            parts.append(" ")
            return
        name = self._own_name(child)
        role = role_of(child)
        apart = name or role == "image" or _apart(child)
        if apart or child.tag == "img":
            parts.append(" " if apart else "")
        start = len(parts)
        if name:
            parts.append(name)
        elif child.tag not in ("input", "select", "textarea"):
            self._gather(child, parts, skip, forced)
            if role in WIDGETS:
                self._complete(child, parts, start)
        if apart:
            parts.append(" ")

    def _complete(self, child: Element, parts: list[str], start: int) -> None:
        """A widget within a name is named by itself: by its ``title`` at last, and without blanks around it."""
        title = child.attrs.get("title", "")
        if title and not "".join(parts[start:]).strip():
            parts += (" ", title, " ")
            return
        while parts[start:] and parts[start] == " " and type(parts[start]) is str:
            del parts[start]
        while parts[start:] and parts[-1] == " " and type(parts[-1]) is str:
            del parts[-1]

    def _own_name(self, child: Element) -> str:
        """The name of something within a name, where it isn't its content that names it."""
        name = self._said(child) if child.attrs else ""
        if name:
            return name
        if child.tag in ("img", "svg", "fieldset", "table"):
            return self._native(child) or (squeeze(child.attrs.get("title", "")) if role_of(child) == "image" else "")
        if child.tag != "input":
            return ""
        kind = input_type(child)
        if kind in _BUTTONS:
            return self._native(child) or ""
        return child.attrs.get("title", "") if kind in ("checkbox", "radio") else ""


def _apart(element: Element) -> bool:
    """Whether an element is parted from what stands beside it."""
    if element.tag in _CONTROLS:
        return True
    if element.display != "inline-block":
        return element.display not in _INLINE
    filled = any(not isinstance(child, str) or child.strip() for child in element.children)
    return (filled and element.visible) or element.generated is not None


def _out_of_sight(element: Element) -> bool:
    while True:
        if hidden(element):
            return True
        if element.parent is None:
            return False
        element = element.parent


def _labelable(element: Element) -> bool:
    return element.tag in _LABELLED and not (element.tag == "input" and input_type(element) == "hidden")
