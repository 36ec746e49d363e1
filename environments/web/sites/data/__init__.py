"""The data explorer: datasette over measurements of weather stations, read-only; in a process of its own."""

from __future__ import annotations

from agentgym.environments.web.sites.data.world import golden
from agentgym.environments.web.sites.site import Site
from agentgym.environments.web.sites.worker import WorkerSite
from agentgym.environments.web.sites.world import World


def make_site() -> Site:
    """A running explorer."""
    return WorkerSite("data.test", "agentgym.environments.web.sites.data.inside:make", golden)


def open_world(number: int) -> World:
    """The world of a number."""
    return World(golden(number))


def planted(text: str) -> tuple[str, ...]:
    """Edits that put a text into the remarks on stations."""
    quoted = text.replace("'", "''")
    return (f"UPDATE station SET remarks = '{quoted}'",)
