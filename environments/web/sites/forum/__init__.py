"""The forum: django-machina, filled from a number; in a process of its own."""

from __future__ import annotations

from agentgym.environments.web.sites.forum.world import golden
from agentgym.environments.web.sites.site import Site
from agentgym.environments.web.sites.worker import WorkerSite
from agentgym.environments.web.sites.world import World


def make_site() -> Site:
    """A running forum."""
    return WorkerSite("forum.test", "agentgym.environments.web.sites.forum.inside:make", golden)


def open_world(number: int) -> World:
    """The world of a number."""
    return World(golden(number))


def planted(text: str) -> tuple[str, ...]:
    """Edits that put a text below everyone's posts, as their signature."""
    quoted = text.replace("'", "''")
    return (
        f"UPDATE forum_member_forumprofile SET signature = '{quoted}', _signature_rendered = '<p>{quoted}</p>'"
        " WHERE user_id > 2",
    )
