"""How experts find their way in the forum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Place
from agentgym.environments.web.guide import Guide
from agentgym.environments.web.sites.world import World

TOPICS = (
    "SELECT t.*, f.name AS forum, f.slug AS forum_slug, u.username AS author FROM forum_conversation_topic t"
    " JOIN forum_forum f ON f.id = t.forum_id JOIN auth_user u ON u.id = t.poster_id ORDER BY t.id"
)
MODERATOR_AT_WORK = {"forum": ("UPDATE agentgym_world SET visitor = 2",)}
"""Edits for a task of the moderator."""
SIGN = "UPDATE forum_member_forumprofile SET signature = ''"


def open_topics(world: World) -> list[dict[str, Any]]:
    """Topics that take replies."""
    return [row for row in world.rows(TOPICS) if row["status"] == 0]


def topic_path(row: Mapping[str, Any]) -> str:
    """Path of a topic's page."""
    return f"/forum/{row['forum_slug']}-{row['forum_id']}/topic/{row['slug']}-{row['id']}/"


def topic_opened(row: Mapping[str, Any]) -> Place:
    """Any page of a topic; links to its posts lead to one too."""
    return Place(topic_path(row), {}, also={"post": [], "page": []})


def forum_path(row: Mapping[str, Any]) -> str:
    """Path of the page of a topic's forum."""
    return f"/forum/{row['forum_slug']}-{row['forum_id']}/"


class ForumGuide(Guide):
    """A guide of the forum."""

    def forum(self, path: str) -> Action | None:
        """Opens a forum from the index; None once it is open."""
        return None if self.path == path else self.follow(path) or self.away()

    def topic(self, path: str) -> Action | None:
        """Opens a topic by way of its forum; None once it or a page below it is open."""
        if self.path.startswith(path):
            return None
        above = path.partition("topic/")[0]
        if self.path != above:
            return self.follow(path) or self.follow(above) or self.away()
        following = Action("goto", {"url": f"http://{self.host}{above}?page={int(self.query.get('page', '1')) + 1}"})
        return self.follow(path) or (following if self.query.get("page", "1") < "3" else self.away())

    def below(self, path: str, page: str) -> Action | None:
        """Opens a page below a topic's; None once it is open."""
        if self.path == path + page:
            return None
        if self.path.startswith(path) and self.path != path:
            return self.follow(path) or self.away()
        return self.topic(path) or self.follow(page) or self.away()

    def confirm(self) -> Action:
        """Says yes to what the page asks."""
        return self.click("button", "Yes, I'm sure") or self.away()
