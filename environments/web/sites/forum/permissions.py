"""What the forum asks about permissions, on every page and for every forum, answered once while none of it changes."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

from agentgym.environments.web.sites.django_site import database

MAX_KNOWN = 4_000
"""Answers that are kept; then all are forgotten."""

_TABLES = (
    "forum_permission_forumpermission", "forum_permission_userforumpermission",
    "forum_permission_groupforumpermission", "auth_user_groups",
)  # fmt: skip
"""All that a checker reads, beside numbers of the user and of forums."""
_known: dict[tuple[Any, ...], dict[Any, frozenset[str]]] = {}
_held: list[Any] = ["", 0]
"""What the tables held when the database was opened, and the last write to them before that."""


def opened() -> None:
    """After another database was opened. What its tables say, others with the same rows say too."""
    db = database()
    rows = [db.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in _TABLES]
    _held[:] = repr(rows), _last_write(db)
    if len(_known) > MAX_KNOWN:
        _known.clear()


def install() -> None:
    """Puts memory before machina's checker, and before its template tag's search for method names."""
    from machina.apps.forum_permission.checker import ForumPermissionChecker
    from machina.templatetags import forum_permission_tags

    slow = ForumPermissionChecker.get_perms_for_forumlist

    def get_perms_for_forumlist(self: Any, forums: Sequence[Any], perm_codenames: Sequence[str] | None = None) -> Any:
        user, ids = self.user, tuple(forum and forum.id for forum in forums)
        rows, before = _held
        key = (rows, user.pk, user.is_anonymous, ids, tuple(perm_codenames or ()))
        if _last_write(database()) != before:
            return slow(self, forums, perm_codenames)
        if key not in _known:
            found = slow(self, forums, perm_codenames)
            _known[key] = {forum and forum.id: frozenset(found[forum]) for forum in forums}
        return OrderedDict((forum, set(_known[key][forum and forum.id])) for forum in forums)

    ForumPermissionChecker.get_perms_for_forumlist = get_perms_for_forumlist
    forum_permission_tags.inspect = SimpleNamespace(getmembers=_methods, ismethod=None)


def _last_write(db: sqlite3.Connection) -> int:
    """Number of the last write to the tables, in the log of changes."""
    marks = ", ".join("?" * len(_TABLES))
    found: int | None = db.execute(f"SELECT max(seq) FROM agentgym_log WHERE tbl IN ({marks})", _TABLES).fetchone()[0]
    return found or 0


def _methods(handler: Any, predicate: Any) -> list[tuple[str, None]]:
    """The names of a handler's methods, as ``inspect.getmembers`` has them; the tag reads no more."""
    return _names(handler.__class__)


@cache
def _names(kind: Any) -> list[tuple[str, None]]:
    return [(name, None) for name in dir(kind) if callable(getattr(kind, name))]
