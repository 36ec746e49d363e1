"""Accessible names: what static pages need of Accessible Name computation 1.2 and HTML-AAM 1.0."""

from __future__ import annotations

import re

from agentgym.tools.browser.dom import Document, Element
from agentgym.tools.browser.roles import NAMED_FROM_CONTENT, input_type, role_of

MAX_GATHERED = 300_000
"""Elements that are looked at for all names of a page together: names that refer to each other could multiply."""

_SPACE = re.compile(r"[ \t\n\r\f]+")
_BUTTONS = {"submit": "Submit", "reset": "Reset", "image": "Submit", "file": "Choose File"}
_INLINE = ("inline", "contents", "inline-block", "inline-flex", "inline-grid", "inline-table")
_LAID_OUT = ("flex", "grid", "inline-flex", "inline-grid")
"""Generated text is a box of its own there."""
_CONTROLS = ("button", "input", "meter", "progress", "select", "textarea")
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

    def name(self, element: Element, role: str = "") -> str:
        """The accessible name, white space squeezed; empty when there is none."""
        known = self._document.names
        if element.index not in known:
            known[element.index] = self._name(element, role or role_of(element))
        return known[element.index]

    def _name(self, element: Element, role: str) -> str:
        attrs = element.attrs
        if "aria-labelledby" in attrs:
            referred = [self._document.by_id.get(key) for key in attrs["aria-labelledby"].split()]
            text = " ".join(self._referred(item) for item in referred if item is not None)
            if squeeze(text):
                return squeeze(text)
        if squeeze(attrs.get("aria-label", "")):
            return squeeze(attrs["aria-label"])
        native = self._native(element)
        if native is not None and squeeze(native):
            return squeeze(native)
        if role in NAMED_FROM_CONTENT and element.tag not in ("input", "select", "textarea"):
            text = squeeze(self.content(element))
            if text:
                return text
        return squeeze(attrs.get("title", "") or attrs.get("placeholder", ""))

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
        if tag in _LABELLED:
            labels = self.label_of(element)
            if len(labels) > 1:  # one that isn't shown says nothing beside one that is
                labels = [label for label in labels if not _out_of_sight(label)] or labels
            if labels:
                return " ".join(squeeze(self.content(label, skip=element)) for label in labels)
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
        elif tag == "figure":
            return self._first(element, "figcaption")
        elif tag == "table":
            return self._first(element, "caption")
        elif tag == "svg":
            return self._first(element, "title")
        elif tag == "optgroup":
            return attrs.get("label")
        elif tag == "option":
            return attrs.get("label") or element.text()
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
        parts: list[str] = []
        self._gather(element, parts, skip, even_hidden)
        return "".join(parts)

    def _gather(self, element: Element, parts: list[str], skip: Element | None, forced: bool) -> None:
        self._left -= 1
        if self._left < 0:
            return
        laid_out = element.display in _LAID_OUT
        if element.before:
            parts.append(element.before + " " if laid_out else element.before)
        for child in element.children:
            if isinstance(child, str):
                if forced or (element.visible and not folds(element)):
                    parts.append(transformed(child, element) if element.transform else child)
            elif child is not skip and (forced or not hidden(child)):
                self._gather_child(child, parts, skip, forced)
        if element.after:
            parts.append(" " + element.after if laid_out else element.after)

    def _gather_child(self, child: Element, parts: list[str], skip: Element | None, forced: bool) -> None:
        if child.tag == "br":
            parts.append(" ")
            return
        apart = child.display not in _INLINE or child.tag in _CONTROLS
        if apart:
            parts.append(" ")
        label = squeeze(child.attrs.get("aria-label", ""))
        if label:
            parts.append(label)
        elif child.tag in ("img", "svg", "fieldset", "table") and self._native(child):
            parts.append(self._native(child) or "")
        elif child.tag not in ("input", "select", "textarea"):
            self._gather(child, parts, skip, forced)
        if apart:
            parts.append(" ")


def _out_of_sight(element: Element) -> bool:
    while True:
        if hidden(element):
            return True
        if element.parent is None:
            return False
        element = element.parent


def _labelable(element: Element) -> bool:
    return element.tag in _LABELLED and not (element.tag == "input" and input_type(element) == "hidden")
