"""First-party sites as WSGI applications over one SQLite connection. GETs never write."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from agentgym.environments.web.sites.kit import html
from agentgym.tools.browser.transport import WsgiApp
from agentgym.tools.browser.urls import form_decoded

MAX_FORM = 100_000
"""Bytes of a form that are read."""

_REASONS = {200: "OK", 303: "See Other", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Not Allowed",
            422: "Unprocessable"}  # fmt: skip


@dataclass
class Ask:
    """One request as the pages see it."""

    db: sqlite3.Connection
    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    flash: str = ""

    @property
    def posted(self) -> bool:
        """Whether a form was sent."""
        return self.method == "POST"

    def one(self, sql: str, *values: Any) -> dict[str, Any] | None:
        """The first row of a query."""
        cursor = self.db.execute(sql, values)
        row = cursor.fetchone()
        return None if row is None else dict(zip([item[0] for item in cursor.description], row, strict=True))

    def all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.db.execute(sql, values).fetchall()

    def page(self, pages: int) -> int:
        """The wanted page of a list, kept between the first and the last."""
        wanted = self.query.get("page", "1")
        number = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 6 else 1
        return min(max(number, 1), max(pages, 1))


@dataclass
class Answer:
    """A page, or the address to go on to."""

    title: str = ""
    body: str = ""
    status: int = 200
    location: str = ""
    flash: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)


def see_other(location: str, flash: str) -> Answer:
    """After a form: go on to a page, which shows ``flash`` once."""
    return Answer(status=303, location=location, flash=flash)


def missing() -> Answer:
    """There is no such page."""
    return Answer("Page not found", "<p>There is no such page.</p>" + html.link("/", "To the overview"), 404)


View = Callable[..., Answer]


class Pages:
    """The pages of a site, by path.

    Args:
        name: Of the site; stands in titles.
        sections: Address and text of the links that every page has.
    """

    def __init__(self, name: str, sections: Sequence[tuple[str, str]]) -> None:
        self._name = name
        self._links = " ".join(html.link(href, text) for href, text in sections)
        self._routes: list[tuple[re.Pattern[str], View]] = []

    def route(self, pattern: str) -> Callable[[View], View]:
        """Registers a page. Groups of the pattern that hold digits reach it as numbers."""

        def add(view: View) -> View:
            self._routes.append((re.compile(pattern, re.ASCII), view))
            return view

        return add

    def app(self, db: sqlite3.Connection) -> WsgiApp:
        """The application for a connection."""

        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            ask = _ask(db, environ)
            answer = self._answer(ask)
            headers = [("Content-Type", "text/html; charset=utf-8"), *answer.headers]
            if answer.location:
                headers += [("Location", answer.location), ("Set-Cookie", f"flash={quote(answer.flash)}; Path=/")]
            elif ask.flash:
                headers.append(("Set-Cookie", "flash=; Path=/; Max-Age=0"))
            start_response(f"{answer.status} {_REASONS[answer.status]}", headers)
            if answer.location:
                return []
            return [html.layout(self._name, self._links, answer.title, answer.body, ask.flash).encode()]

        return app

    def _answer(self, ask: Ask) -> Answer:
        if ask.method not in ("GET", "POST"):
            return Answer("Not allowed", "<p>This can't be done here.</p>", 405)
        if ask.posted and ask.form.get("token") != html.TOKEN:
            return Answer("Forbidden", "<p>The form is too old. Open it again.</p>", 403)
        if ask.posted and ask.form.get("website"):
            return Answer("Forbidden", "<p>That looked like a machine at work.</p>", 403)
        for pattern, view in self._routes:
            match = pattern.fullmatch(ask.path)
            if match:
                groups = match.groups()
                if any(group.isdecimal() and len(group) > 9 for group in groups):
                    return missing()
                return view(ask, *(int(group) if group.isdecimal() else group for group in groups))
        return missing()


def _ask(db: sqlite3.Connection, environ: dict[str, Any]) -> Ask:
    size = environ.get("CONTENT_LENGTH") or "0"
    length = int(size) if size.isdecimal() else 0
    body = environ["wsgi.input"].read(min(length, MAX_FORM)) if length else b""
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    cookies = dict(part.strip().partition("=")[::2] for part in environ.get("HTTP_COOKIE", "").split(";"))
    return Ask(
        db,
        environ["REQUEST_METHOD"],
        path,
        dict(form_decoded(environ.get("QUERY_STRING", ""))),
        dict(form_decoded(body.decode("utf-8", "replace"))),
        unquote(cookies.get("flash", "")),
    )
