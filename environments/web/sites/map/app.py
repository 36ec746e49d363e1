"""The pages of the map."""

from __future__ import annotations

import sqlite3

from agentgym.environments.web.sites.kit.app import Pages
from agentgym.tools.browser.transport import WsgiApp

PAGES = Pages(
    "Map",
    (
        ("/", "Overview"),
        ("/places", "Places"),
        ("/route", "Route"),
        ("/saved", "Saved places"),
        ("/settings", "Settings"),
    ),
)
route = PAGES.route


def make_app(db: sqlite3.Connection) -> WsgiApp:
    """The application for a connection."""
    from agentgym.environments.web.sites.map import own, places, travel  # noqa: F401 - they register pages

    return PAGES.app(db)
