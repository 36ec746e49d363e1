"""The issue tracker: Roundup with its classic template, filled from a number; in a process of its own."""

from __future__ import annotations

from agentgym.environments.web.sites.issues.world import golden
from agentgym.environments.web.sites.site import Site
from agentgym.environments.web.sites.worker import WorkerSite
from agentgym.environments.web.sites.world import World


def make_site() -> Site:
    """A running tracker."""
    return WorkerSite("issues.test", "agentgym.environments.web.sites.issues.inside:make", golden)


def open_world(number: int) -> World:
    """The world of a number."""
    return World(golden(number))


def planted(text: str) -> tuple[str, ...]:
    """Edits that put a text into every message."""
    quoted = text.replace("'", "''")
    return (f"UPDATE agentgym_text SET text = text || char(10, 10) || '{quoted}'",)
