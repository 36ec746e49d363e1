"""Where tasks come from: the bundled package, the manifest of third-party packages, or a file of your own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.tasks import ListedTasks, Task
from agentgym.environments.swe import fetch
from agentgym.environments.swe.bugs import Bug, apply_text, check_planted, to_row, unified_diff
from agentgym.environments.swe.package import Package

_SHIPPED = ("bundled", "manifest")


@dataclass(frozen=True)
class Dataset:
    """Verified bugs, and the packages that they are in."""

    packages: Mapping[str, Package]
    passing: Mapping[str, frozenset[str]]
    """Package -> tests that pass when it has no bug."""
    bugs: Mapping[str, Bug]

    def package(self, bug: Bug) -> Package:
        """The package of a bug."""
        return self.packages[bug.package]

    def pass_to_pass(self, bug: Bug) -> frozenset[str]:
        """Tests that pass with and without the bug."""
        return self.passing[bug.package] - set(bug.fail_to_pass)

    def only(self, packages: Sequence[str]) -> Dataset:
        """The part of some packages, by name.

        Raises:
            ConfigError: A name that is not in it.
        """
        known = sorted({package.name for package in self.packages.values()})
        for name in packages:
            if name not in known:
                raise ConfigError(f"No tasks of a package {name!r}; there are tasks of {', '.join(known)}.")
        kept = {key: bug for key, bug in self.bugs.items() if self.package(bug).name in packages}
        return Dataset(self.packages, self.passing, kept)

    def source(self) -> ListedTasks:
        """The tasks in their splits."""
        ids: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
        for bug in self.bugs.values():
            ids.setdefault(bug.split, []).append(bug.instance_id)
        return ListedTasks({split: sorted(names) for split, names in ids.items()}, self._task)

    def _task(self, task_id: str, split: str) -> Task:
        bug = self.bugs[task_id]
        data = {"instance_id": bug.instance_id, "package": bug.package, "statement": bug.statement}
        reference: dict[str, Any] = {"path": bug.path, "target": bug.target, "fail_to_pass": list(bug.fail_to_pass)}
        if "old" in bug.recipe:  # else it takes the package's source, which may not be here yet
            reference["patch"] = gold_patch(bug, self.package(bug))
        return Task(task_id, split, data, reference, bug.difficulty)


@cache
def load(source: str) -> Dataset:
    """A dataset: ``bundled``, ``manifest``, or the path of a file that ``swe build`` wrote.

    Raises:
        ConfigError: No such file.
        DataError: It is not one.
    """
    if source in _SHIPPED:
        place = resources.files("agentgym.environments.swe") / "data" / f"{source}.json"
        text = place.read_text(encoding="utf-8")
    else:
        path = Path(source)
        if not path.is_file():
            raise ConfigError(f"tasks={source!r} is neither one of {', '.join(_SHIPPED)} nor a file.")
        text = path.read_text(encoding="utf-8")
    try:
        return _read(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{source!r} is not a file of tasks ({type(error).__name__}: {error}).") from error


def _read(data: dict[str, Any]) -> Dataset:
    packages, passing = {}, {}
    for key, info in data["packages"].items():
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in info.items()
        }
        passing[key] = frozenset(values.pop("passing"))
        packages[key] = Package(**values)
    bugs = {item["instance_id"]: Bug.from_dict(item) for item in data["bugs"]}
    return Dataset(packages, passing, bugs)


_planted: dict[tuple[str, str], bytes] = {}


def plant(bug: Bug, package: Package) -> bytes:
    """The file with the bug in it. Remembered: mutating a large file takes a tenth of a second.

    Raises:
        DataError: It is not the file that was verified.
        MissingExtraError: The recipe is a mutation and libcst is not installed.
    """
    key = (bug.instance_id, bug.sha256)
    if key not in _planted:
        _planted[key] = check_planted(bug, _apply(bug, fetch.files_of(package)[bug.path]))
    return _planted[key]


def _apply(bug: Bug, pristine: bytes) -> bytes:
    if "old" in bug.recipe:
        return apply_text(pristine, bug.recipe)
    from agentgym.environments.swe.build import mutate

    return mutate.apply(pristine, bug.recipe["family"], bug.recipe["index"])


def gold_patch(bug: Bug, package: Package) -> str:
    """The fix as a diff."""
    return unified_diff({bug.path: plant(bug, package)}, {bug.path: fetch.files_of(package)[bug.path]})


def row(dataset: Dataset, bug: Bug) -> dict[str, str]:
    """A task as a SWE-bench instance."""
    package = dataset.package(bug)
    return to_row(bug, package, fetch.files_of(package), plant(bug, package), dataset.pass_to_pass(bug))
