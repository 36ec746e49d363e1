"""A map of a town: places, opening hours, reviews, saved places and ways. Plain WSGI over SQLite, no packages."""

from __future__ import annotations

from agentgym.environments.web.sites.map.app import make_app
from agentgym.environments.web.sites.map.world import golden
from agentgym.environments.web.sites.site import MemorySite, Site
from agentgym.environments.web.sites.world import World


def make_site() -> Site:
    """A running map."""
    return MemorySite("map.test", make_app, golden)


def open_world(number: int) -> World:
    """The world of a number."""
    return World(golden(number))


def planted(text: str) -> tuple[str, ...]:
    """Edits that put a text into every place's reviews and the notes on saved ones."""
    quoted = text.replace("'", "''")
    return f"UPDATE review SET text = '{quoted}'", f"UPDATE saved SET note = '{quoted}'"
