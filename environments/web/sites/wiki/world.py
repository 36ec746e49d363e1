"""Content of the wiki: pages about an office and what was changed in them, drawn from a number."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version

import numpy as np

from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites.kit.world import Person, Shared, pick, sample, shared
from agentgym.environments.web.sites.repository import Commit, git_files
from agentgym.environments.web.sites.seeding import kept_world

_words = str.split

GENERATOR = 1
"""Raised when what is below changes what a world holds."""

DEVICES = _words("Printer Projector Scanner Coffee-Machine Shredder Dishwasher Laminator Whiteboard")
TEAMS = _words("Sales Support Research Finance Design Purchasing")
RULES = ("Parking", "Holidays", "Expenses", "Keys", "Visitors", "Backups")
_ROOMS = ("Blue Room", "Green Room", "Canteen", "Studio", "Room 12", "Room 31", "Archive", "Hall")
_SENTENCES = (
    "Please keep this page up to date.", "Ask before you change anything here.", "New people read this first.",
    "This was agreed in the last meeting.", "The details are in the handbook.", "Everybody may edit this page.",
)  # fmt: skip
_SCHEMA = """
CREATE TABLE agentgym_world (now INTEGER, visitor TEXT, email TEXT);
CREATE TABLE agentgym_page (id INTEGER PRIMARY KEY, name TEXT, text TEXT);
CREATE TABLE agentgym_commit (id INTEGER PRIMARY KEY, page TEXT, author TEXT, day TEXT, message TEXT);
CREATE TABLE agentgym_fact (page TEXT, name TEXT, value TEXT);
CREATE TABLE agentgym_file (path TEXT PRIMARY KEY, data BLOB);
"""


@lru_cache(maxsize=64)
def golden(world: int) -> bytes:
    """The serialised database of a world: its pages, who wrote them, and the files of the repository.

    Raises:
        ConfigError: git is not installed.
    """
    versions = f"{version('otterwiki')}-{GENERATOR}"
    return kept_world("wiki", versions, world, lambda: _make(world))


def _make(world: int) -> bytes:
    rng, us = derive_rng("web wiki", world), shared(world)
    db = sqlite3.connect(":memory:")
    db.executescript(_SCHEMA)
    now = datetime(us.today.year, us.today.month, us.today.day, 12, tzinfo=UTC)
    db.execute("INSERT INTO agentgym_world VALUES (?, ?, ?)", (int(now.timestamp()), us.owner, us.email))
    commits = _Writer(db, rng, us, now).written()
    for path, data in git_files(commits).items():
        db.execute("INSERT INTO agentgym_file VALUES (?, ?)", (path, data))
    db.commit()
    data = db.serialize()
    db.close()
    return data


class _Writer:
    """Writes pages in order of time, some of them more than once."""

    def __init__(self, db: sqlite3.Connection, rng: np.random.Generator, us: Shared, now: datetime) -> None:
        self.db, self.rng, self.us, self.now = db, rng, us, now
        self.people = sample(rng, us.people, 8)

    def _fact(self, page: str, name: str, value: str) -> str:
        self.db.execute("INSERT INTO agentgym_fact VALUES (?, ?, ?)", (page, name, value))
        return value

    def _device(self, name: str) -> str:
        rng = self.rng
        room = self._fact(name, "room", pick(rng, _ROOMS))
        code = self._fact(name, "code", f"{int(rng.integers(1000, 10_000))}")
        person = self._fact(name, "person", pick(rng, self.people).name)
        return (
            f"# {name}\n\n{pick(rng, _SENTENCES)}\n\n| What | Value |\n|---|---|\n| Room | {room} |\n| Code | {code}"
            f" |\n| Ask | {person} |\n\n## When it fails\n\nSwitch it off, wait, switch it on.\n"
        )

    def _team(self, name: str, people: list[Person]) -> str:
        day = self._fact(name, "day", pick(self.rng, _words("Monday Tuesday Wednesday Thursday Friday")))
        for person in people:
            self._fact(name, "member", person.name)
        members = "\n".join(f"* {person.name}" for person in people)
        return f"# {name}\n\nThe team meets every {day}.\n\n## Members\n\n{members}\n"

    def _rule(self, name: str) -> str:
        limit = self._fact(name, "limit", str(int(self.rng.integers(2, 60))))
        return f"# {name}\n\n{pick(self.rng, _SENTENCES)}\n\nThe limit is {limit} a month.\n"

    def written(self) -> list[Commit]:
        """All commits, oldest first; tables of pages and commits are filled on the way."""
        rng = self.rng
        texts = {name: self._device(name) for name in sample(rng, DEVICES, 6)}
        texts |= {name: self._team(name, sample(rng, self.people, 3)) for name in sample(rng, TEAMS, 4)}
        texts |= {name: self._rule(name) for name in sample(rng, RULES, 4)}
        links = "\n".join(f"* [[{name}]]" for name in sorted(texts))
        texts = {"Home": f"# Home\n\nWelcome to the wiki of {self.us.owner}.\n\n{links}\n", **texts}
        drafts = [(name, f"# {name}\n\nTo be written.\n", "Created") for name in texts if rng.random() < 0.4]
        final = [(name, text, pick(rng, ("Written", "Details added", "Corrected"))) for name, text in texts.items()]
        order = [*drafts, *(final[int(i)] for i in rng.permutation(len(final)))]
        days = sorted((int(day) for day in rng.choice(np.arange(3, 200), size=len(order), replace=False)), reverse=True)
        for name, text in texts.items():
            self.db.execute("INSERT INTO agentgym_page (name, text) VALUES (?, ?)", (name, text))
        return [self._commit(*entry, day) for entry, day in zip(order, days, strict=True)]

    def _commit(self, name: str, text: str, message: str, day: int) -> Commit:
        person, when = pick(self.rng, self.people), self.now - timedelta(days=day)
        values = (name, person.name, when.date().isoformat(), message)
        self.db.execute("INSERT INTO agentgym_commit (page, author, day, message) VALUES (?, ?, ?, ?)", values)
        return Commit(person.name, person.email, int(when.timestamp()), message, {f"{name}.md": text})
