"""Content of the mailbox: letters, talks, drafts and labels, drawn from a number."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites.changes import watch
from agentgym.environments.web.sites.kit.world import Person, Shared, sample, shared
from agentgym.environments.web.sites.mail import texts

FOLDERS = ("inbox", "sent", "drafts", "archive", "spam", "trash")
LABELS = ("Bills", "Travel", "Team", "Family", "Urgent", "Later")

_PLANS = ("Monday", "Friday", "May", "the weekend", "the holidays")

PEOPLE = 14
Entry = tuple[datetime, str, int, tuple[str, str, str], texts.Letter]
"""When, folder, thread, the ends (name and address of the sender, address of the receiver) and the text."""

_SCHEMA = """
CREATE TABLE message (id INTEGER PRIMARY KEY, thread INTEGER, folder TEXT, name TEXT, sender TEXT, recipients TEXT,
  cc TEXT, subject TEXT, body TEXT, sent TEXT, unread INTEGER, starred INTEGER, way TEXT, about INTEGER);
CREATE TABLE label (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE tagged (id INTEGER PRIMARY KEY, message INTEGER, label INTEGER);
CREATE TABLE correspondent (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
CREATE TABLE mailbox (id INTEGER PRIMARY KEY, owner TEXT, email TEXT, away INTEGER, away_text TEXT, today TEXT);
CREATE TABLE fact (id INTEGER PRIMARY KEY, message INTEGER, kind TEXT, name TEXT, value TEXT);
"""
# ``fact`` is no page's business: it says what letters state, for those who make tasks from them.


@lru_cache(maxsize=256)
def golden(world: int) -> bytes:
    """The serialised database of a world, with its log of changes installed and empty."""
    rng, us = derive_rng("web mail", world), shared(world)
    db = sqlite3.connect(":memory:")
    db.executescript(_SCHEMA)
    db.execute("INSERT INTO mailbox VALUES (1, ?, ?, 0, '', ?)", (us.owner, us.email, us.today.isoformat()))
    people = sample(rng, us.people, PEOPLE)
    for person in sorted(people, key=lambda person: person.name):
        db.execute("INSERT INTO correspondent (name, email) VALUES (?, ?)", (person.name, person.email))
    for name in sample(rng, LABELS, 4):
        db.execute("INSERT INTO label (name) VALUES (?)", (name,))
    _fill(db, rng, us, people)
    watch(db)
    data = db.serialize()
    db.close()
    return data


def _fill(db: sqlite3.Connection, rng: np.random.Generator, us: Shared, people: list[Person]) -> None:
    """Letters and talks, oldest first, so that keys rise with time."""
    entries: list[Entry] = []
    kinds = (
        (texts.meetings, 5), (texts.invoices, 5), (texts.parcels, 3), (texts.bookings, 3), (texts.moves, 3),
        (texts.advertisements, 4),
    )  # fmt: skip
    number = 0
    for write, count in kinds:
        senders = sample(rng, people, count)
        for person, letter in zip(senders, write(rng, us, senders), strict=True):
            number += 1
            when = _moment(rng, us, 0, 20 if letter.kind == "meeting" else 60)
            advert = letter.kind == "advertisement"
            folder = "spam" if advert and number % 2 else "archive" if rng.random() < 0.2 and not advert else "inbox"
            entries.append((when, folder, number, (person.name, person.email, us.email), letter))
    for person, topic in zip(sample(rng, people, 6), sample(rng, texts.TOPICS, 6), strict=True):
        number += 1
        when = _moment(rng, us, 8, 60)
        subject, parts = texts.talk(rng, topic, person)
        for place, text in enumerate(parts[: int(rng.integers(1, 4))]):
            mine = place == 1
            ends = (us.owner, us.email, person.email) if mine else (person.name, person.email, us.email)
            letter = texts.Letter("talk", f"Re: {subject}" if place else subject, text)
            entries.append((when, "sent" if mine else "inbox", number, ends, letter))
            when += timedelta(minutes=int(rng.integers(40, 3_000)))
    for person, what in zip(sample(rng, people, 2), sample(rng, _PLANS, 2), strict=True):
        number += 1
        letter = texts.Letter("draft", f"Plans for {what}", f"Hello {person.first},")
        entries.append((_moment(rng, us, 0, 9), "drafts", number, (us.owner, us.email, person.email), letter))
    threads: dict[int, int] = {}
    for when, folder, thread, ends, letter in sorted(entries, key=lambda entry: entry[0]):
        threads.setdefault(thread, len(threads) + 1)
        _add(db, rng, (when, folder, threads[thread], ends, letter))


def _moment(rng: np.random.Generator, us: Shared, least: int, most: int) -> datetime:
    """A time that many days ago, in daylight. No two letters of a world came in the same minute, or nearly none."""
    day = us.today - timedelta(days=int(rng.integers(least + 1, most)))
    return datetime(day.year, day.month, day.day) + timedelta(minutes=int(rng.integers(6 * 60, 22 * 60)))


def _add(db: sqlite3.Connection, rng: np.random.Generator, entry: Entry) -> None:
    when, folder, thread, (name, sender, recipients), letter = entry
    unread = int(folder == "inbox" and rng.random() < 0.3)
    starred = int(folder in ("inbox", "archive") and rng.random() < 0.15)
    key = db.execute(
        "INSERT INTO message (thread, folder, name, sender, recipients, cc, subject, body, sent, unread, starred, way,"
        " about) VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, '', 0)",
        (
            thread,
            folder,
            name,
            sender,
            recipients,
            letter.subject,
            letter.body,
            f"{when:%Y-%m-%d %H:%M}",
            unread,
            starred,
        ),
    ).lastrowid
    for fact, value in letter.facts.items():
        db.execute("INSERT INTO fact (message, kind, name, value) VALUES (?, ?, ?, ?)", (key, letter.kind, fact, value))
    if folder in ("inbox", "archive") and rng.random() < 0.35:
        label = int(rng.integers(1, 5))
        db.execute("INSERT INTO tagged (message, label) VALUES (?, ?)", (key, label))
