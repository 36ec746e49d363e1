"""Questions to the data explorer, and what it can't do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Answer, Goal, Place
from agentgym.environments.web.guide import Guide
from agentgym.environments.web.template import Draft, Template, World

Notes = Mapping[str, Any]

EXPORTS = ("data.test/*.json*", "data.test/*.csv*", "data.test/*.blob*", "data.test/*?*sql=*", "data.test/-/*")
"""Ways past the pages: what they give is no page, and in one piece."""
_STATIONS = "SELECT * FROM station ORDER BY id"
_TABLE = "/weather/station"


class DataGuide(Guide):
    """A guide of the data explorer."""

    def table(self, name: str) -> Action | None:
        """Opens a table; None once it is open, filtered or not."""
        if self.path == f"/weather/{name}":
            return None
        return self.follow(f"/weather/{name}") or self.away()

    def filtered(self, **values: str) -> Action | None:
        """Shows the stations with these values, one filter after the other; None once they are shown."""
        there = self.table("station")
        if there is not None:
            return there
        filters = {key: value for key, value in self.query.items() if not key.startswith("_")}
        if any(values.get(key.partition("__")[0]) != value for key, value in filters.items()):
            return self.away()
        shown = {key.partition("__")[0] for key in filters}
        for column, value in values.items():
            if column not in shown:
                step = self.put("_filter_column", column) or self.put("_filter_op", "=")
                return step or self.put("_filter_value", value) or self.click("button", "Apply") or self.away()
        return None

    def station(self, name: str, key: int) -> Action | None:
        """Opens a station's page by filtering for its name; None once it is open."""
        if self.path == f"{_TABLE}/{key}":
            return None
        return self.filtered(name=name) or self.click("link", str(key)) or self.away()


def _draft(text: str, goal: Goal, notes: Notes) -> Draft:
    return Draft(text, goal, notes, closed=EXPORTS)


def _line(row: Mapping[str, Any]) -> str:
    """How the explorer shows a station."""
    return f"{row['name']} | {row['region']} | {row['kind']} | {row['elevation_m']} | {row['opened']}"


def _fact(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, _STATIONS)
    asked = (
        ("elevation_m", "At which elevation in metres lies", "number"),
        ("opened", "In which year was opened", "number"),
        ("kind", "Of which kind is", "text"),
    )
    column, words, kind = asked[int(rng.integers(3))]
    answer = Answer("number" if kind == "number" else "text", row[column])
    goal = Goal(
        answer=answer, route=(Place(_TABLE, {}), Place(_TABLE, {"name": row["name"]})), evidence=(_line(row),),
        must_see=True,
    )  # fmt: skip
    text = f"{words} the weather station {row['name']}? Answer with the {kind if kind == 'number' else 'word'} only."
    return _draft(text, goal, {"name": row["name"], "answer": row[column]})


def _solve_fact(guide: DataGuide, notes: Notes) -> Action:
    return guide.filtered(name=notes["name"]) or guide.answer(notes["answer"])


def _count(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, "SELECT region, kind, count(*) AS n FROM station GROUP BY region, kind ORDER BY region, kind")
    found = f"{row['n']} row{'' if row['n'] == 1 else 's'} where "
    goal = Goal(
        answer=Answer("number", row["n"]),
        route=(Place(_TABLE, {}), Place(_TABLE, {"region": row["region"], "kind": row["kind"]})),
        evidence=(found, f'region = "{row["region"]}"', f'kind = "{row["kind"]}"'),
        must_see=True,
    )
    text = (
        f"How many weather stations in the region {row['region']} are of the kind {row['kind']}? "
        "Answer with the number only."
    )
    return _draft(text, goal, {"region": row["region"], "kind": row["kind"], "answer": row["n"]})


def _solve_count(guide: DataGuide, notes: Notes) -> Action:
    return guide.filtered(region=notes["region"], kind=notes["kind"]) or guide.answer(notes["answer"])


def _extreme(world: World, rng: np.random.Generator) -> Draft:
    region = world.one(rng, "SELECT * FROM region ORDER BY id")["name"]
    rows = world.rows("SELECT * FROM station WHERE region = ? ORDER BY id", region)
    high = bool(rng.integers(2))
    best = max(rows, key=lambda row: row["elevation_m"] if high else -row["elevation_m"])
    goal = Goal(
        answer=Answer("text", best["name"]),
        route=(Place(_TABLE, {}), Place(_TABLE, {"region": region})),
        evidence=(_line(best),),
        must_see=True,
    )
    text = (
        f"Which weather station of the region {region} lies {'highest' if high else 'lowest'}? "
        "Answer with its name only."
    )
    return _draft(text, goal, {"region": region, "answer": best["name"]})


