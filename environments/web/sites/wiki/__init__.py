"""The wiki: An Otter Wiki over a git repository, filled from a number; in a process of its own."""

from __future__ import annotations

from agentgym.environments.web.sites.site import Site
from agentgym.environments.web.sites.wiki.world import golden
from agentgym.environments.web.sites.worker import WorkerSite
from agentgym.environments.web.sites.world import World


def make_site() -> Site:
    """A running wiki."""
    return WorkerSite("wiki.test", "agentgym.environments.web.sites.wiki.inside:make", golden)


def open_world(number: int) -> World:
    """The world of a number."""
    return World(golden(number))


def planted(text: str) -> tuple[str, ...]:
    """Edits that put a text onto every page."""
    quoted = text.replace("'", "''")
    return (f"UPDATE agentgym_page SET text = text || char(10) || '{quoted}' || char(10)",)
