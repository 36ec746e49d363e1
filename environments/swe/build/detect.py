"""Packages that nobody described: where their source and tests lie, from the names of their files."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

from agentgym.core.errors import ConfigError, DataError, did_you_mean
from agentgym.environments.swe import fetch, packages
from agentgym.environments.swe.package import Files, Package

_PYTEST = "pytest==9.2.0"
_TEST_FOLDERS = ("tests", "test", "testing")
_NOT_SOURCE = (*_TEST_FOLDERS, "docs", "doc", "examples", "benchmarks", "scripts", "tools", "build", "dist")


def describe(name: str, version: str, files: Files, sha256: str, requires: tuple[str, ...] = ()) -> Package:
    """A package by the layout of its files.

    Raises:
        DataError: No source or no tests are found.
    """
    root = "src/" if any(path.startswith("src/") and path.endswith(".py") for path in files) else ""
    inside = [path.removeprefix(root) for path in files if path.startswith(root) and path.endswith(".py")]
    folders = sorted({path.partition("/")[0] for path in inside if path.count("/") and _is_package(path, inside)})
    single = sorted(path for path in inside if "/" not in path and not path.startswith("test") and path != "setup.py")
    source = tuple(root + entry for entry in (folders or single) if entry not in _NOT_SOURCE and entry != "conftest.py")
    tests = sorted({_test_place(path) for path in files if _is_test(path)})
    if not source or not tests:
        raise DataError(f"{name} {version}: found no {'tests' if source else 'source'}; describe it with a Package.")
    path = (root.rstrip("/"), ".") if root else (".",)
    pinned = (_PYTEST, *requires)
    return Package(name, version, "pytest", source, tuple(tests), path=path, requires=pinned, sha256=sha256)


def _is_package(path: str, inside: list[str]) -> bool:
    return f"{path.partition('/')[0]}/__init__.py" in inside


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    return path.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


def _test_place(path: str) -> str:
    """The folder that holds the tests, or the file itself where it stands among other things."""
    parts = path.split("/")
    for i, part in enumerate(parts[:-1]):
        if part in _TEST_FOLDERS:
            return "/".join(parts[: i + 1])
    return path


def find(requirement: str, requires: tuple[str, ...] = ()) -> Package:
    """The package of ``name==version`` (known or not) or in a local git repository.

    Raises:
        ConfigError: Neither, or it can't be fetched.
        DataError: Its layout is not understood.
    """
    known = packages.PACKAGES.get(requirement.replace("==", "-"))
    if known is not None:
        return replace(known, requires=(*known.requires, *requires))
    return repository(requirement, requires) if Path(requirement).is_dir() else published(requirement, requires)


def published(requirement: str, requires: tuple[str, ...] = ()) -> Package:
    """The package of ``name==version``, fetched by pip.

    Raises:
        ConfigError: Not of that form, or pip can't fetch it.
        DataError: Its layout is not understood.
    """
    name, equals, version = requirement.partition("==")
    if not equals or not name or not version:
        hint = did_you_mean(requirement, [f"{known.name}=={known.version}" for known in packages.PACKAGES.values()])
        raise ConfigError(f"Expected 'name==version' or the folder of a git repository, got {requirement!r}.{hint}")
    bare = Package(name, version, "pytest", (), ())
    files = fetch.files_of(bare)
    return describe(name, version, files, fetch.archive_hash(bare), requires)


def repository(folder: str, requires: tuple[str, ...] = ()) -> Package:
    """The package in a local git repository, as it is committed. A copy goes into the cache for later episodes.

    Raises:
        ConfigError: It is no git repository.
        DataError: Its layout is not understood.
    """
    root = Path(folder).resolve()
    commit = _git(root, "rev-parse", "HEAD").decode().strip()
    top = Path(_git(root, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    package = Package(root.name, commit[:12], "pytest", (), ())
    if top != root:
        raise ConfigError(f"{root} lies inside a git repository; name its top folder {top}.")
    # gzip's header holds the time; the archive's bytes are to be those of the commit alone.
    data = gzip.compress(_git(root, "archive", "--format=tar", f"--prefix={package.key}/", "HEAD"), mtime=0)
    fetch.store(package, data)
    files = _members(data)
    found = describe(root.name, commit[:12], files, hashlib.sha256(data).hexdigest(), requires)
    return replace(found, origin=str(root))


def _members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name.partition("/")[2]: b"" for member in tar if member.isreg()}


def _git(root: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise ConfigError(f"{root} is no git repository with a commit: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
