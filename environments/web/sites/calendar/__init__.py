"""A calendar: days, weeks, months, events that repeat, guests and invitations. Plain WSGI over SQLite, no packages."""

from __future__ import annotations

from agentgym.environments.web.sites.calendar.app import make_app
from agentgym.environments.web.sites.calendar.world import golden
from agentgym.environments.web.sites.site import MemorySite, Site


def make_calendar() -> Site:
    """A running calendar."""
    return MemorySite("calendar.test", make_app, golden)
