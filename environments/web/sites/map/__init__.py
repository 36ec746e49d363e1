"""A map of a town: places, opening hours, reviews, saved places and ways. Plain WSGI over SQLite, no packages."""

from __future__ import annotations

from agentgym.environments.web.sites.map.app import make_app
from agentgym.environments.web.sites.map.world import golden
from agentgym.environments.web.sites.site import MemorySite, Site


def make_map() -> Site:
    """A running map."""
    return MemorySite("map.test", make_app, golden)
