"""The code browser: klaus over git repositories, filled from a number; in a process of its own. It is read-only."""

from __future__ import annotations

from agentgym.environments.web.sites.code.world import golden
from agentgym.environments.web.sites.site import Site
from agentgym.environments.web.sites.worker import WorkerSite
from agentgym.environments.web.sites.world import World


def make_site() -> Site:
    """A running code browser."""
    return WorkerSite("code.test", "agentgym.environments.web.sites.code.inside:make", golden)


def open_world(number: int) -> World:
    """The world of a number."""
    return World(golden(number))


def planted(text: str) -> tuple[str, ...]:
    """Edits that put a text into the descriptions of the repositories."""
    quoted = text.replace("'", "''")
    return (f"UPDATE agentgym_repo SET description = description || ' {quoted}'",)
