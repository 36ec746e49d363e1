"""Content of the data explorer: weather stations and what they measured, drawn from a number."""

from __future__ import annotations

import sqlite3
from functools import lru_cache

import numpy as np

from agentgym.core.seeding import derive_rng

STATIONS = 64
MONTHS = ("2025-07", "2025-08", "2025-09", "2025-10", "2025-11", "2025-12")
KINDS = ("Airport", "Lighthouse", "Observatory", "School", "Summit")

_words = str.split
_REGIONS = _words("Arden Brome Calder Dorne Elmet Forth Galdon Hallam Inver Jarrow")
_FIRST = _words("North South East West Upper Lower Old New Great Little")
_SECOND = _words("Bay Bridge Creek Falls Field Harbor Hill Lake Meadow Moor Point Ridge Valley Wood")

_SCHEMA = """
CREATE TABLE region (id INTEGER PRIMARY KEY, name TEXT, area_km2 INTEGER);
CREATE TABLE station (id INTEGER PRIMARY KEY, name TEXT, region TEXT, kind TEXT, elevation_m INTEGER, opened INTEGER,
  remarks TEXT);
CREATE TABLE measurement (id INTEGER PRIMARY KEY, station INTEGER REFERENCES station(id), month TEXT, rain_mm INTEGER,
  warmest_c REAL);
"""


@lru_cache(maxsize=64)
def golden(world: int) -> bytes:
    """The serialised database of a world."""
    rng = derive_rng("web data", world)
    db = sqlite3.connect(":memory:")
    db.executescript(_SCHEMA)
    regions = [_REGIONS[int(i)] for i in rng.permutation(len(_REGIONS))[:6]]
    for key, name in enumerate(regions, 1):
        db.execute("INSERT INTO region VALUES (?, ?, ?)", (key, name, int(rng.integers(300, 9_000))))
    names = rng.permutation(len(_FIRST) * len(_SECOND))[:STATIONS]
    heights = rng.permutation(np.arange(3, 2_400))[:STATIONS]
    sizes = rng.permutation(np.repeat(np.arange(6), (15, 13, 12, 10, 8, 6)))  # no two regions have as many stations
    number = 0
    for i in range(STATIONS):
        first, second = divmod(int(names[i]), len(_SECOND))
        name = f"{_FIRST[first]} {_SECOND[second]}"
        kind = KINDS[int(rng.integers(len(KINDS)))]
        values = (i + 1, name, regions[int(sizes[i])], kind, int(heights[i]), int(rng.integers(1890, 2016)), "")
        db.execute("INSERT INTO station VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        for month in MONTHS:
            number += 1
            warmest = round(float(rng.integers(-40, 340)) / 10, 1)
            row = (number, i + 1, month, int(rng.integers(0, 260)), warmest)
            db.execute("INSERT INTO measurement VALUES (?, ?, ?, ?, ?)", row)
    db.commit()
    data = db.serialize()
    db.close()
    return data
