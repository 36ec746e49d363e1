"""From a package to verified tasks, for ``agentgym swe build``. Resumes where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.seeding import derive_rng
from agentgym.environments.swe import fetch
from agentgym.environments.swe.bugs import Bug
from agentgym.environments.swe.build import detect, issue, mutate, verify
from agentgym.environments.swe.checkout import Checkouts
from agentgym.environments.swe.package import Files, Package

Progress = Callable[[int, str], None]
"""Called with how many tasks there are now and a line of text."""
SplitOf = Callable[[str, str], str]


def main(
    package: str | Package,
    tasks: int,
    out: str,
    *,
    seed: int = 0,
    backend: str = "auto",
    split: str = "train",
    requires: tuple[str, ...] = (),
    writer: issue.Writer | None = None,
    progress: Progress = lambda count, line: None,
) -> list[Bug]:
    """Builds verified tasks of one package and writes them to a file.

    Args:
        package: ``name==version``, the folder of a git repository, or a description of your own.
        tasks: How many.
        out: A JSON file. What is in it already counts, and mutations tried before are not tried again.
        seed: Order in which mutations are tried.
        backend: Sandbox backend.
        split: Where the tasks go.
        requires: More that its tests need, as pip takes it.
        writer: Rewrites the issues, for example with a language model. None: they are made from templates.
        progress: Called now and then.

    Returns:
        All tasks of the package that the file holds now.

    Raises:
        ConfigError: Unknown package, or ``tasks`` below 1.
        DataError: Its tests can't be run, or the file is malformed.
    """
    if tasks < 1:
        raise ConfigError(f"tasks must be at least 1, got {tasks}.")
    store = Store(Path(out))
    chosen = detect.find(package, requires) if isinstance(package, str) else package
    return build(
        chosen, fetch.files_of(chosen), tasks, store, seed=seed, backend=backend, split=split, writer=writer,
        progress=progress,
    )  # fmt: skip


class Store:
    """Tasks in a file, and which mutations were tried already (in a file beside it)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tried_path = path.with_suffix(".tried.json")
        self.data: dict[str, Any] = _load(path) or {"packages": {}, "bugs": []}
        if not {"packages", "bugs"} <= set(self.data):
            raise DataError(f"{path} is not a file of tasks; name another one, or delete it.")
        self.tried: set[str] = set(_load(self._tried_path) or ())

    def note(self, mutation: str) -> None:
        """Remembers that a mutation was tried, across a kill too."""
        self.tried.add(mutation)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _replace(self._tried_path, json.dumps(sorted(self.tried)))

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


def _load(path: Path) -> Any:
    """What a JSON file holds; None where there is none."""
    try:
        return json.loads(path.read_text()) if path.is_file() else None
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); name another file, or delete it.") from error


def _replace(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def build(
    package: Package,
    files: Files,
    tasks: int,
    store: Store,
    *,
    seed: int = 0,
    backend: str = "auto",
    split: str | SplitOf = "train",
    writer: issue.Writer | None = None,
    progress: Progress = lambda count, line: None,
) -> list[Bug]:
    """Adds tasks to a store until it holds ``tasks`` of the package, or every mutation was tried."""
    bugs = store.bugs(package.key)
    if len(bugs) >= tasks:
        progress(len(bugs), f"{package.key}: the file holds {len(bugs)} tasks already")
        return bugs
    checkouts = Checkouts(backend)
    try:
        suite = verify.establish(package, files, fetch.environment_of(package), checkouts)
        progress(len(bugs), f"{package.key}: {len(suite.passing)} tests pass in every run")
        for path, mutation in candidates(package, files, seed):
            if len(bugs) >= tasks:
                break
            name = f"{package.key} {path} {mutation.family} {mutation.index}"
            if name in store.tried or _too_alike(bugs, path, mutation):
                continue
            chosen = split if isinstance(split, str) else split(path, mutation.target)
            bug = verify.examine(suite, checkouts, path, mutation, chosen)
            if bug is not None:
                bugs.append(bug if writer is None else issue.rewritten(bug, writer))
                # First the task, then the note: a kill in between costs a second look, never a task.
                store.save(suite, bugs)
                progress(len(bugs), f"{bug.instance_id}: {len(bug.fail_to_pass)} tests fail")
            store.note(name)
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
