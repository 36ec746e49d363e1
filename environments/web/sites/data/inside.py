"""The data explorer in its own process. Only the worker imports this."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from agentgym.environments.web.sites.changes import Change
from agentgym.environments.web.sites.frozen import Frozen
from agentgym.tools.browser.transport import Asgi, Request, Response

PER_PAGE = 20
_SETTINGS = {
    "num_sql_threads": 0,  # all in the main thread, where a late request can be broken off
    "default_page_size": PER_PAGE,
    "suggest_facets": False,  # what is suggested depends on how fast the machine is
    "default_allow_sql": False,
    "allow_download": False,
    "allow_facet": True,
    "facet_time_limit_ms": 5_000,
    "sql_time_limit_ms": 5_000,
    "default_cache_ttl": 0,
}
_NAME = "weather"
_METADATA = {
    "title": "Open data",
    "databases": {_NAME: {"tables": {"station": {"facets": ["region"], "label_column": "name"}}}},
}


class DataSite:
    """Datasette over one file. See ``inside.Inside``."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{_NAME}.db"
        self._data = b""
        self._served = _served(str(self._path))  # made once: its templates are compiled
        self._app = Asgi(self._served.app())

    def __call__(self, request: Request) -> Response:
        """Answers a request."""
        return self._app(request)

    def build(self) -> bytes:
        """Nothing: the data are made without the application."""
        return b""

    def restore(self, data: bytes, edits: tuple[str, ...]) -> None:
        """Serves other data. What is read-only needn't be put back."""
        if data == self._data and not edits:
            return
        self._path.unlink(missing_ok=True)  # a new file: connections to the old one keep theirs
        db = sqlite3.connect(":memory:")
        db.deserialize(data)
        for edit in edits:
            db.execute(edit)
        db.commit()
        self._path.write_bytes(db.serialize())
        db.close()
        self._data = b"" if edits else data
        self._open()

    def _open(self) -> None:
        """Puts a new database in place of the old one, which keeps connections and counts."""
        from datasette.database import Database

        old = self._served.get_database(_NAME)
        self._served.remove_database(_NAME)
        old.close()
        self._served.add_database(Database(self._served, str(self._path)), name=_NAME)

    def snapshot(self) -> bytes:
        """See ``Site``."""
        return self._path.read_bytes()

    def changes(self) -> tuple[Change, ...]:
        """There never are any."""
        return ()


def _served(path: str) -> Any:
    from datasette.app import Datasette

    templates = str(Path(__file__).parent / "templates")
    return Datasette(
        [path], settings=_SETTINGS, metadata=_METADATA, template_dir=templates, secret="frozen", cors=False
    )


def make(frozen: Frozen, folder: Path) -> DataSite:
    """The explorer, with its file in ``folder``."""
    return DataSite(folder)
