"""Looking up, comparing and finding places on the map, and what can't be found there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import FIRST_PAGE, Answer, Goal, Place
from agentgym.environments.web.guide_kit import MapGuide
from agentgym.environments.web.sites.kit.days import WEEKDAYS
from agentgym.environments.web.sites.kit.world import pick, sample
from agentgym.environments.web.sites.map.graph import WAYS, distances, edges, minutes
from agentgym.environments.web.sites.map.places import rating
from agentgym.environments.web.sites.map.world import CATEGORIES
from agentgym.environments.web.sites.world import World
from agentgym.environments.web.template import Draft, Template

Notes = Mapping[str, Any]

_HOST = "map.test"
_PLACES = "SELECT * FROM place ORDER BY id"
_UNKNOWN = ("Starlight Theatre", "Copper Arcade", "Ruby Aquarium", "Sundial Gallery", "Tulip Arena")
_WORDS = {"walk": "on foot", "bike": "by bike", "car": "by car"}


def place_page(key: int, way: str = "") -> Place:
    """The page of a place, or one below it."""
    return Place(f"/places/{key}{way}", {}, _HOST)


def metres_from(world: World, junction: int, way: str = "walk") -> dict[int, int]:
    """Metres from a junction to all others."""
    rows = world.rows("SELECT * FROM segment ORDER BY id")
    return distances(edges([(r["street"], r["a"], r["b"], r["metres"], r["oneway"]) for r in rows], way), junction)[0]


def nearest(world: World, start: Mapping[str, Any], category: str) -> list[dict[str, Any]]:
    """Places of a category, the nearest on foot first."""
    metres = metres_from(world, start["junction"])
    found = [row for row in world.rows(_PLACES) if row["category"] == category and row["id"] != start["id"]]
    return sorted(found, key=lambda row: metres[row["junction"]])


def start_and_nearest(
    world: World, rng: np.random.Generator, categories: Sequence[str]
) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """A place, a category, and which of that is nearest to it: there is no other at the same distance."""
    while True:
        start, category = pick(rng, world.rows(_PLACES)), pick(rng, categories)
        if is_alone(world, start, found := nearest(world, start, category)):
            return start, category, found[0]


def is_alone(world: World, start: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the first of what ``nearest`` has found is nearer than the second."""
    metres = metres_from(world, start["junction"])
    return len(found) < 2 or metres[found[0]["junction"]] < metres[found[1]["junction"]]


# ------------------------------------------------------------------ one place


def _fact(world: World, rng: np.random.Generator, address: bool) -> Draft:
    rows = world.rows(
        "SELECT place.*, street.name AS road FROM place JOIN street ON street.id = street ORDER BY place.id"
    )
    row = pick(rng, rows)
    value = f"{row['house']} {row['road']}" if address else row["phone"]
    words = "address" if address else "phone number"
    goal = Goal(answer=Answer("text", value), route=(place_page(row["id"]),), evidence=(value,), must_see=True)
    text = f"What is the {words} of {row['name']}? Answer with the {words} only."
    return Draft(text, goal, {"id": row["id"], "name": row["name"], "answer": value})


