"""Form controls without a browser: their values, what they accept, and what a form sends (HTML, section 4.10)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from agentgym.tools.browser.amounts import EXAMPLES, fitted, out_of_range, well_formed
from agentgym.tools.browser.dom import Document
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.names import squeeze
from agentgym.tools.browser.patterns import fits
from agentgym.tools.browser.roles import input_type

_words = str.split

Value = str | bool | tuple[int, ...]
"""Text; whether it is ticked; numbers of the selected options."""

TEXT_INPUTS = frozenset(
    _words("color date datetime-local email month number password range search tel text time url week")
)
_BLANKS = " \t\n\r\f"
_LONE = re.compile("[\ud800-\udfff]")
_BUTTON_INPUTS = frozenset({"submit", "image", "reset", "button"})
_SANITISED = ("text", "search", "tel", "password", "url", "email")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"[\w.!#$%&'*+/=?^`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_URL = re.compile(
    r"(?!(?:https?|wss?|ftp):)[A-Za-z][A-Za-z0-9+.-]*:.*"
    r"|(?:https?|wss?|ftp):[/\\]*(?:\[[0-9a-f:.]+\]|[^][/\\?#<>^|\s]).*",
    re.IGNORECASE | re.ASCII,
)


@dataclass
class Controls:
    """What the user typed, ticked and chose on a page, by element index; everything else stands as the page has it."""

    changed: dict[int, Value] = field(default_factory=dict)

    def text(self, element: Element) -> str:
        """Value of a text control."""
        value = self.changed.get(element.index)
        if isinstance(value, str):
            return value
        if element.tag == "textarea":
            return element.text().replace("\r\n", "\n")
        return sanitised(element, element.attrs.get("value", ""))

    def checked(self, element: Element) -> bool:
        """Whether a checkbox or radio button is ticked."""
        value = self.changed.get(element.index)
        return value if isinstance(value, bool) else "checked" in element.attrs

    def selected(self, element: Element) -> tuple[int, ...]:
        """Numbers of the selected options of a ``select``."""
        value = self.changed.get(element.index)
        if isinstance(value, tuple):
            return value
        choices = options(element)
        chosen = [i for i, option in enumerate(choices) if "selected" in option.attrs]
        if "multiple" in element.attrs:
            return tuple(chosen)
        if not chosen and element.attrs.get("size", "1") in ("", "0", "1"):
            chosen = [i for i, option in enumerate(choices) if not disabled(option)][:1]
        return tuple(chosen[-1:])

    def shown(self, element: Element) -> str:
        """The value as a reader sees it."""
        if element.tag == "select":
            choices = options(element)
            return ", ".join(option_label(choices[i]) for i in self.selected(element) if i < len(choices))
        return self.text(element)

    def copy(self) -> Controls:
        """An independent copy."""
        return Controls(dict(self.changed))


def options(select: Element) -> list[Element]:
    """The options of a ``select``, in order."""
    return [item for item in select.descendants() if item.tag == "option"]


def option_label(option: Element) -> str:
    """What an option shows."""
    return squeeze(option.attrs.get("label") or option.text())


def option_value(option: Element) -> str:
    """What an option sends."""
    return option.attrs["value"] if "value" in option.attrs else squeeze(option.text())


def disabled(element: Element) -> bool:
    """Whether a control is disabled, by itself or by its ``fieldset`` (the first legend's content excepted)."""
    if "disabled" in element.attrs:
        return True
    if element.tag == "option":
        return element.parent is not None and element.parent.tag == "optgroup" and "disabled" in element.parent.attrs
    child = element
    for parent in element.ancestors():
        if parent.tag == "fieldset" and "disabled" in parent.attrs:
            first = next((item for item in parent.elements() if item.tag == "legend"), None)
            if first is not child:
                return True
        child = parent
    return False


def sanitised(element: Element, text: str) -> str:
    """The value sanitisation of an ``input``'s type: what doesn't fit the type becomes empty."""
    kind = input_type(element)
    if kind in _SANITISED:
        text = text.replace("\r", "").replace("\n", "")
        if kind == "email" and "multiple" in element.attrs:
            return ",".join(part.strip(_BLANKS) for part in text.split(","))
        return text.strip(_BLANKS) if kind in ("url", "email") else text
    return fitted(kind, element.attrs, text) if kind in EXAMPLES else text


def accept(element: Element, text: str) -> tuple[str, str]:
    """What a text control takes of ``text``: the value, and why it can't be written (empty: it can)."""
    text = _LONE.sub("\ufffd", text).replace("\r\n", "\n").replace("\r", "\n")
    if element.tag == "input":
        kind = input_type(element)
        if kind in EXAMPLES and text and not well_formed(kind, text):
            like = EXAMPLES[kind]
            return "", f"It takes {like if like.startswith('a ') else f'a value like {like}'}."
        text = sanitised(element, text)
    limit = element.attrs.get("maxlength", "")
    return (text[: int(limit)], "") if limit.isdecimal() and len(limit) < 9 else (text, "")


# ------------------------------------------------------------------ forms


def form_of(document: Document, element: Element) -> Element | None:
    """The form that owns a control."""
    if "form" in element.attrs:
        owner = document.by_id.get(element.attrs["form"])
        return owner if owner is not None and owner.tag == "form" else None
    return element.closest("form")


def controls_of(document: Document, form: Element) -> list[Element]:
    """The controls that a form owns, in document order."""
    return [
        element
        for element in document.elements
        if element.tag in ("input", "select", "textarea", "button") and form_of(document, element) is form
    ]


def is_submit(element: Element) -> bool:
    """Whether a click on it sends its form."""
    if element.tag == "button":
        return element.attrs.get("type", "submit").lower() not in ("button", "reset")
    return element.tag == "input" and input_type(element) in ("submit", "image")


def default_button(document: Document, form: Element) -> Element | None:
    """The button that Enter presses."""
    return next((item for item in controls_of(document, form) if is_submit(item)), None)


def entries(document: Document, form: Element, controls: Controls, submitter: Element | None) -> list[tuple[str, str]]:
    """Names and values that a form sends."""
    return [
        (_sent(name), value if isinstance(value, NoFile) else _sent(value))
        for element in controls_of(document, form)
        for name, value in _entry(element, controls, submitter)
    ]


class NoFile(str):
    """What a file input sends that holds no file."""


def _sent(text: str) -> str:
    return re.sub(r"\r\n|\r|\n", "\r\n", text)


def _entry(element: Element, controls: Controls, submitter: Element | None) -> Iterator[tuple[str, str]]:
    name = element.attrs.get("name", "")
    kind = input_type(element) if element.tag == "input" else ""
    if disabled(element):
        return
    if element.tag == "button" or kind in _BUTTON_INPUTS:
        if element is submitter:
            if kind == "image":
                prefix = f"{name}." if name else ""
                yield f"{prefix}x", "0"
                yield f"{prefix}y", "0"
            elif name:
                yield name, element.attrs.get("value", "")
    elif not name:
        return
    elif element.tag == "select":
        choices = options(element)
        for i in controls.selected(element):
            if i < len(choices) and not disabled(choices[i]):
                yield name, option_value(choices[i])
    elif kind in ("checkbox", "radio"):
        if controls.checked(element):
            yield name, element.attrs.get("value", "on")
    elif kind == "file":
        yield name, NoFile()
    else:
        hidden = "UTF-8" if name.lower() == "_charset_" else element.attrs.get("value", "")
        yield name, hidden if kind == "hidden" else controls.text(element)
        if element.attrs.get("dirname") and kind in ("", "hidden", *_SANITISED):
            turned = next((item for item in (element, *element.ancestors()) if "dir" in item.attrs), element)
            yield element.attrs["dirname"], "rtl" if turned.attrs.get("dir", "").lower() == "rtl" else "ltr"


def invalid(document: Document, form: Element, controls: Controls) -> tuple[Element, str] | None:
    """The first control that keeps a form from being sent, and why; None when nothing does."""
    if "novalidate" in form.attrs:
        return None
    owned = controls_of(document, form)
    radios = (item for item in owned if item.tag == "input" and input_type(item) == "radio")
    ticked = {item.attrs.get("name", "") for item in radios if controls.checked(item)}
    for element in owned:
        if element.tag == "button" or disabled(element) or "readonly" in element.attrs:
            continue
        reason = _problem(element, controls, ticked)
        if reason:
            return element, reason
    return None


def _problem(element: Element, controls: Controls, ticked: set[str]) -> str:
    attrs = element.attrs
    kind = input_type(element) if element.tag == "input" else element.tag
    if kind == "hidden" or kind in _BUTTON_INPUTS:
        return ""
    if "required" in attrs and _empty(element, controls, ticked, kind):
        return "It is required."
    if kind in ("checkbox", "radio", "select", "file"):
        return ""
    text = controls.text(element)
    if not text:
        return ""
    if kind == "email":
        parts = text.split(",") if "multiple" in attrs else [text]
        if not all(_EMAIL.fullmatch(part) for part in parts):
            return "It takes an e-mail address."
    if kind == "url" and not _URL.fullmatch(text):
        return "It takes an address with its scheme, like http://..."
    if "pattern" in attrs and kind in _SANITISED and not fits(attrs["pattern"], text):
        return f"It has to look like {attrs.get('title') or attrs['pattern']!r}."
    return out_of_range(kind, attrs, text) if kind in EXAMPLES and kind != "color" else ""


def _empty(element: Element, controls: Controls, ticked: set[str], kind: str) -> bool:
    name = element.attrs.get("name", "")
    if kind == "checkbox" or (kind == "radio" and not name):
        return not controls.checked(element)
    if kind == "radio":
        return name not in ticked
    if kind == "select":
        choices = options(element)
        return not any(option_value(choices[i]) for i in controls.selected(element) if i < len(choices))
    return not controls.text(element)


def radio_group(document: Document, element: Element) -> list[Element]:
    """The radio buttons of which one can be ticked, ``element`` among them."""
    name = element.attrs.get("name", "")
    if not name:
        return [element]
    form = form_of(document, element)
    return [
        item
        for item in document.elements
        if item.tag == "input"
        and input_type(item) == "radio"
        and item.attrs.get("name") == name
        and form_of(document, item) is form
    ]
