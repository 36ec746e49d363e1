"""A cookie jar for sites that live in a session: RFC 6265 without expiry dates, which ``transport.tidy`` takes away."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class CookieJar:
    """Cookies by host, name and path, in the order in which they were first set."""

    kept: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def store(self, url: str, header: str) -> None:
        """Takes one ``Set-Cookie`` header of a response from ``url``."""
        parts = urlsplit(url)
        pair, *attributes = header.split(";")
        name, equals, value = pair.strip().partition("=")
        if not equals or not name:
            return
        path, gone = "/" if "/" not in parts.path[1:] else parts.path.rpartition("/")[0], False
        for attribute in attributes:
            key, _, given = attribute.strip().partition("=")
            if key.lower() == "path" and given.startswith("/"):
                path = given
            elif key.lower() == "max-age" and given.strip().startswith(("0", "-")):
                gone = True
        where = (parts.hostname or "", name.strip(), path)
        if gone:
            self.kept.pop(where, None)
        else:
            self.kept[where] = value.strip()

    def header(self, url: str) -> str:
        """The ``Cookie`` header of a request; empty when there is nothing to send."""
        parts = urlsplit(url)
        path = parts.path or "/"
        sent = [
            (name, value, where)
            for (host, name, where), value in self.kept.items()
            if host == parts.hostname and (path == where or path.startswith(where.rstrip("/") + "/"))
        ]
        sent.sort(key=lambda item: -len(item[2]))
        return "; ".join(f"{name}={value}" for name, value, _ in sent)
