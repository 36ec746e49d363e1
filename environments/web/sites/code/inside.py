"""The code browser in its own process. Only workers import this."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from agentgym.environments.web.sites.changes import Change
from agentgym.environments.web.sites.frozen import Frozen
from agentgym.tools.browser.transport import Request, Response, Wsgi


class Code:
    """Klaus over bare repositories in a private folder. See ``inside.Inside``. Nothing in it can be changed."""

    def __init__(self, frozen: Frozen, folder: Path) -> None:
        import klaus

        self._frozen = frozen
        self._folder = folder
        self._data = b""
        self._count = 0
        self._klaus: Any = klaus.make_app({None: []}, "Code")  # made once: its routes and templates are compiled
        self._app = Wsgi(self._klaus)

    def __call__(self, request: Request) -> Response:
        """Answers a request."""
        return self._app(request)

    def build(self) -> bytes:
        """Nothing has to be built: worlds hold all repositories."""
        return b""

    def restore(self, data: bytes, edits: tuple[str, ...]) -> None:
        """See ``Site``. The same world needs nothing; another gets its own folder, since klaus keeps what it read."""
        if data == self._data and not edits:
            return
        with closing(sqlite3.connect(":memory:")) as db:
            db.deserialize(data)
            for edit in edits:
                db.execute(edit)
            db.commit()  # what isn't would be left out of the copy below
            files = db.execute("SELECT repo, path, data FROM agentgym_file").fetchall()
            described = db.execute("SELECT name, description FROM agentgym_repo ORDER BY name").fetchall()
            now = db.execute("SELECT now FROM agentgym_world").fetchone()[0]
            self._data = db.serialize() if edits else data
        shutil.rmtree(self._folder / str(self._count), ignore_errors=True)
        self._count += 1
        home = self._folder / str(self._count)
        for name, description in described:
            for empty in ("refs/heads", "objects"):
                (home / name / empty).mkdir(parents=True, exist_ok=True)
            (home / name / "description").write_text(description)
        for name, path, content in files:
            place = home / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        self._frozen.stand_at(now)
        valid, invalid = self._klaus.load_repos({None: [str(home / name) for name, _ in described]})
        self._klaus.valid_repos = {found.namespaced_name: found for found in valid}
        self._klaus.invalid_repos = {found.namespaced_name: found for found in invalid}

    def snapshot(self) -> bytes:
        """See ``Site``."""
        return self._data

    def changes(self) -> tuple[Change, ...]:
        """See ``Site``. There are none."""
        return ()


def make(frozen: Frozen, folder: Path) -> Code:
    """See ``inside``."""
    return Code(frozen, folder)
