"""The tracker in its own process. Only workers import this."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

from agentgym.environments.web.sites.changes import Change, Row, forget, net_changes
from agentgym.environments.web.sites.frozen import Frozen
from agentgym.tools.browser.transport import Request, Response, Wsgi

_HOST = "issues.test"
_SETTINGS = {
    "TRACKER_NAME": "Issues",
    "TRACKER_WEB": f"http://{_HOST}/",
    "MAIL_DOMAIN": _HOST,
    "MAIL_HOST": "localhost",
    "MAIL_DEBUG": "/dev/null",
    "WEB_HTTP_AUTH": "yes",
    "WEB_USE_TOKENLESS_CSRF_PROTECTION": "yes",
    "WEB_USE_BROWSER_LANGUAGE": "no",
    "WEB_ENABLE_REST": "no",
    "WEB_ENABLE_XMLRPC": "no",
    "INDEXER": "native",
    "RDBMS_BACKEND": "sqlite",
    "TIMEZONE": "UTC",
}
_LINKS = {"issue_keyword": "keyword", "issue_nosy": "user", "issue_superseder": "superseder"}
_STAMPS = ("activity", "actor", "creation", "creator")


class _Kept(sqlite3.Connection):
    """A database in memory that roundup opens and closes at every request."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.row_factory = sqlite3.Row

    def close(self) -> None:
        """What was not committed is gone; the rest stays."""
        self.rollback()
        self.isolation_level = "DEFERRED"


class Tracker:
    """Roundup over databases in memory and message files in a private folder. See ``inside.Inside``."""

    def __init__(self, frozen: Frozen, folder: Path) -> None:
        import roundup.configuration
        from roundup.backends.back_sqlite import Database
        from roundup.cgi.wsgi_handler import RequestDispatcher

        self._frozen = frozen
        self._home = folder / "tracker"
        source = Path(sys.prefix) / "share" / "roundup" / "templates" / "classic"
        shutil.copytree(source, self._home, ignore=shutil.ignore_patterns("__pycache__", "nosyreaction.py"))
        (self._home / "db").mkdir()
        roundup.configuration.CoreConfig(settings=_SETTINGS).save(str(self._home / "config.ini"))
        self._db = _Kept()
        self._passing: dict[str, _Kept] = {}
        Database.sql_open_connection = lambda _, dbname=None: self._opened(dbname)
        self._texts = self._home / "db" / "files" / "msg"
        self._written: dict[int, str] = {}
        self._visitor = ""
        dispatcher = RequestDispatcher(str(self._home))
        self._app = Wsgi(lambda environ, start: dispatcher(environ | {"REMOTE_USER": self._visitor}, start))

    def _opened(self, name: str | None) -> tuple[sqlite3.Connection, sqlite3.Cursor]:
        """The tracker's database, or one of those beside it: of sessions and of keys for one time."""
        db = self._passing.setdefault(name, _Kept()) if name else self._db
        return db, db.cursor()

    def __call__(self, request: Request) -> Response:
        """Answers a request as the world's visitor."""
        try:
            return self._app(request)
        finally:
            for db in (self._db, *self._passing.values()):
                db.close()  # roundup does not where the request was broken off

    def build(self) -> bytes:
        """An empty tracker."""
        import roundup.instance
        from roundup.password import Password

        tracker = roundup.instance.open(str(self._home))
        tracker.init(Password("not needed", config=tracker.config))
        db = self._db
        db.execute("CREATE TABLE agentgym_world (now INTEGER, visitor TEXT)")
        db.execute("INSERT INTO agentgym_world VALUES (0, '')")
        db.execute("CREATE TABLE agentgym_text (msg INTEGER PRIMARY KEY, text TEXT)")
        db.execute("CREATE TABLE agentgym_fact (issue INTEGER, name TEXT, value TEXT)")
        db.commit()
        return db.serialize()

    def _path(self, key: int) -> Path:
        return self._texts / str(key // 1000) / f"msg{key}"

    def restore(self, data: bytes, edits: tuple[str, ...]) -> None:
        """See ``Site``. Of the message files those are written that differ."""
        db = self._db
        self._passing.clear()
        db.deserialize(data)
        for edit in edits:
            db.execute(edit)
        if edits:
            forget(db)
        now, self._visitor = db.execute("SELECT now, visitor FROM agentgym_world").fetchone()
        wanted = dict(db.execute("SELECT msg, text FROM agentgym_text"))
        self._frozen.stand_at(now)
        for place in self._texts.glob("*/*") if self._texts.exists() else ():
            key = place.name.removeprefix("msg")
            if not key.isdecimal() or int(key) not in wanted:
                place.unlink()
        for key, text in wanted.items():
            if self._written.get(key) != text or not self._path(key).exists():
                self._path(key).parent.mkdir(parents=True, exist_ok=True)
                self._path(key).write_text(text)
        self._written = wanted

    def _text(self, key: int) -> str:
        path = self._path(key)
        return path.read_text(errors="replace") if path.exists() else ""

    def snapshot(self) -> bytes:
        """See ``Site``. Takes the texts of new messages along."""
        db = self._db
        new = [row[0] for row in db.execute("SELECT id FROM _msg WHERE id NOT IN (SELECT msg FROM agentgym_text)")]
        db.executemany("INSERT INTO agentgym_text VALUES (?, ?)", [(key, self._text(key)) for key in new])
        db.commit()
        return db.serialize()

    def changes(self) -> tuple[Change, ...]:
        """See ``Site``. Rows as people see them: ``issue``, ``message``, ``keyword``, ``user``, ``query`` and links."""
        authors = dict(self._db.execute("SELECT id, _author FROM _msg"))
        found = (self._typed(change, authors) for change in net_changes(self._db))
        return tuple(change for change in found if change is not None and change.before != change.after)

    def _typed(self, change: Change, authors: dict[int, Any]) -> Change | None:
        table = change.table
        if table == "_msg":
            return None  # a message counts where it belongs to an issue
        if table == "issue_messages":
            key = int((change.after or change.before or {})["linkid"])
            return Change("message", key, self._message(change.before, authors), self._message(change.after, authors))
        if table in _LINKS:
            return Change(table, change.row, _link(change.before, _LINKS[table]), _link(change.after, _LINKS[table]))
        return Change(table.removeprefix("_"), change.row, _plain(change.before), _plain(change.after))

    def _message(self, row: Row | None, authors: dict[int, Any]) -> Row | None:
        if row is None:
            return None
        key = int(row["linkid"])
        return {"issue": row["nodeid"], "author": authors.get(key), "text": self._text(key)}


def _link(row: Row | None, name: str) -> Row | None:
    """A link from an issue to something of that name."""
    return None if row is None else {"issue": row["nodeid"], name: row["linkid"]}


def _plain(row: Row | None) -> Row | None:
    """A row without what the tracker keeps for itself."""
    if row is None:
        return None
    named = {key.strip("_"): value for key, value in row.items()}
    return {key: value for key, value in named.items() if key not in (*_STAMPS, "password", "id")}


def make(frozen: Frozen, folder: Path) -> Tracker:
    """See ``inside``."""
    return Tracker(frozen, folder)
