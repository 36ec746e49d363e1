"""Filling the databases of applications whose tables others designed, without running the applications."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentgym.core.cache import built_once, cache_root
from agentgym.environments.web.sites.changes import watch
from agentgym.environments.web.sites.worker import built

_FILE = "base"


def base_database(name: str, target: str, versions: str) -> bytes:
    """The empty database of an application: made by the application once, then kept in the cache folder.

    Args:
        name: Of the site.
        target: What makes the application, for a worker.
        versions: Of all that it depends on; other versions make another.

    Raises:
        ConfigError: The cache folder can't be written.
        Fault: The application failed.
    """
    folder = cache_root() / "web" / f"{name}-{versions}"
    return _read(str(built_once(folder, lambda place: _fill(place, target))))


def _fill(folder: Path, target: str) -> None:
    (folder / _FILE).write_bytes(built(target))


@lru_cache(maxsize=8)
def _read(folder: str) -> bytes:
    return (Path(folder) / _FILE).read_bytes()


def kept_world(name: str, versions: str, number: int, make: Callable[[], bytes]) -> bytes:
    """The golden data of a world: made once, then kept in the cache folder, compressed.

    Two processes may make the same world at the same time; what either writes is the same and complete.
    """
    path = cache_root() / "web" / f"{name}-{versions}-worlds" / str(number)
    with contextlib.suppress(OSError, zlib.error):
        return zlib.decompress(path.read_bytes())
    data = make()
    with contextlib.suppress(OSError):  # a cache that can't be written is made without
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(zlib.compress(data, 1))
        Path(file.name).replace(path)
    return data


def filled(base: bytes, fill: Callable[[sqlite3.Connection], object]) -> bytes:
    """A database with what ``fill`` puts into it, and its log of changes installed and empty."""
    db = sqlite3.connect(":memory:")
    db.deserialize(base)
    fill(db)
    watch(db)
    data = db.serialize()
    db.close()
    return data


class Rows:
    """Puts rows into a database. Columns that aren't given and may not be empty get "", 0 or ``now``."""

    def __init__(self, db: sqlite3.Connection, now: str) -> None:
        self._db = db
        self._now = now
        self._defaults: dict[str, dict[str, Any]] = {}

    def put(self, table: str, **values: Any) -> int:
        """Adds a row and gives its key."""
        row = self._default(table) | values
        columns = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        cursor = self._db.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', tuple(row.values()))
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _default(self, table: str) -> dict[str, Any]:
        if table not in self._defaults:
            info = self._db.execute(f'PRAGMA table_info("{table}")').fetchall()
            needed = [(name, kind.lower()) for _, name, kind, notnull, _, key in info if notnull and not key]
            self._defaults[table] = {name: self._empty(kind) for name, kind in needed}
        return self._defaults[table]

    def _empty(self, kind: str) -> Any:
        if kind.startswith(("date", "time")):
            return self._now
        return "" if kind.startswith(("varchar", "text", "char")) else 0
