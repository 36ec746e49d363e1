"""The shop: django-oscar with its dashboard, filled from a number; in a process of its own."""

from __future__ import annotations

from agentgym.environments.web.sites.shop.world import golden
from agentgym.environments.web.sites.site import Site
from agentgym.environments.web.sites.worker import WorkerSite
from agentgym.environments.web.sites.world import World


def make_site() -> Site:
    """A running shop."""
    return WorkerSite("shop.test", "agentgym.environments.web.sites.shop.inside:make", golden)


def open_world(number: int) -> World:
    """The world of a number."""
    return World(golden(number))


def planted(text: str) -> tuple[str, ...]:
    """Edits that put a text into reviews and descriptions."""
    quoted = text.replace("'", "''")
    return (
        f"UPDATE reviews_productreview SET body = '{quoted}'",
        f"UPDATE catalogue_product SET description = description || ' {quoted}'",
    )
