"""A Python package to plant bugs in: its files, and how its tests are run."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

Files = Mapping[str, bytes]
"""Path relative to the repository -> content."""

_NEVER_SOURCE = ("conftest.py", "sitecustomize.py", "usercustomize.py", "setup.py")


@dataclass(frozen=True, slots=True)
class Package:
    """What is known of a package without its files."""

    name: str
    version: str
    framework: Literal["pytest", "unittest"]
    source: tuple[str, ...]
    """Folders and files that hold what users import."""
    tests: tuple[str, ...]
    """Files and folders of its tests; they may lie inside ``source``."""
    path: tuple[str, ...] = (".",)
    """Folders for ``PYTHONPATH``."""
    options: tuple[str, ...] = ()
    """Arguments for pytest."""
    requires: tuple[str, ...] = ()
    """Pinned requirements of its test suite."""
    sha256: str = ""
    """Of the source distribution. Empty for the bundled package."""
    timeout: float = 60.0
    """Seconds that the whole test suite may take."""
    licence: str = ""
    plugins: bool = False
    """Whether pytest loads the plugins that are installed."""
    origin: str = ""
    """Folder of the git repository that it was taken from. Empty: the package index."""

    @property
    def key(self) -> str:
        """Name and version."""
        return f"{self.name}-{self.version}"

    def is_test(self, path: str) -> bool:
        """Whether a file belongs to the tests."""
        return any(_below(path, folder) for folder in self.tests)

    def is_source(self, path: str) -> bool:
        """Whether a change to this file counts as a change of the package: Python source, no tests, no hooks."""
        if not path.endswith(".py") or path.rpartition("/")[2] in _NEVER_SOURCE or self.is_test(path):
            return False
        return any(_below(path, folder) for folder in self.source)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the packages that a test suite needs are installed."""

    site_packages: str = ""
    """Folder on this machine; empty: the standard library alone."""


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/") or fnmatch.fnmatchcase(path, folder)


BUNDLED = Package(
    name="tinykit",
    version="1",
    framework="unittest",
    source=("tinykit",),
    tests=("tests",),
    timeout=20.0,
    licence="Apache-2.0",
)
"""Our own package, so that everything works without a network."""


@cache
def bundled_files() -> Files:
    """The files of the bundled package. They carry the suffix ``.txt`` on disk, so that no tool takes them for ours."""
    root = resources.files("agentgym.environments.swe") / "bundled"
    found: dict[str, bytes] = {}
    for folder in ("", "tinykit", "tests"):
        for item in (root / folder if folder else root).iterdir():
            if item.is_file() and item.name.endswith(".txt"):
                name = item.name.removesuffix(".txt")
                found[f"{folder}/{name}" if folder else name] = item.read_bytes()
    return dict(sorted(found.items()))
