"""Addresses: how they are joined and written, and which may be opened."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

MAX_URL = 8_000
"""Characters of an address."""

_SAFE_PATH = "!$%&'()*+,/:;=@-._~[]"
_SAFE_QUERY = "!$%&()*+,/:;=?@-._~[]{}|\\^`"
_FORM_SAFE = re.compile(r"[A-Za-z0-9*\-._]")
_LONE = re.compile("[\ud800-\udfff]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MISLEADING = re.compile(r"[a-z]*:?[/\\]{2}[^/?#]*\\[^/?#]*@", re.IGNORECASE)
"""Two hosts, of which programs take one or the other: left as it is, which nobody may open."""
_REST = re.compile(r"[?#]")
_MANY = re.compile(r"^(https?:)?/{2,}", re.IGNORECASE)
_DOTS = re.compile(r"(?<=/)(?:\.|%2e){1,2}(?=/|$)", re.IGNORECASE)
_CONTROL = re.compile(r"[\t\n\r]")


def resolve(base: str, href: str) -> str:
    """An address relative to ``base``, written as a browser writes it. What can't be read comes back as it is."""
    href = _CONTROL.sub("", _LONE.sub("\ufffd", href)).strip("".join(map(chr, range(33))))
    href = _slashed(href)
    if href.partition("#")[0] == "?":
        base = base.partition("#")[0].partition("?")[0]
    try:
        return normalise(_keep_query(urljoin(base, href), href))
    except ValueError:
        return href


def _slashed(href: str) -> str:
    """What of an address browsers read as slashes and dots: ``\\`` and ``%2e``, and how many lead to a host."""
    scheme = _SCHEME.match(href)
    if (scheme is not None and scheme[0].lower() not in ("http:", "https:")) or _MISLEADING.match(href):
        return href
    rest = _REST.search(href)
    end = rest.start() if rest else len(href)
    path = href[:end].replace("\\", "/")
    path = _MANY.sub(r"\1//", path)
    path = _DOTS.sub(lambda found: found[0].lower().replace("%2e", "."), path)
    return path + href[end:]


def normalise(url: str) -> str:
    """Lower-case scheme and host, a path that is never empty, default port left out, the rest percent-encoded."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return url
    host = (parts.hostname or "").lower()
    port = parts.port
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        host += f":{port}"
    user = parts.netloc.rpartition("@")[0]
    whole = urlunsplit(
        SplitResult(
            parts.scheme,
            f"{user}@{host}" if user else host,
            quote(_without_dots(parts.path), safe=_SAFE_PATH) or "/",
            quote(parts.query, safe=_SAFE_QUERY),
            quote(parts.fragment, safe=_SAFE_QUERY.replace("`", "") + "'#"),
        )
    )
    return _keep_query(whole, url)


def _without_dots(path: str) -> str:
    """A path without ``.`` and ``..``."""
    if "/." not in path:
        return path
    found: list[str] = []
    *segments, last = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del found[-1:]
        elif segment != ".":
            found.append(segment)
    if last == "..":
        del found[-1:]
    return "/" + "/".join([*found, "" if last in (".", "..") else last])


def _keep_query(url: str, written: str) -> str:
    """``url`` with the empty query that stands in ``written``, as forms without fields send one: Python drops it."""
    before, hash_sign, fragment = url.partition("#")
    lost = "?" in written.partition("#")[0] and "?" not in before
    return f"{before}?{hash_sign}{fragment}" if lost else url


def without_fragment(url: str) -> str:
    """The address without what stands after ``#``."""
    return url.partition("#")[0]


def form_encoded(entries: Iterable[tuple[str, str]]) -> str:
    """``application/x-www-form-urlencoded`` as the URL standard writes it."""
    return "&".join(f"{_form_quote(name)}={_form_quote(value)}" for name, value in entries)


def _form_quote(text: str) -> str:
    return "".join(
        char
        if _FORM_SAFE.fullmatch(char)
        else "+"
        if char == " "
        else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "replace"))
        for char in text
    )


def form_decoded(text: str) -> list[tuple[str, str]]:
    """Inverse of ``form_encoded``; what isn't UTF-8 is replaced."""
    pairs = (part.partition("=") for part in text.split("&") if part)
    return [(_form_unquote(name), _form_unquote(value)) for name, _, value in pairs]


def _form_unquote(text: str) -> str:
    return unquote(text.replace("+", " "), errors="replace")


@dataclass(frozen=True)
class AllowList:
    """What may be opened: hosts over http, on the default port or the one that is named (``localhost:7770``).

    Everything else is refused, in typed addresses, links, forms and redirects alike: other schemes (``file:``,
    ``view-source:``, ``data:``, ``javascript:``), other hosts, other ports (also of this machine), user names.
    """

    hosts: frozenset[str]
    closed: tuple[str, ...] = ()
    """Patterns of addresses on these hosts that may not be opened either: ``host/path?query``, shell wildcards."""

    def problem(self, url: str) -> str:
        """Why an address may not be opened; empty when it may."""
        if len(url) > MAX_URL:
            return f"The address is longer than {MAX_URL} characters."
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return "That is not an address."
        hosts = ", ".join(sorted(self.hosts))
        if parts.scheme != "http":
            return f"Only http addresses can be opened. Sites: {hosts}."
        place = f"{parts.hostname}:{port}" if port not in (None, 80) else parts.hostname
        if place not in self.hosts or parts.username is not None:
            return f"This site can't be reached from here. Sites: {hosts}."
        whole = unquote(f"{parts.hostname}{parts.path or '/'}?{parts.query}").rstrip("?").lower()
        if any(fnmatchcase(whole, pattern) for pattern in self.closed):
            return "This page is closed for this task: do it on the site's other pages."
        return ""
