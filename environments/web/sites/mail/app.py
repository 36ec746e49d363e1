"""The pages of the mailbox."""

from __future__ import annotations

import sqlite3

from agentgym.environments.web.sites.kit.app import Pages
from agentgym.tools.browser.transport import WsgiApp

PAGES = Pages(
    "Mail",
    (
        ("/compose", "Compose"),
        ("/", "Inbox"),
        ("/starred", "Starred"),
        ("/folder/sent", "Sent"),
        ("/folder/drafts", "Drafts"),
        ("/folder/archive", "Archive"),
        ("/folder/spam", "Spam"),
        ("/folder/trash", "Trash"),
        ("/labels", "Labels"),
        ("/search", "Search"),
        ("/people", "People"),
        ("/settings", "Settings"),
    ),
)
route = PAGES.route


def make_app(db: sqlite3.Connection) -> WsgiApp:
    """The application for a connection."""
    from agentgym.environments.web.sites.mail import labels, lists, reading, writing  # noqa: F401 - register pages

    return PAGES.app(db)
