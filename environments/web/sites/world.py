"""The world of a site: its golden database, to draw tasks from."""

from __future__ import annotations

import sqlite3
from typing import Any

import numpy as np

Row = dict[str, Any]


class World:
    """A golden database to draw tasks from.

    Args:
        data: The serialised database.
    """

    def __init__(self, data: bytes) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.deserialize(data)
        self._known: dict[tuple[str, tuple[Any, ...]], list[Row]] = {}

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """All rows of a query, as dicts. Asked once: the database never changes."""
        found = self._known.get((sql, values))
        if found is None:
            cursor = self._db.execute(sql, values)
            names = [item[0] for item in cursor.description]
            found = self._known[sql, values] = [dict(zip(names, row, strict=True)) for row in cursor]
        return found

    def one(self, rng: np.random.Generator, sql: str, *values: Any) -> Row:
        """A random row of a query."""
        found = self.rows(sql, *values)
        return found[int(rng.integers(len(found)))]
