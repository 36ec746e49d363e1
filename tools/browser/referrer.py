"""Which address a request says that it comes from (Referrer Policy), when a link or form of a page leads to it."""

from __future__ import annotations

from urllib.parse import urlsplit

from agentgym.tools.browser.dom import Document
from agentgym.tools.browser.element import Element


def origin_of(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def referrer_policy(document: Document, cause: Element) -> str:
    """What a page says about naming itself to where a link or form leads; empty for the usual."""
    if "noreferrer" in cause.attrs.get("rel", "").lower().split():
        return "no-referrer"
    said = [
        element.attrs.get("content", "")
        for element in document.elements
        if element.tag == "meta" and element.attrs.get("name", "").lower() == "referrer"
    ]
    return (cause.attrs.get("referrerpolicy") or next(reversed(said), "")).strip().lower()


def referer(policy: str, page: str, url: str) -> str:
    """What a request for ``url`` names; empty for nothing, as where ``page`` is no site's."""
    if not page.startswith("http"):
        return ""
    own = origin_of(page) == origin_of(url)
    match policy:
        case "no-referrer" | "never":
            return ""
        case "same-origin":
            return page if own else ""
        case "origin" | "strict-origin":
            return origin_of(page) + "/"
        case "unsafe-url" | "always" | "no-referrer-when-downgrade":
            return page
    return page if own else origin_of(page) + "/"
