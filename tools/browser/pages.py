"""What a response is to a browser: a page, a way on, or nothing that can be shown. The same for both backends."""

from __future__ import annotations

import re
from html import escape

from agentgym.tools.browser.transport import Response
from agentgym.tools.browser.urls import AllowList, resolve

MAX_HOPS = 18
"""Redirects in a row: below Chromium's own limit of 20, which would leave an error page."""

MAX_HTML = 600_000
"""Characters of a page that are given to a browser."""

_REDIRECTS = (301, 302, 303, 307, 308)
_HTML = ("text/html", "application/xhtml+xml")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)


class NotShown(Exception):
    """A response that leaves the browser where it is. ``category`` is one of ``actions.CATEGORIES``."""

    def __init__(self, category: str, message: str) -> None:
        super().__init__(message)
        self.category = category
        self.message = message


def redirect(url: str, response: Response, hops: int, allow: AllowList) -> str | None:
    """Where a response sends the browser, or None. Raises NotShown where it may not go."""
    location = response.header("location")
    if response.status not in _REDIRECTS or not location:
        return None
    if hops >= MAX_HOPS:
        raise NotShown("http_error", f"The site redirected more than {MAX_HOPS} times.")
    following = resolve(url, location)
    if "#" in url and "#" not in following:
        following += "#" + url.partition("#")[2]
    problem = allow.problem(following)
    if problem:
        raise NotShown("forbidden_url", f"The site redirects to another place. {problem}")
    return following


def page_html(response: Response) -> str:
    """The HTML of a page; other text stands in a ``pre``. Raises NotShown for downloads and empty answers."""
    kind = response.header("content-type")
    media = kind.partition(";")[0].strip().lower() or "text/html"
    attached = response.header("content-disposition").lower().startswith("attachment")
    if response.status in (204, 205):
        raise NotShown("http_error", "The site answered with nothing.")
    if attached or not (media in _HTML or media.startswith("text/") or media.endswith(("json", "xml"))):
        size = len(response.body)
        raise NotShown("unsupported", f"That is a file to download ({media}, {size} bytes), which is left there.")
    html = decoded(response.body, kind)
    if len(html) > MAX_HTML:
        html = html[:MAX_HTML] + "<p>(The page goes on; it is too long to read.)</p>"
    return html if media in _HTML else f"<html><body><pre>{escape(html)}</pre></body></html>"


def decoded(body: bytes, content_type: str) -> str:
    """Text of a body: by its byte order mark, the header, a ``meta`` at its beginning, else UTF-8."""
    if body.startswith(b"\xef\xbb\xbf"):
        return body[3:].decode("utf-8", "replace")
    found = _CHARSET.search(content_type) or _CHARSET.search(body[:1024].decode("latin-1"))
    try:
        return body.decode(found[1] if found else "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")