def _closing(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(
        "SELECT place.id, name, weekday, opens, closes FROM hours JOIN place ON place.id = place"
        " WHERE closes != '24:00' ORDER BY hours.id"
    )
    row = pick(rng, rows)
    day = WEEKDAYS[row["weekday"]]
    goal = Goal(
        answer=Answer("time", row["closes"]), route=(place_page(row["id"]),), must_see=True,
        evidence=(f"{day} | {row['opens']} to {row['closes']}", f"heading '{row['name']}'"),
    )  # fmt: skip
    text = f"When does {row['name']} close on a {day}? Answer with the time only, as 17:30."
    return Draft(text, goal, {"id": row["id"], "name": row["name"], "answer": row["closes"]})


def _read(guide: MapGuide, notes: Notes) -> Action:
    return guide.place(notes["id"], notes["name"]) or guide.answer(notes["answer"])


# ------------------------------------------------------------------ comparing


def _nearest(world: World, rng: np.random.Generator) -> Draft:
    start, category, best = start_and_nearest(world, rng, CATEGORIES[:8])
    query = {"near": str(start["id"]), "category": category, "sort": "distance"}
    goal = Goal(
        answer=Answer("text", best["name"]), route=(place_page(start["id"]), Place("/places", query, _HOST)),
        evidence=(f"link '{best['name']}'",), must_see=True,
    )  # fmt: skip
    text = f"Which {category} is nearest to {start['name']} on foot? Answer with its name only."
    return Draft(text, goal, {"id": start["id"], "name": start["name"], "category": category, "answer": best["name"]})


def _solve_nearest(guide: MapGuide, notes: Notes) -> Action:
    return guide.near(notes["id"], notes["name"], notes["category"]) or guide.answer(notes["answer"])


def _best(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(
        "SELECT place.id, name, category, sum(stars) AS stars, count(*) AS n FROM place JOIN review ON place = place.id"
        " GROUP BY place.id ORDER BY place.id"
    )
    fitting = []
    for category in CATEGORIES:
        own = sorted((row for row in rows if row["category"] == category), key=lambda row: -row["stars"] / row["n"])
        shown = [rating(row["stars"], row["n"])[:3] for row in own]
        if len(own) > 1 and shown[0] != shown[1]:
            fitting.append(own)
    own = pick(rng, fitting)
    best, category = own[0], own[0]["category"]
    goal = Goal(
        answer=Answer("text", best["name"]), route=(Place("/places", {"category": category, "sort": "rating"}, _HOST),),
        evidence=tuple(f"| {rating(row['stars'], row['n'])}" for row in own), must_see=True,
    )  # fmt: skip
    text = f"Which place of the category {category} has the best rating? Answer with its name only."
    return Draft(text, goal, {"filter": {"category": category, "sort": "rating"}, "answer": best["name"]})


def _solve_listed(guide: MapGuide, notes: Notes) -> Action:
    return guide.places(**notes["filter"]) or guide.answer(notes["answer"])


def _way(world: World, rng: np.random.Generator, time: bool) -> Draft:
    start, end = sample(rng, world.rows(_PLACES), 2)
    by = pick(rng, WAYS)
    metres = metres_from(world, start["junction"], by)[end["junction"]]
    answer = minutes(metres, by) if time else metres
    query = {"from": start["name"], "to": end["name"], "by": by}
    goal = Goal(
        answer=Answer("number", answer), route=(Place("/route", {}, _HOST), Place("/route", query, _HOST)),
        evidence=(f": {metres} m, {minutes(metres, by)} minutes.",), must_see=True,
    )  # fmt: skip
    words = ("How many minutes does the way take", "minutes") if time else ("How many metres long is the way", "metres")
    text = f"{words[0]} from {start['name']} to {end['name']}, {_WORDS[by]}? Answer with the number of {words[1]} only."
    return Draft(text, goal, {**query, "answer": answer})


def _solve_way(guide: MapGuide, notes: Notes) -> Action:
    fields = {
        "From": ("from", notes["from"], notes["from"]),
        "To": ("to", notes["to"], notes["to"]),
        "Travel": ("by", _WORDS[notes["by"]].capitalize(), notes["by"]),
    }
    return guide.asked_for("Route", "/route", fields, "Show the way") or guide.answer(notes["answer"])


# ------------------------------------------------------------------ finding and showing


def _open(world: World, rng: np.random.Generator) -> Draft:
    category, weekday = pick(rng, CATEGORIES[:6]), int(rng.integers(5, 7))
    rows = world.rows(
        "SELECT name FROM place WHERE category = ? AND id IN (SELECT place FROM hours WHERE weekday = ?) ORDER BY name",
        category, weekday,
    )  # fmt: skip
    names = [row["name"] for row in rows]
    day = WEEKDAYS[weekday]
    if not names:
        return _open(world, rng)
    query = {"category": category, "open": day, "sort": "name"}
    goal = Goal(
        answer=Answer("set", names), route=(Place("/places", query, _HOST),), must_see=True,
        evidence=tuple(f"link '{name}'" for name in names),
    )  # fmt: skip
    text = (
        f"Which places of the category {category} are open on a {day}? Answer with their names only, separated by"
        " commas."
    )
    return Draft(text, goal, {"filter": {"category": category, "open": day}, "answer": ", ".join(names)})


def _show(world: World, rng: np.random.Generator) -> Draft:
    area = pick(rng, world.rows("SELECT name FROM district ORDER BY id"))["name"]
    day, sort = pick(rng, WEEKDAYS), pick(rng, ("rating", "distance"))
    home = str(world.rows("SELECT home FROM traveller")[0]["home"])
    also = {**FIRST_PAGE, "near": [home] if sort == "distance" else []}
    place = Place("/places", {"district": area, "open": day, "sort": sort}, _HOST, also)
    words = "distance from home" if sort == "distance" else sort
    goal = Goal(route=(Place("/places", {}, _HOST), place), final=place)
    text = (
        f"Show the places of all categories in {area} that are open on a {day}, sorted by {words}, and answer"
        " done while they are shown."
    )
    return Draft(text, goal, {"filter": {"district": area, "open": day, "sort": sort}, "answer": "done"})


def _solve_show(guide: MapGuide, notes: Notes) -> Action:
    if guide.path == "/places" and guide.query.get("page"):
        return guide.section("Overview")
    return _solve_listed(guide, notes)


# ------------------------------------------------------------------ what can't be done


def _unknown(world: World, rng: np.random.Generator) -> Draft:
    name = pick(rng, _UNKNOWN)
    goal = Goal(
        infeasible="not_found", evidence=("No place matches.",), must_see=True, route=(Place("/places", {}, _HOST),)
    )
    return Draft(f"What is the phone number of {name}? Answer with the number only.", goal, {"name": name})


def _solve_unknown(guide: MapGuide, notes: Notes) -> Action:
    return guide.places(q=notes["name"]) or guide.report("not_found", f"there is no {notes['name']}.")


_map = partial(Template, sites=("map",), guide=MapGuide)

TEMPLATES = (
    _map("map-phone", "look up", 0.2, partial(_fact, address=False), _read),
    _map("map-address", "look up", 0.2, partial(_fact, address=True), _read),
    _map("map-closing", "look up", 0.3, _closing, _read),
    _map("map-nearest", "compare", 0.5, _nearest, _solve_nearest),
    _map("map-best", "compare", 0.4, _best, _solve_listed),
    _map("map-metres", "look up", 0.4, partial(_way, time=False), _solve_way),
    _map("map-minutes", "look up", 0.4, partial(_way, time=True), _solve_way, held_out=True),
    _map("map-open", "navigate", 0.4, _open, _solve_listed),
    _map("map-show", "navigate", 0.4, _show, _solve_show),
    _map("map-unknown", "infeasible", 0.3, _unknown, _solve_unknown),
)
