"""A mailbox: folders, talks, labels, search, drafts. Plain WSGI over SQLite, no packages."""

from __future__ import annotations

from agentgym.environments.web.sites.mail.app import make_app
from agentgym.environments.web.sites.mail.world import golden
from agentgym.environments.web.sites.site import MemorySite, Site


def make_mail() -> Site:
    """A running mailbox."""
    return MemorySite("mail.test", make_app, golden)
