"""Content of the code browser: a few repositories with histories, drawn from a number."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version

import numpy as np

from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites.kit.world import Person, pick, sample, shared
from agentgym.environments.web.sites.repository import Commit, git_files
from agentgym.environments.web.sites.seeding import kept_world

_words = str.split

GENERATOR = 1
"""Raised when what is below changes what a world holds."""

NAMES = _words("atlas beacon cobalt drift ember falcon gravel harbor ivory juniper kettle lumen")
MODULES = _words("billing calendar export import inventory login orders parser queue report search storage")
CONSTANTS = ("MAX_RETRIES", "TIMEOUT", "PAGE_SIZE", "BATCH", "LIMIT", "WORKERS")
_VERBS = ("Raise", "Set", "Move")
_SCHEMA = """
CREATE TABLE agentgym_world (now INTEGER);
CREATE TABLE agentgym_repo (name TEXT PRIMARY KEY, description TEXT);
CREATE TABLE agentgym_commit (id INTEGER PRIMARY KEY, repo TEXT, author TEXT, day TEXT, message TEXT);
CREATE TABLE agentgym_constant (repo TEXT, path TEXT, name TEXT, value INTEGER);
CREATE TABLE agentgym_file (repo TEXT, path TEXT, data BLOB);
"""


@lru_cache(maxsize=64)
def golden(world: int) -> bytes:
    """The serialised database of a world: its repositories' files, and what their histories say.

    Raises:
        ConfigError: git is not installed.
    """
    versions = f"{version('klaus')}-{GENERATOR}"
    return kept_world("code", versions, world, lambda: _make(world))


def _make(world: int) -> bytes:
    rng, us = derive_rng("web code", world), shared(world)
    db = sqlite3.connect(":memory:")
    db.executescript(_SCHEMA)
    now = datetime(us.today.year, us.today.month, us.today.day, 12, tzinfo=UTC)
    db.execute("INSERT INTO agentgym_world VALUES (?)", (int(now.timestamp()),))
    people = sample(rng, us.people, 6)
    for name in sorted(sample(rng, NAMES, 3)):
        commits = _Writer(db, rng, name, people, now).written()
        for path, data in git_files(commits).items():
            db.execute("INSERT INTO agentgym_file VALUES (?, ?, ?)", (name, path, data))
    db.commit()
    data = db.serialize()
    db.close()
    return data


class _Writer:
    """Writes one repository, commit by commit."""

    def __init__(
        self, db: sqlite3.Connection, rng: np.random.Generator, name: str, people: list[Person], now: datetime
    ) -> None:
        self.db, self.rng, self.name, self.people = db, rng, name, people
        days = rng.choice(np.arange(3, 300), size=40, replace=False)
        self._days = sorted((now - timedelta(days=int(day)) for day in days), reverse=True)
        self._commits: list[Commit] = []

    def _commit(self, message: str, **files: str) -> None:
        person, when = pick(self.rng, self.people), self._days.pop()
        values = (self.name, person.name, when.date().isoformat(), message)
        self.db.execute("INSERT INTO agentgym_commit (repo, author, day, message) VALUES (?, ?, ?, ?)", values)
        named = {path.replace("__", "/").replace("_dot_", "."): text for path, text in files.items()}
        self._commits.append(Commit(person.name, person.email, int(when.timestamp()), message, named))

    def written(self) -> list[Commit]:
        """All commits, oldest first."""
        rng = self.rng
        modules = sample(rng, MODULES, 4)
        listed = "\n".join(f"* `{module}`" for module in sorted(modules))
        description = f"{self.name.capitalize()} looks after {' and '.join(sorted(modules)[:2])}"
        self.db.execute("INSERT INTO agentgym_repo VALUES (?, ?)", (self.name, description))
        self._commit("Begin", README_dot_md=f"# {self.name.capitalize()}\n\n{description}.\n\n## Modules\n\n{listed}\n")
        values: dict[str, dict[str, int]] = {}
        for module in modules:
            values[module] = {constant: int(rng.integers(2, 90)) for constant in sample(rng, CONSTANTS, 3)}
            self._commit(f"Add {module}", **{f"src__{module}_dot_py": _source(module, values[module])})
        for _ in range(int(rng.integers(4, 10))):
            module = pick(rng, modules)
            constant = pick(rng, sorted(values[module]))
            values[module][constant] += int(rng.integers(1, 20))
            message = f"{pick(rng, _VERBS)} {constant} of {module} to {values[module][constant]}"
            self._commit(message, **{f"src__{module}_dot_py": _source(module, values[module])})
        for module, constants in values.items():
            for constant, value in constants.items():
                row = (self.name, f"src/{module}.py", constant, value)
                self.db.execute("INSERT INTO agentgym_constant VALUES (?, ?, ?, ?)", row)
        return self._commits


def _source(module: str, constants: dict[str, int]) -> str:
    head = "\n".join(f"{name} = {value}" for name, value in sorted(constants.items()))
    first = min(constants)
    return (
        f'"""The {module} part."""\n\n{head}\n\n\ndef run(items):\n    """Takes the first items."""\n'
        f"    return items[:{first}]\n"
    )
