"""Content of the map: a town of streets and places, drawn from a number."""

from __future__ import annotations

import sqlite3
from functools import lru_cache

import numpy as np

from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites.changes import watch
from agentgym.environments.web.sites.kit.world import Shared, pick, sample, shared
from agentgym.environments.web.sites.map.graph import distances, edges

_words = str.split

COLUMNS, ROWS, BLOCK = 8, 6, 180
"""The grid of junctions, and metres from one to the next, more or less."""
LISTS = ("Favourites", "Want to go", "Work")
OFFICES = 8
_KINDS = (
    ("Cafe", 6), ("Restaurant", 5), ("Bakery", 4), ("Pharmacy", 4), ("Bookshop", 3), ("Museum", 3), ("Hotel", 3),
    ("Library", 2), ("Park", 1), ("Station", 1),
)  # fmt: skip
CATEGORIES = (*(kind for kind, _ in _KINDS), "Office")
_FIRST = _words(
    "Golden Silver Linden Market River Castle Garden Corner Station Sunny Old New Royal Green White Harbour Crown"
)
_STREETS = _words(
    "Acorn Birch Bridge Canal Cedar Chapel Church Copper Elm Forge Hazel Hill Holly King Lime Maple Meadow Mill North"
    " Orchard Poplar Priory Queen Quarry Rose School South Spring Tanner Temple Tower Walnut West Willow"
)
_DISTRICTS = _words("Altstadt Brookside Cliffend Dockside Eastgate Fairview Greenhill Highfield")
_PRAISE = (
    (5, "Friendly people, I will come back."), (5, "The best in town."), (4, "Good, but often full."),
    (4, "Nice place."), (3, "It was all right."), (2, "Too loud for me."), (1, "I waited for an hour."),
)  # fmt: skip
_SCHEMA = """
CREATE TABLE district (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE street (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE junction (id INTEGER PRIMARY KEY, x INTEGER, y INTEGER, district INTEGER);
CREATE TABLE segment (id INTEGER PRIMARY KEY, street INTEGER, a INTEGER, b INTEGER, metres INTEGER, oneway INTEGER);
CREATE TABLE place (id INTEGER PRIMARY KEY, name TEXT, category TEXT, street INTEGER, house INTEGER, junction INTEGER,
  district INTEGER, phone TEXT);
CREATE TABLE hours (id INTEGER PRIMARY KEY, place INTEGER, weekday INTEGER, opens TEXT, closes TEXT);
CREATE TABLE review (id INTEGER PRIMARY KEY, place INTEGER, author TEXT, stars INTEGER, text TEXT);
CREATE TABLE saved (id INTEGER PRIMARY KEY, place INTEGER, list TEXT, note TEXT);
CREATE TABLE traveller (id INTEGER PRIMARY KEY, owner TEXT, home INTEGER, way TEXT, today TEXT);
"""


@lru_cache(maxsize=256)
def golden(world: int) -> bytes:
    """The serialised database of a world, with its log of changes installed and empty."""
    rng, us = derive_rng("web map", world), shared(world)
    db = sqlite3.connect(":memory:")
    db.executescript(_SCHEMA)
    _streets(db, rng)
    _places(db, rng, us)
    home = int(rng.choice(db.execute("SELECT count(*) FROM place").fetchone()[0])) + 1
    db.execute("INSERT INTO traveller VALUES (1, ?, ?, 'walk', ?)", (us.owner, home, us.today.isoformat()))
    _opinions(db, rng, us)
    watch(db)
    data = db.serialize()
    db.close()
    return data


