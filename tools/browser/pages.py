"""What a response is to a browser: a page, a way on, or nothing that can be shown. The same for both backends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from selectolax.lexbor import LexborHTMLParser

from agentgym.tools.browser.transport import Response
from agentgym.tools.browser.urls import AllowList, resolve, without_fragment

MAX_HOPS = 18
"""Redirects in a row: below Chromium's own limit of 20, which would leave an error page."""

MAX_HTML = 600_000
"""Characters of a page that are given to a browser."""

MAX_DELAY = 5.0
"""Seconds up to which a page that sends its reader on (``refresh``) counts as a redirect; later it just stays."""

_REDIRECTS = (301, 302, 303, 307, 308)
_HTML = ("text/html", "application/xhtml+xml")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SLOW = ("punycode", "idna")
"""Python's codecs that no browser knows and that take quadratic time."""
_REFRESH = re.compile(
    r"\s*(?P<delay>\d{0,9}(?:\.\d*)?)\s*[;,]?\s*(?:url\s*=\s*)?(?P<url>.*)", re.IGNORECASE | re.DOTALL
)
_TIMED = re.compile(r"http-equiv\s*=\s*[\"']?\s*refresh", re.IGNORECASE)
_OBEYED = re.compile(r"http-equiv(\s*=\s*[\"']?\s*(?:refresh|content-security-policy))", re.IGNORECASE)
"""What a page tells browsers to do that is done here (``refresh``), or can't be (what leads to https)."""


class NotShown(Exception):
    """A response that leaves the browser where it is. ``category`` is one of ``actions.CATEGORIES``."""

    def __init__(self, category: str, message: str) -> None:
        super().__init__(message)
        self.category = category
        self.message = message


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a response comes to: a page, or an address to go on to."""

    html: str = ""
    following: str = ""
    keeps_method: bool = False
    """The request is to be made again as it was, body and all."""


def arrive(url: str, response: Response, hops: int, allow: AllowList) -> Arrived:
    """What a browser that asked for ``url`` does with the answer.

    Args:
        url: The address.
        response: The answer.
        hops: Redirects on the way to it.
        allow: Where a redirect may lead.

    Raises:
        NotShown: Where it may not lead, too many redirects, downloads and empty answers.
    """
    location = response.header("location")
    if response.status in _REDIRECTS and location:
        return Arrived("", _allowed(url, location, hops, allow), response.status in (307, 308))
    html = _page(response)
    onward = _refresh(url, response, html)
    if onward is not None:
        return Arrived("", _allowed(url, onward, hops, allow))
    return Arrived(_OBEYED.sub(r"data-equiv\1", html))


def _allowed(url: str, location: str, hops: int, allow: AllowList) -> str:
    if hops >= MAX_HOPS:
        raise NotShown("http_error", f"The site redirected more than {MAX_HOPS} times.")
    following = resolve(url, location)
    if "#" in url and "#" not in following:
        following += "#" + url.partition("#")[2]
    problem = allow.problem(following)
    if problem:
        raise NotShown("forbidden_url", f"The site redirects to another place. {problem}")
    return following


def _refresh(url: str, response: Response, html: str) -> str | None:
    """Where a page sends its reader on by itself, if it does so soon (HTML, 4.2.5.3)."""
    told = response.header("refresh")
    base = url
    if not told and _TIMED.search(html):
        tree = LexborHTMLParser(html)
        metas = (node.attributes for node in tree.css("meta[http-equiv]"))
        told = next(
            (meta.get("content") or "" for meta in metas if (meta["http-equiv"] or "").strip().lower() == "refresh"), ""
        )
        bases = tree.css("base[href]")
        base = resolve(url, bases[0].attributes["href"] or "") if bases else url
    found = _REFRESH.fullmatch(told) if told else None
    if found is None or found["delay"] in ("", "."):
        return None
    delay, target = float(found["delay"]), found["url"].strip().strip("\"'")
    following = resolve(base, target) if target else url
    if delay > MAX_DELAY or (delay > 0 and without_fragment(following) == without_fragment(url)):
        return None
    return following


def _page(response: Response) -> str:
    """The HTML of a page; other text stands in a ``pre``. Raises NotShown for downloads and empty answers."""
    kind = response.header("content-type")
    media = kind.partition(";")[0].strip().lower() or "text/html"
    attached = response.header("content-disposition").lower().startswith("attachment")
    if response.status in (204, 205, 304):
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
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    found = _CHARSET.search(content_type) or _CHARSET.search(body[:1024].decode("latin-1"))
    named = found[1].lower() if found else "utf-8"
    try:
        return body.decode("utf-8" if named in _SLOW else named, "replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")
