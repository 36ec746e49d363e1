"""What has changed in a database since it was opened: net differences, read from a log that triggers write."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

_LOG = "agentgym_log"


@dataclass(frozen=True)
class Change:
    """One row that isn't what it was. ``before`` is None for an added row, ``after`` for a deleted one."""

    table: str
    row: int
    before: Row | None
    after: Row | None
    site: str = ""
    """Name of the site, where several run."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that differ; for added and deleted rows all of them."""
        if self.before is None or self.after is None:
            return tuple(self.before or self.after or ())
        return tuple(key for key, value in self.after.items() if self.before.get(key) != value)


def watch(connection: sqlite3.Connection, tables: Iterable[str] | None = None) -> None:
    """Installs log and triggers; call it once, when a golden database is built.

    The log lies in the database itself, so that copies and snapshots carry it along. Tables need an integer key.
    """
    found = tables if tables is not None else table_names(connection)
    connection.execute(f"CREATE TABLE {_LOG} (seq INTEGER PRIMARY KEY, tbl TEXT, row INTEGER, before TEXT)")
    for table in found:
        old = _json(connection, table, "old.")
        for event, row, before in (
            ("INSERT", "new.rowid", "NULL"),
            ("UPDATE", "old.rowid", f"{old}"),
            ("DELETE", "old.rowid", f"{old}"),
        ):
            connection.execute(
                f'CREATE TRIGGER "{_LOG}_{table}_{event}" AFTER {event} ON "{table}" BEGIN '
                f"INSERT INTO {_LOG} (tbl, row, before) VALUES ('{table}', {row}, {before}); END"
            )
    connection.commit()
    _number_schema(connection)


def _number_schema(connection: sqlite3.Connection) -> None:
    """Gives the schema a number that other databases of the same tables don't have.

    A connection that goes from one database to another keeps its compiled statements, and SQLite compiles them anew
    only where that number differs. Without this they would read the pages at which the tables lay before.
    """
    number = zlib.crc32(connection.serialize()) & 0x7FFF_FFFF
    connection.execute(f"PRAGMA schema_version = {number}")
    connection.commit()


def _json(connection: sqlite3.Connection, table: str, prefix: str = "") -> str:
    """An expression for a row as JSON. Applications may have converters for columns, but none for this."""
    columns = [str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")')]
    return "json_object({})".format(", ".join(f"'{name}', {prefix}\"{name}\"" for name in columns))


def table_names(connection: sqlite3.Connection) -> list[str]:
    """The tables with content, sorted."""
    names = (row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"))
    return [name for name in names if name != _LOG and not name.startswith("sqlite_")]


def forget(connection: sqlite3.Connection) -> None:
    """Makes what the database holds now the state that changes are counted from."""
    connection.execute(f"DELETE FROM {_LOG}")
    connection.commit()


def net_changes(connection: sqlite3.Connection) -> tuple[Change, ...]:
    """The rows that differ from the golden database, by table and key. What was done and undone is not among them."""
    first: dict[tuple[str, int], str | None] = {}
    for table, row, before in connection.execute(f"SELECT tbl, row, before FROM {_LOG} ORDER BY seq"):
        first.setdefault((table, row), before)
    changes = []
    for (table, row), text in sorted(first.items()):
        found = connection.execute(
            f'SELECT {_json(connection, table)} FROM "{table}" WHERE rowid = ?', (row,)
        ).fetchone()
        after: Row | None = json.loads(found[0]) if found is not None else None
        was: Row | None = json.loads(text) if text is not None else None
        if was != after:
            changes.append(Change(table, row, was, after))
    return tuple(changes)
