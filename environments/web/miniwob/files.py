"""The pages of MiniWoB++, from the installed package ``miniwob`` or a folder, as a site."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from agentgym.core.errors import ConfigError, MissingExtraError
from agentgym.tools.browser.transport import Request, Response

HOST = "miniwob.test"

_TYPES = {
    ".css": "text/css",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


def html_folder(folder: str = "") -> Path:
    """Where the pages lie: ``folder`` (which holds ``miniwob/`` and ``core/``), else the package's own."""
    if folder:
        found = Path(folder)
        if not (found / "miniwob").is_dir() or not (found / "core").is_dir():
            raise ConfigError(f"{folder!r} is not MiniWoB++'s html folder: it must hold 'miniwob' and 'core'.")
        return found
    spec = importlib.util.find_spec("miniwob")  # looked at, never imported: it would load selenium
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (Path(place) / "html" / "miniwob").is_dir():
            return Path(place) / "html"
    raise MissingExtraError(
        "MiniWoB++'s pages are not installed. Install them with: pip install 'agentgym-kit[miniwob]'"
    )


@lru_cache(maxsize=4)
def names(folder: Path) -> tuple[str, ...]:
    """Names of the tasks, sorted."""
    return tuple(sorted(path.stem for path in (folder / "miniwob").glob("*.html")))


class FileSite:
    """Answers with the files of a folder, and of nothing above it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._kept: dict[str, Response] = {}

    def __call__(self, request: Request) -> Response:
        """See ``Transport``."""
        path = unquote(urlsplit(request.url).path).lstrip("/")
        if path not in self._kept:
            self._kept[path] = self._read(path)
        return self._kept[path]

    def _read(self, path: str) -> Response:
        found = (self._folder / path).resolve()
        if not found.is_relative_to(self._folder) or not found.is_file():
            return Response(404, (("content-type", "text/plain"),), b"")
        kind = _TYPES.get(found.suffix.lower(), "application/octet-stream")
        return Response(200, (("content-type", kind),), found.read_bytes())
