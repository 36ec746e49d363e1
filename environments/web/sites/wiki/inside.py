"""The wiki in its own process. Only workers import this."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from agentgym.environments.web.sites.changes import Change, Row
from agentgym.environments.web.sites.frozen import Frozen
from agentgym.environments.web.sites.repository import Commit, git_files
from agentgym.environments.web.sites.wiki import headings, history
from agentgym.tools.browser.transport import Request, Response, Wsgi

_SETTINGS = {
    "SECRET_KEY": "not a secret: this site runs in a sandbox of its own",
    "SITE_NAME": "Wiki",
    "AUTH_METHOD": "PROXY_HEADER",
    "READ_ACCESS": "REGISTERED",
    "WRITE_ACCESS": "REGISTERED",
    "ATTACHMENT_ACCESS": "REGISTERED",
    "RETAIN_PAGE_NAME_CASE": "true",
    "COMMIT_MESSAGE": "OPTIONAL",
    "LOG_LEVEL": "CRITICAL",
    "LOG_LEVEL_WERKZEUG": "CRITICAL",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_COMMITTER_NAME": "Wiki",  # else a commit, and its address, depend on the machine
    "GIT_COMMITTER_EMAIL": "wiki@wiki.test",
}
_FIRST_NEW = 1000


class Wiki:
    """An Otter Wiki over a repository in a private folder. See ``inside.Inside``."""

    def __init__(self, frozen: Frozen, folder: Path) -> None:
        self._frozen = frozen
        self._folder = folder / "pages"
        self._database = folder / "wiki.sqlite"
        self._golden: dict[str, tuple[int, str]] = {}
        self._visitor: dict[str, str] = {}
        self._data = b""
        self._git: dict[str, bytes] = git_files(
            [Commit("Nobody", "nobody@wiki.test", 0, "Start", {"Home.md": "# Home\n"})]
        )
        self._write(self._git, {"Home.md": "# Home\n"})
        settings = {"REPOSITORY": str(self._folder), "SQLALCHEMY_DATABASE_URI": f"sqlite:///{self._database}"}
        os.environ.update(_SETTINGS | settings)
        self._load()

    def _load(self) -> None:
        import otterwiki.util

        otterwiki.util.ttl_lru_cache = lambda **_: lambda function: function  # time stands still: nothing would expire
        import otterwiki.server
        import otterwiki.views
        from jinja2 import ChoiceLoader, FileSystemLoader

        history.install()
        headings.install()
        self._server: Any = otterwiki.server
        loader = self._server.app.jinja_loader
        self._server.app.jinja_loader = ChoiceLoader([FileSystemLoader(Path(__file__).parent / "templates"), loader])
        with self._server.app.app_context():
            self._server.db.session.remove()
            self._server.db.engine.dispose()
        self._fresh = self._database.read_bytes()
        app = self._server.app
        self._app = Wsgi(lambda environ, start: app(environ | self._visitor, start))

    def __call__(self, request: Request) -> Response:
        """Answers a request as the world's visitor."""
        return self._app(request)

    def build(self) -> bytes:
        """Nothing has to be built: worlds hold all that the wiki needs."""
        return b""

    def _write(self, git: dict[str, bytes], pages: dict[str, str]) -> None:
        """Makes the folder hold this repository and these pages, writing what differs."""
        wanted = {f".git/{name}": data for name, data in git.items()}
        wanted |= {name: text.encode() for name, text in pages.items()}
        for path in sorted(self._folder.rglob("*"), reverse=True) if self._folder.exists() else ():
            name = path.relative_to(self._folder).as_posix()
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()) and name not in (".git/refs", ".git/objects"):
                    path.rmdir()
            elif name not in wanted:
                path.unlink()
        for folder in (".git/refs", ".git/objects"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        for name, data in wanted.items():
            path = self._folder / name
            if not path.exists() or path.read_bytes() != data:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)  # packs are read-only
                path.write_bytes(data)

    def restore(self, data: bytes, edits: tuple[str, ...]) -> None:
        """See ``Site``."""
        import git

        self._data = data
        with closing(sqlite3.connect(":memory:")) as db:
            db.deserialize(data)
            for edit in edits:
                db.execute(edit)
            now, name, email = db.execute("SELECT now, visitor, email FROM agentgym_world").fetchone()
            pages = {f"{name}.md": (key, text) for key, name, text in db.execute("SELECT * FROM agentgym_page")}
            files = dict(db.execute("SELECT path, data FROM agentgym_file"))
            kept = dict(db.execute("SELECT path, data FROM agentgym_work")) if _has(db, "agentgym_work") else {}
            own = (
                db.execute("SELECT data FROM agentgym_site").fetchone() if _has(db, "agentgym_site") else (self._fresh,)
            )
            if edits:
                db.commit()  # what isn't would be left out of the copy
                self._data = db.serialize()
        self._golden = pages
        self._visitor = {"HTTP_X_OTTERWIKI_NAME": name, "HTTP_X_OTTERWIKI_EMAIL": email,
                         "HTTP_X_OTTERWIKI_PERMISSIONS": "READ,WRITE"}  # fmt: skip
        self._frozen.stand_at(now)
        work = {path: bytes(data).decode(errors="surrogateescape") for path, data in kept.items()}
        self._write(files, work or {path: text for path, (_, text) in pages.items()})
        with self._server.app.app_context():
            self._server.db.session.remove()
            self._server.db.engine.dispose()
        self._database.write_bytes(own[0])
        self._server.storage.repo.close()
        self._server.storage.repo = git.Repo(self._folder, odbt=git.GitDB)  # reads in this process

    def snapshot(self) -> bytes:
        """See ``Site``: the world, with repository, pages and the wiki's own database as they are."""
        with closing(sqlite3.connect(":memory:")) as db:
            db.deserialize(self._data)
            db.execute("DELETE FROM agentgym_file")
            for table in ("agentgym_work", "agentgym_site"):
                db.execute(f"DROP TABLE IF EXISTS {table}")
            db.execute("CREATE TABLE agentgym_work (path TEXT PRIMARY KEY, data BLOB)")
            db.execute("CREATE TABLE agentgym_site (data BLOB)")
            db.execute("INSERT INTO agentgym_site VALUES (?)", (self._database.read_bytes(),))
            for path in sorted(path for path in self._folder.rglob("*") if path.is_file()):
                name = path.relative_to(self._folder).as_posix()
                table = "agentgym_file" if name.startswith(".git/") else "agentgym_work"
                db.execute(f"INSERT INTO {table} VALUES (?, ?)", (name.removeprefix(".git/"), path.read_bytes()))
            db.commit()
            return db.serialize()

    def changes(self) -> tuple[Change, ...]:
        """See ``Site``. Pages by name and text, and other files by name; a page under a new name is a new one."""
        now = {
            path.relative_to(self._folder).as_posix(): path
            for path in sorted(self._folder.rglob("*"))
            if _is_page(path)
        }
        found = []
        for name, (key, text) in self._golden.items():
            after = _row(name, now.pop(name)) if name in now else None
            before = {"name": name.removesuffix(".md"), "text": text.rstrip()}
            if before != after:
                found.append(Change("page", key, before, after))
        new = [_row(name, path) for name, path in now.items()]
        return (*found, *(Change("page", _FIRST_NEW + i, None, row) for i, row in enumerate(new)))


def _has(db: sqlite3.Connection, table: str) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def _is_page(path: Path) -> bool:
    return path.is_file() and ".git" not in path.parts


def _row(name: str, path: Path) -> Row:
    """A page as it lies there; line ends and blanks at the end say nothing."""
    text = path.read_bytes().decode(errors="replace").replace("\r\n", "\n")
    return {"name": name.removesuffix(".md"), "text": text.rstrip()}


def make(frozen: Frozen, folder: Path) -> Wiki:
    """See ``inside``."""
    return Wiki(frozen, folder)
