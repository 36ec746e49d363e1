"""A mailbox: folders, talks, labels, search, drafts. Plain WSGI over SQLite, no packages."""

from __future__ import annotations

from agentgym.environments.web.sites.mail.app import make_app
from agentgym.environments.web.sites.mail.world import golden
from agentgym.environments.web.sites.site import MemorySite, Site
from agentgym.environments.web.sites.world import World


def make_site() -> Site:
    """A running mailbox."""
    return MemorySite("mail.test", make_app, golden)


def open_world(number: int) -> World:
    """The world of a number."""
    return World(golden(number))


def planted(text: str) -> tuple[str, ...]:
    """Edits that put a text into every letter."""
    quoted = text.replace("'", "''")
    return (f"UPDATE message SET body = body || char(10, 10) || '{quoted}' WHERE folder != 'drafts'",)
