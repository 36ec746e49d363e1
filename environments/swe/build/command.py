"""``agentgym swe build``: from a package to verified tasks. Resumes where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agentgym.core.errors import ConfigError
from agentgym.core.seeding import derive_rng
from agentgym.environments.swe import fetch, packages
from agentgym.environments.swe.bugs import Bug
from agentgym.environments.swe.build import mutate, verify
from agentgym.environments.swe.checkout import Checkouts
from agentgym.environments.swe.package import Files, Package

Progress = Callable[[str], None]
SplitOf = Callable[[str, str], str]


def main(
    package: str | Package,
    tasks: int,
    out: str,
    *,
    seed: int = 0,
    backend: str = "auto",
    split: str = "train",
    progress: Progress = lambda line: None,
) -> list[Bug]:
    """Builds verified tasks of one package and writes them to a file.

    Args:
        package: ``name==version`` of a known package, or one of your own.
        tasks: How many.
        out: A JSON file. What is in it already counts, and mutations tried before are not tried again.
        seed: Order in which mutations are tried.
        backend: Sandbox backend.
        split: Where the tasks go.
        progress: Called with a line of text now and then.

    Returns:
        All tasks of the package that the file holds now.

    Raises:
        ConfigError: Unknown package, or ``tasks`` below 1.
        DataError: Its tests can't be run, or the file is malformed.
    """
    if tasks < 1:
        raise ConfigError(f"tasks must be at least 1, got {tasks}.")
    chosen = packages.get(package) if isinstance(package, str) else package
    store = Store(Path(out))
    return build(chosen, fetch.files_of(chosen), tasks, store, seed, backend, lambda path, target: split, progress)


class Store:
    """Tasks in a file, and which mutations were tried already (in a file beside it)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tried_path = path.with_suffix(".tried.json")
        self.data: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"packages": {}, "bugs": []}
        tried = json.loads(self._tried_path.read_text()) if self._tried_path.is_file() else []
        self.tried: set[str] = set(tried)

    def bugs(self, package: str) -> list[Bug]:
        """Tasks of a package."""
        return [Bug.from_dict(item) for item in self.data["bugs"] if item["package"] == package]

    def save(self, suite: verify.Suite, bugs: list[Bug]) -> None:
        """Replaces the tasks of a package, whole files at a time."""
        key = suite.package.key
        info = {**asdict(suite.package), "passing": sorted(suite.passing)}
        self.data["packages"][key] = info
        others = [item for item in self.data["bugs"] if item["package"] != key]
        ours = [bug.to_dict() for bug in sorted(verify.weigh(bugs), key=lambda bug: bug.instance_id)]
        self.data["bugs"] = sorted(others + ours, key=lambda item: str(item["instance_id"]))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _replace(self.path, json.dumps(self.data, indent=1, sort_keys=True) + "\n")
        _replace(self._tried_path, json.dumps(sorted(self.tried)))


def _replace(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def build(
    package: Package, files: Files, tasks: int, store: Store, seed: int, backend: str, split: SplitOf,
    progress: Progress,
) -> list[Bug]:  # fmt: skip
    """Adds tasks to a store until it holds ``tasks`` of the package, or every mutation was tried."""
    bugs = store.bugs(package.key)
    checkouts = Checkouts(backend)
    try:
        suite = verify.establish(package, files, fetch.environment_of(package), checkouts)
        progress(f"{package.key}: {len(suite.passing)} tests pass in every run")
        for path, mutation in candidates(package, files, seed):
            if len(bugs) >= tasks:
                break
            name = f"{package.key} {path} {mutation.family} {mutation.index}"
            if name in store.tried or _too_alike(bugs, path, mutation):
                continue
            bug = verify.examine(suite, checkouts, path, mutation, split)
            store.tried.add(name)
            if bug is not None:
                bugs.append(bug)
                progress(f"{len(bugs)}/{tasks} {bug.instance_id}: {len(bug.fail_to_pass)} tests fail")
                store.save(suite, bugs)
        store.save(suite, bugs)
    finally:
        checkouts.close()
    return store.bugs(package.key)


def candidates(package: Package, files: Files, seed: int) -> Iterator[tuple[str, mutate.Mutation]]:
    """Every mutation of every source file in a shuffled order that goes round the families."""
    by_family: dict[str, list[tuple[str, mutate.Mutation]]] = {}
    for path in files:
        if package.is_source(path):
            for mutation in mutate.find(files[path]):
                by_family.setdefault(mutation.family, []).append((path, mutation))
    queues = []
    for family, found in sorted(by_family.items()):
        order = derive_rng("swe build", package.key, family, seed).permutation(len(found))
        queues.append([found[i] for i in order])
    for i in range(max(map(len, queues), default=0)):
        yield from (queue[i] for queue in queues if i < len(queue))


_PER_TARGET = 4


def _too_alike(bugs: list[Bug], path: str, mutation: mutate.Mutation) -> bool:
    """A function has few bugs, and only one of a family."""
    same = [bug for bug in bugs if (bug.path, bug.target) == (path, mutation.target)]
    return len(same) >= _PER_TARGET or any(bug.mutator == mutation.family for bug in same)


def as_text(bug: Bug, pristine: bytes) -> Bug:
    """The same bug with its recipe as plain text, so that planting it needs no libcst. For source of our own only."""
    planted = mutate.apply(pristine, bug.recipe["family"], bug.recipe["index"])
    old, new = pristine.decode().splitlines(keepends=True), planted.decode().splitlines(keepends=True)
    first = next(i for i in range(len(old)) if old[i : i + 1] != new[i : i + 1])
    last = next(i for i in range(len(old)) if old[-1 - i :][:1] != new[-1 - i :][:1])
    last = min(last, len(old) - first, len(new) - first)
    while True:
        before, after = "".join(old[first : len(old) - last]), "".join(new[first : len(new) - last])
        if before and pristine.decode().count(before) == 1:
            return replace(bug, recipe={"old": before, "new": after})
        first = max(first - 1, 0)
        last = max(last - 1, 0)
