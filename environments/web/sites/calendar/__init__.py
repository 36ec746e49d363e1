"""A calendar: days, weeks, months, events that repeat, guests and invitations. Plain WSGI over SQLite, no packages."""

from __future__ import annotations

from agentgym.environments.web.sites.calendar.app import make_app
from agentgym.environments.web.sites.calendar.world import golden
from agentgym.environments.web.sites.site import MemorySite, Site
from agentgym.environments.web.sites.world import World


def make_site() -> Site:
    """A running calendar."""
    return MemorySite("calendar.test", make_app, golden)


def open_world(number: int) -> World:
    """The world of a number."""
    return World(golden(number))


def planted(text: str) -> tuple[str, ...]:
    """Edits that put a text into every event's notes."""
    quoted = text.replace("'", "''")
    return (f"UPDATE event SET notes = '{quoted}'",)
