"""A cookie jar for sites that live in a session: RFC 6265bis without expiry, which ``transport.tidy`` takes away."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MAX_COOKIE = 4_096
"""Bytes of name and value."""
MAX_ATTRIBUTE = 1_024
MAX_HOST, KEPT_OF_HOST = 180, 150
"""Cookies of a host, and how many of them stay when there are more, as in Chromium."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Cookie:
    """What is kept of one."""

    value: str
    shared: bool = False
    """Subdomains get it too."""
    same_site: str = ""


def site_of(host: str) -> str:
    """What counts as one site: the last two labels of a host name, as for endings that aren't on the public list."""
    return host if host.replace(".", "").isdigit() else ".".join(host.split(".")[-2:])


@dataclass
class CookieJar:
    """Cookies by domain, name and path, in the order in which they were first set."""

    kept: dict[tuple[str, str, str], Cookie] = field(default_factory=dict)

    def store(self, url: str, header: str) -> None:
        """Takes one ``Set-Cookie`` header of a response from ``url``."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        pair, *rest = header.split(";")
        name, equals, value = pair.strip().partition("=")
        name, value = (name.strip(), value.strip()) if equals else ("", name.strip())
        if not _allowed(name, value):
            return
        attributes = [item.strip().partition("=")[::2] for item in rest]
        told = {key.strip().lower(): given.strip() for key, given in attributes if len(given) <= MAX_ATTRIBUTE}
        domain = told.get("domain", "").lower().removeprefix(".")
        shared = bool(domain)
        if shared and domain != host and not (host.endswith("." + domain) and "." in domain):
            return
        path = told.get("path", "")
        if not path.startswith("/"):
            path = "/" if "/" not in parts.path[1:] else parts.path.rpartition("/")[0]
        where = (domain or host, name, path)
        cookie = Cookie(value, shared, told.get("samesite", "").lower())
        if self.kept.get(where, cookie) != cookie:
            del self.kept[where]
        if told.get("max-age", "").startswith(("0", "-")):
            self.kept.pop(where, None)
        else:
            self.kept[where] = cookie
        self._drop_surplus(where[0])

    def _drop_surplus(self, domain: str) -> None:
        own = [key for key in self.kept if key[0] == domain]
        if len(own) > MAX_HOST:
            for key in own[: len(own) - KEPT_OF_HOST]:
                del self.kept[key]

    def header(self, url: str, initiator: str = "", method: str = "GET") -> str:
        """The ``Cookie`` header of a request; empty when there is nothing to send.

        Args:
            url: What is asked for.
            initiator: Address of the page that leads there; empty for a typed address.
            method: Of the request.
        """
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path or "/"
        foreign = bool(initiator) and site_of(urlsplit(initiator).hostname or "") != site_of(host)
        kept_back = {"strict", "lax"} if method == "POST" else {"strict"}
        sent = [
            (name, cookie.value, where)
            for (domain, name, where), cookie in self.kept.items()
            if (host == domain or (cookie.shared and host.endswith("." + domain)))
            and (path == where or path.startswith(where.rstrip("/") + "/"))
            and not (foreign and cookie.same_site in kept_back)
        ]
        sent.sort(key=lambda item: -len(item[2]))
        return "; ".join(f"{name}={value}" if name else value for name, value, _ in sent)


def _allowed(name: str, value: str) -> bool:
    """Whether a browser keeps such a cookie; prefixes that ask for a safe connection can't be met."""
    if not (name or value) or len(name.encode("utf-8", "replace")) + len(value.encode("utf-8", "replace")) > MAX_COOKIE:
        return False
    whole = (name or value).lower()
    return not (_CONTROL.search(name + value) or whole.startswith(("__secure-", "__host-")))
