"""Headings of pages, which the wiki keeps in its database by name and file time: here by the page's text, in memory.

A pure function of the text needs no database, which then has one transaction less for every page shown, and holds no
times of files.
"""

from __future__ import annotations

from typing import Any

MAX_PAGES = 4_000
"""Texts whose headings are kept; then all are forgotten."""

_known: dict[str, list[Any]] = {}


def install() -> None:
    """Puts this in place of the wiki's own. Its modules must be loaded."""
    import otterwiki.pageindex
    import otterwiki.wiki
    from otterwiki.gitstorage import StorageError
    from otterwiki.server import app_renderer, storage

    def get_ftoc(filename: str, mtime: Any = None) -> list[Any]:
        try:
            text = storage.load(filename)
        except StorageError:
            return []
        if text not in _known:
            if len(_known) >= MAX_PAGES:
                _known.clear()
            _known[text] = app_renderer.markdown(text)[1]
        return _known[text]

    otterwiki.pageindex.get_ftoc = otterwiki.wiki.get_ftoc = get_ftoc
    otterwiki.wiki.update_ftoc_cache = lambda filename, ftoc, mtime=None: None