def _streets(db: sqlite3.Connection, rng: np.random.Generator) -> None:
    """A bent grid that lacks some blocks; every junction stays within reach of every other, by car too."""
    for name in sample(rng, _DISTRICTS, 6):
        db.execute("INSERT INTO district (name) VALUES (?)", (name,))
    endings = ("Street", "Road", "Lane", "Avenue")
    for name in sample(rng, _STREETS, COLUMNS + ROWS):
        db.execute("INSERT INTO street (name) VALUES (?)", (f"{name} {pick(rng, endings)}",))
    points: dict[int, tuple[int, int]] = {}
    for row in range(ROWS):
        for column in range(COLUMNS):
            key = row * COLUMNS + column + 1
            points[key] = (column * BLOCK + int(rng.integers(-40, 41)), row * BLOCK + int(rng.integers(-40, 41)))
            district = (column * 3 // COLUMNS) + 3 * (row * 2 // ROWS) + 1
            db.execute("INSERT INTO junction VALUES (?, ?, ?, ?)", (key, *points[key], district))
    blocks = [(row + 1, key, key + 1) for row in range(ROWS) for key in range(row * COLUMNS + 1, (row + 1) * COLUMNS)]
    blocks += [
        (ROWS + column + 1, key, key + COLUMNS)
        for column in range(COLUMNS)
        for key in range(column + 1, COLUMNS * (ROWS - 1) + 1, COLUMNS)
    ]
    segments = []
    for street, a, b in blocks:
        (ax, ay), (bx, by) = points[a], points[b]
        metres = round(((ax - bx) ** 2 + (ay - by) ** 2) ** 0.5)
        segments.append((street, a, b, metres, int(rng.random() < 0.15)))
    for index in sorted((int(i) for i in rng.choice(len(segments), size=9, replace=False)), reverse=True):
        left = segments[:index] + segments[index + 1 :]
        if _connected(left):
            segments = left
    for i, (street, a, b, metres, oneway) in enumerate(segments):
        if oneway and not _connected(segments):
            segments[i] = (street, a, b, metres, 0)
    for segment in segments:
        db.execute("INSERT INTO segment (street, a, b, metres, oneway) VALUES (?, ?, ?, ?, ?)", segment)


def _connected(segments: list[tuple[int, int, int, int, int]]) -> bool:
    """Whether cars get from the first junction to all and from all to the first."""
    back = [(street, b, a, metres, oneway) for street, a, b, metres, oneway in segments]
    return all(len(distances(edges(one, "car"), 1)[0]) == COLUMNS * ROWS for one in (segments, back))


def _places(db: sqlite3.Connection, rng: np.random.Generator, us: Shared) -> None:
    """Places at junctions of their own."""
    companies = sorted({person.company for person in us.people})
    wanted = [("Office", name) for name in sample(rng, companies, min(OFFICES, len(companies)))]
    for kind, count in _KINDS:
        wanted += [(kind, f"{first} {kind}") for first in sample(rng, _FIRST, count)]
    spots = sample(rng, range(1, COLUMNS * ROWS + 1), len(wanted))
    for number, ((kind, name), junction) in enumerate(zip(wanted, spots, strict=True), 1):
        around = [row[0] for row in db.execute("SELECT street FROM segment WHERE ? IN (a, b) ORDER BY id", (junction,))]
        district = db.execute("SELECT district FROM junction WHERE id = ?", (junction,)).fetchone()[0]
        phone = f"555-{int(rng.integers(0, 10_000)):04d}-{number:02d}"
        values = (number, name, kind, pick(rng, around), 2 * number + int(rng.integers(2)), junction, district, phone)
        db.execute("INSERT INTO place VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        _hours(db, rng, number, kind)


def _hours(db: sqlite3.Connection, rng: np.random.Generator, place: int, kind: str) -> None:
    if kind in ("Hotel", "Park", "Station"):
        days, opens, closes = list(range(7)), "00:00", "24:00"
    elif kind == "Office":
        days, opens, closes = (
            list(range(5)),
            pick(rng, ("08:00", "08:30", "09:00")),
            pick(rng, ("16:30", "17:00", "18:00")),
        )
    else:
        shut = int(rng.integers(7))
        days = [day for day in range(7) if day != shut and not (day == 6 and rng.random() < 0.5)]
        opens, closes = pick(rng, ("07:30", "09:00", "10:00", "11:30")), pick(rng, ("17:00", "18:30", "20:00", "22:30"))
    for day in days:
        db.execute("INSERT INTO hours (place, weekday, opens, closes) VALUES (?, ?, ?, ?)", (place, day, opens, closes))


def _opinions(db: sqlite3.Connection, rng: np.random.Generator, us: Shared) -> None:
    """Reviews by people of the world, two of the owner's; saved places."""
    visited = [row[0] for row in db.execute("SELECT id FROM place WHERE category != 'Office' ORDER BY id")]
    for place in visited:
        for person in sample(rng, us.people, int(rng.integers(1, 5))):
            stars, text = pick(rng, _PRAISE)
            db.execute(
                "INSERT INTO review (place, author, stars, text) VALUES (?, ?, ?, ?)", (place, person.name, stars, text)
            )
    for place in sample(rng, visited, 3):
        stars, text = pick(rng, _PRAISE)
        db.execute(
            "INSERT INTO review (place, author, stars, text) VALUES (?, ?, ?, ?)", (place, us.owner, stars, text)
        )
    for place in sorted(sample(rng, visited, 7)):
        values = (place, pick(rng, LISTS), pick(rng, ("", "", "take cash", "ask for the menu", "go early")))
        db.execute("INSERT INTO saved (place, list, note) VALUES (?, ?, ?)", values)