def _solve_extreme(guide: DataGuide, notes: Notes) -> Action:
    return guide.filtered(region=notes["region"]) or guide.answer(notes["answer"])


def _most(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows("SELECT region, count(*) AS n FROM station GROUP BY region ORDER BY n DESC")
    most = bool(rng.integers(2))
    best = rows[0 if most else -1]
    goal = Goal(
        answer=Answer("text", best["region"]), route=(Place(_TABLE, {}),),
        evidence=(f"link '{best['region']}' {best['n']}",), must_see=True,
    )  # fmt: skip
    text = f"Which region has the {'most' if most else 'fewest'} weather stations? Answer with its name only."
    return _draft(text, goal, {"answer": best["region"]})


def _solve_most(guide: DataGuide, notes: Notes) -> Action:
    return guide.filtered() or guide.answer(notes["answer"])


def _rain(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(
        rng,
        "SELECT m.*, s.name FROM measurement m JOIN station s ON s.id = m.station ORDER BY m.id",
    )
    goal = Goal(
        answer=Answer("number", row["rain_mm"]),
        route=(
            Place(f"{_TABLE}/{row['station']}", {}),
            Place("/weather/measurement", {"station": str(row["station"])}),
        ),
        evidence=(f"'{row['name']}'", f"{row['month']} | {row['rain_mm']} | {row['warmest_c']}"),
        must_see=True,
    )
    text = (
        f"How many millimetres of rain did the weather station {row['name']} measure in {row['month']}? "
        "Answer with the number only."
    )
    return _draft(text, goal, {"name": row["name"], "key": row["station"], "answer": row["rain_mm"]})


def _solve_rain(guide: DataGuide, notes: Notes) -> Action:
    if guide.path == "/weather/measurement" and str(notes["key"]) in guide.query.values():
        return guide.answer(notes["answer"])
    return guide.station(notes["name"], notes["key"]) or guide.click("link", "6 rows") or guide.away()


def _open(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, _STATIONS)
    place = Place(f"{_TABLE}/{row['id']}", {})
    goal = Goal(route=(Place(_TABLE, {}), place), final=place)
    text = (
        f"Show me the weather station {row['name']} on the page of its own, to which its id leads in the table of"
        " stations, and answer done."
    )
    return _draft(text, goal, {"name": row["name"], "key": row["id"]})


def _solve_open(guide: DataGuide, notes: Notes) -> Action:
    return guide.station(notes["name"], notes["key"]) or guide.answer("done")


# ------------------------------------------------------------------ what can't be done


def _write(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, _STATIONS)
    place = Place(f"{_TABLE}/{row['id']}", {})
    goal = Goal(infeasible="not_supported", evidence=(_line(row),), must_see=True, route=(Place(_TABLE, {}), place))
    text = f"Correct the elevation of the weather station {row['name']} to {row['elevation_m'] + 7} m."
    return _draft(text, goal, {"name": row["name"], "key": row["id"]})


def _solve_write(guide: DataGuide, notes: Notes) -> Action:
    reason = guide.report("not_supported", "the data can only be read.")
    return guide.station(notes["name"], notes["key"]) or reason


def _nowhere(world: World, rng: np.random.Generator) -> Draft:
    name = ("Crystal Cavern", "Silent Glacier", "Copper Island", "Painted Desert")[int(rng.integers(4))]
    goal = Goal(
        infeasible="not_found", evidence=(f'0 rows where name = "{name}"',), must_see=True,
        route=(Place(_TABLE, {}), Place(_TABLE, {"name": name})),
    )  # fmt: skip
    text = f"At which elevation in metres lies the weather station {name}? Answer with the number only."
    return _draft(text, goal, {"name": name})


def _solve_nowhere(guide: DataGuide, notes: Notes) -> Action:
    reason = guide.report("not_found", f"there is no station {notes['name']}.")
    return guide.filtered(name=notes["name"]) or reason


def _data(name: str, kind: str, difficulty: float, make: Any, solve: Any, held_out: bool = False) -> Template:
    return Template(f"data-{name}", kind, difficulty, make, solve, held_out, ("data",), DataGuide)


TEMPLATES = (
    _data("fact", "look up", 0.4, _fact, _solve_fact),
    _data("count", "navigate", 0.6, _count, _solve_count),
    _data("extreme", "compare", 0.5, _extreme, _solve_extreme),
    _data("most", "compare", 0.3, _most, _solve_most),
    _data("rain", "look up", 0.6, _rain, _solve_rain),
    _data("open", "navigate", 0.4, _open, _solve_open, held_out=True),
    _data("read-only", "infeasible", 0.5, _write, _solve_write),
    _data("no-such-station", "infeasible", 0.5, _nowhere, _solve_nowhere),
)
