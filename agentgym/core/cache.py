"""Folders that are built once and then shared by all processes of a machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from agentgym.core.errors import ConfigError

try:
    import fcntl
except ImportError:  # not on Windows; two processes may then build at once, and one build is thrown away
    fcntl = None  # type: ignore[assignment]


def cache_root() -> Path:
    """``$AGENTGYM_CACHE``, else ``agentgym`` in the user's cache folder."""
    chosen = os.environ.get("AGENTGYM_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "agentgym"


def built_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """``folder``, after ``build`` filled it if it didn't exist.

    ``build`` writes into another folder that is renamed when complete, so nobody ever sees half of it, and a killed
    build leaves the cache as it was. While one process builds, others that need the same folder wait.

    Raises:
        ConfigError: The cache can't be written.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(folder.name + ".lock")):
            if not folder.is_dir():
                _build(folder, build)
    except OSError as error:
        raise ConfigError(
            f"The cache folder {str(folder.parent)!r} can't be written ({error}). Set AGENTGYM_CACHE to one that can."
        ) from error
    return folder


def _build(folder: Path, build: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        build(unfinished)
        unfinished.chmod(0o755)
        with contextlib.suppress(FileExistsError):
            unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():  # without locks, another process may have been faster
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
