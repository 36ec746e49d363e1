"""The first-party site: an address book with orders and a small catalogue. Plain WSGI over SQLite, no packages."""

from __future__ import annotations

from agentgym.environments.web.sites.book.app import make_app
from agentgym.environments.web.sites.book.world import golden
from agentgym.environments.web.sites.site import MemorySite, Site


def make_book() -> Site:
    """A running address book."""
    return MemorySite("book.test", make_app, golden)
