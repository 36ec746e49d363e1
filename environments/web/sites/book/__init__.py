"""The first-party site: an address book with orders and a small catalogue. Plain WSGI over SQLite, no packages."""

from __future__ import annotations

from agentgym.environments.web.sites.book.app import make_app
from agentgym.environments.web.sites.book.world import golden
from agentgym.environments.web.sites.site import MemorySite, Site
from agentgym.environments.web.sites.world import World


def make_site() -> Site:
    """A running address book."""
    return MemorySite("book.test", make_app, golden)


def open_world(number: int) -> World:
    """The world of a number."""
    return World(golden(number))


def planted(text: str) -> tuple[str, ...]:
    """Edits that put a text into every contact's and order's notes."""
    quoted = text.replace("'", "''")
    return f"UPDATE contact SET notes = '{quoted}'", f"UPDATE orders SET note = '{quoted}'"
