"""Content of the calendar: events, series, guests and invitations, drawn from a number."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites.calendar.times import occurrences, overlapping
from agentgym.environments.web.sites.changes import watch
from agentgym.environments.web.sites.kit.days import a_time, time_words
from agentgym.environments.web.sites.kit.world import Person, Shared, pick, sample, shared
from agentgym.environments.web.sites.mail.texts import ROOMS, TOPICS

PEOPLE = 12
_SCHEMA = """
CREATE TABLE event (id INTEGER PRIMARY KEY, title TEXT, day TEXT, start TEXT, minutes INTEGER, place TEXT, kind TEXT,
  notes TEXT, organizer TEXT, repeats TEXT, until TEXT);
CREATE TABLE guest (id INTEGER PRIMARY KEY, event INTEGER, email TEXT, answer TEXT);
CREATE TABLE skipped (id INTEGER PRIMARY KEY, event INTEGER, day TEXT);
CREATE TABLE acquaintance (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
CREATE TABLE planner (id INTEGER PRIMARY KEY, owner TEXT, email TEXT, today TEXT);
"""
_OWN = (
    ("Dentist", "personal"), ("Haircut", "personal"), ("Piano lesson", "personal"), ("Swimming", "personal"),
    ("Car inspection", "personal"), ("Eye test", "personal"), ("School evening", "family"),
    ("Birthday party", "family"), ("Visit to the zoo", "family"), ("Picnic", "family"), ("Garden work", "family"),
    ("School concert", "family"), ("Interview with a candidate", "work"), ("Call with the bank", "work"),
    ("Fire drill", "work"), ("Stocktaking", "work"), ("Tax adviser", "work"), ("Photo session", "work"),
)  # fmt: skip
_SERIES = (
    ("Team meeting", "work", "weekly"), ("Yoga", "personal", "weekly"), ("Book club", "personal", "monthly"),
    ("Planning", "work", "fortnightly"), ("Choir", "family", "weekly"), ("Sales review", "work", "monthly"),
)  # fmt: skip
_HORIZON = timedelta(days=200)


@lru_cache(maxsize=256)
def golden(world: int) -> bytes:
    """The serialised database of a world, with its log of changes installed and empty."""
    rng, us = derive_rng("web calendar", world), shared(world)
    db = sqlite3.connect(":memory:")
    db.executescript(_SCHEMA)
    db.execute("INSERT INTO planner VALUES (1, ?, ?, ?)", (us.owner, us.email, us.today.isoformat()))
    people = sample(rng, us.people, PEOPLE)
    for person in sorted(people, key=lambda person: person.name):
        db.execute("INSERT INTO acquaintance (name, email) VALUES (?, ?)", (person.name, person.email))
    writer = _Writer(db, rng, us)
    for title, kind, repeats in sample(rng, _SERIES, 4):
        writer.series(title, kind, repeats)
    for title, kind in sample(rng, _OWN, 12):
        writer.own(title, kind, [])
    for topic in sample(rng, TOPICS, 5):
        writer.own(f"Review of {topic}", "work", sample(rng, people, int(rng.integers(1, 4))))
    for number, (person, topic) in enumerate(zip(sample(rng, people, 5), sample(rng, TOPICS, 5), strict=True)):
        writer.invitation(person, f"Workshop on {topic}", "yes" if number == 4 else "waiting")
    watch(db)
    data = db.serialize()
    db.close()
    return data


class _Writer:
    """Puts events where the owner has time, so that nothing overlaps but what nobody has agreed to."""

    def __init__(self, db: sqlite3.Connection, rng: np.random.Generator, us: Shared) -> None:
        self.db, self.rng, self.us = db, rng, us
        self.taken: list[dict[str, Any]] = []

    def _add(self, values: dict[str, Any], guests: list[tuple[str, str]], *, agreed: bool = True) -> None:
        values = {"notes": "", "organizer": self.us.email, "repeats": "", "until": "", **values}
        marks = ", ".join("?" * len(values))
        key = self.db.execute(f"INSERT INTO event ({', '.join(values)}) VALUES ({marks})", [*values.values()]).lastrowid
        for email, answer in guests:
            self.db.execute("INSERT INTO guest (event, email, answer) VALUES (?, ?, ?)", (key, email, answer))
        if agreed:
            self.taken.append(values | {"id": key})

    def _moment(self, least: int, most: int, repeats: str = "") -> dict[str, Any]:
        """A day and a time that are free, for the whole of a series."""
        while True:
            day = self.us.today + timedelta(days=int(self.rng.integers(least, most)))
            start = int(self.rng.integers(8 * 4, 17 * 4)) * 15
            minutes = pick(self.rng, (30, 45, 60, 90))
            wanted = {"id": 0, "day": day.isoformat(), "start": time_words(start), "minutes": minutes,
                      "repeats": repeats, "until": ""}  # fmt: skip
            if not self._busy(wanted, day):
                return {key: wanted[key] for key in ("day", "start", "minutes")}

    def _busy(self, wanted: dict[str, Any], day: date) -> bool:
        mine = occurrences([wanted], (), day, self.us.today + _HORIZON)
        start = a_time(wanted["start"]) or 0
        days = {item.day for item in mine}
        others = occurrences(self.taken, (), min(days), max(days))
        return bool(overlapping([item for item in others if item.day in days], start, wanted["minutes"]))

    def series(self, title: str, kind: str, repeats: str) -> None:
        """An event that repeats."""
        moment = self._moment(-60, -30, repeats)
        values = {"title": title, "place": pick(self.rng, ROOMS), "kind": kind, "repeats": repeats, **moment}
        self._add(values, [])

    def own(self, title: str, kind: str, people: list[Person]) -> None:
        """An event of the owner's."""
        answers = [pick(self.rng, ("yes", "no", "maybe", "waiting")) for _ in people]
        guests = sorted((person.email, answer) for person, answer in zip(people, answers, strict=True))
        self._add({"title": title, "place": pick(self.rng, ROOMS), "kind": kind, **self._moment(-10, 35)}, guests)

    def invitation(self, person: Person, title: str, answer: str) -> None:
        """Somebody else's event; what isn't answered yet may overlap what the owner takes part in."""
        moment, clash = self._moment(2, 30), False
        if answer == "waiting" and self.rng.random() < 0.5:
            later = [item for item in self.taken if not item["repeats"] and item["day"] > self.us.today.isoformat()]
            other = pick(self.rng, later)
            moment, clash = {key: other[key] for key in ("day", "start", "minutes")}, True
        values = {"title": title, "place": pick(self.rng, ROOMS), "kind": "work", "organizer": person.email, **moment}
        self._add(values, [(self.us.email, answer)], agreed=not clash)
