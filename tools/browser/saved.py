"""What a snapshot holds of a browser that can't be copied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agentgym.tools.browser.dom import Document
from agentgym.tools.browser.forms import Controls


@dataclass
class Saved:
    """A Chromium browser as plain data."""

    tabs: list[dict[str, Any]] = field(default_factory=list)
    active: int = 0
    cookies: list[dict[str, Any]] = field(default_factory=list)


def values_of(document: Document) -> list[tuple[int, str, Any]]:
    """The state of every control. What differs from an untouched page isn't known, so all of them."""
    found: list[tuple[int, str, Any]] = []
    controls = Controls()
    for element in document.elements:
        if element.tag == "details":
            found.append((element.index, "details", "open" in element.attrs))
        elif element.tag == "select":
            found.append((element.index, "select", controls.selected(element)))
        elif element.tag == "input" and element.attrs.get("type", "").lower() in ("checkbox", "radio"):
            found.append((element.index, "tick", controls.checked(element)))
        elif element.tag == "textarea" or (element.tag == "input" and element.display != "none"):
            found.append((element.index, "text", controls.text(element)))
    return found


def cookie(item: dict[str, Any]) -> dict[str, Any]:
    """A cookie as Playwright takes it back."""
    return {key: item[key] for key in ("name", "value", "domain", "path", "httpOnly", "sameSite") if key in item}
