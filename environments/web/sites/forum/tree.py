"""The tree of forums, read once while nothing is written: machina asks for it anew for every forum of a page."""

from __future__ import annotations

import copy
from typing import Any

from agentgym.environments.web.sites.django_site import database

_read: list[Any] = [-1, []]
"""Writes so far when the forums were read, and the forums."""


def opened() -> None:
    """After another database was opened."""
    _read[:] = -1, []


def install() -> None:
    """Puts what was read before machina's own queries, and the topic of a forum's last post into the query for it."""
    from django.db.models.query import QuerySet
    from machina.apps.forum.models import Forum
    from machina.apps.forum.visibility import ForumVisibilityContentTree
    from machina.apps.forum_permission.handler import PermissionHandler

    slow_tree, slow_ancestors = ForumVisibilityContentTree.from_forums.__func__, Forum.get_ancestors

    def forums() -> list[Any]:
        writes = database().total_changes
        if _read[0] != writes:
            _read[:] = writes, list(Forum.objects.all())
        return [copy.copy(forum) for forum in _read[1]]  # pages keep things of their own on them

    def get_all_forums(self: Any) -> list[Any]:
        if not hasattr(self, "_all_forums"):
            self._all_forums = forums()
        return list(self._all_forums)

    def get_ancestors(self: Any, ascending: bool = False, include_self: bool = False) -> Any:
        if ascending or not include_self or self.pk is None:
            return slow_ancestors(self, ascending, include_self)
        return [it for it in forums() if it.tree_id == self.tree_id and it.lft <= self.lft and it.rght >= self.rght]

    def from_forums(cls: Any, forums: Any) -> Any:
        return slow_tree(cls, forums.select_related("last_post__topic") if isinstance(forums, QuerySet) else forums)

    PermissionHandler._get_all_forums = get_all_forums
    Forum.get_ancestors = get_ancestors
    ForumVisibilityContentTree.from_forums = classmethod(from_forums)
