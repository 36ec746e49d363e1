"""The pages of the calendar."""

from __future__ import annotations

import sqlite3

from agentgym.environments.web.sites.kit.app import Pages
from agentgym.tools.browser.transport import WsgiApp

PAGES = Pages(
    "Calendar",
    (
        ("/", "Agenda"),
        ("/week", "Week"),
        ("/month", "Month"),
        ("/events/new", "New event"),
        ("/invitations", "Invitations"),
        ("/search", "Search"),
        ("/free", "Free times"),
        ("/people", "People"),
    ),
)
route = PAGES.route


def make_app(db: sqlite3.Connection) -> WsgiApp:
    """The application for a connection."""
    from agentgym.environments.web.sites.calendar import editing, events, views  # noqa: F401 - they register pages

    return PAGES.app(db)
