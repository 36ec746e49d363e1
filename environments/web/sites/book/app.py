"""The pages of the address book."""

from __future__ import annotations

import sqlite3

from agentgym.environments.web.sites.kit.app import Pages
from agentgym.tools.browser.transport import WsgiApp

PAGES = Pages(
    "Address book",
    (
        ("/", "Overview"),
        ("/contacts", "Contacts"),
        ("/orders", "Orders"),
        ("/products", "Products"),
        ("/settings", "Settings"),
    ),
)
route = PAGES.route


def make_app(db: sqlite3.Connection) -> WsgiApp:
    """The application for a connection."""
    from agentgym.environments.web.sites.book import contacts, orders, products  # noqa: F401 - they register pages

    return PAGES.app(db)
