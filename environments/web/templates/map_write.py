"""Saving and reviewing places, undoing that, settings, and what is refused or has to be asked first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal, Place, Want
from agentgym.environments.web.guide_kit import MapGuide
from agentgym.environments.web.sites.kit.world import pick
from agentgym.environments.web.sites.map.world import CATEGORIES, LISTS
from agentgym.environments.web.sites.world import World
from agentgym.environments.web.template import Draft, Template
from agentgym.environments.web.templates.map_read import place_page, start_and_nearest

Notes = Mapping[str, Any]

_HOST = "map.test"
_SAVED = Place("/saved", {}, _HOST)
_NOTES = ("ask for Robin", "opposite the school", "ring twice", "cash only", "garden in the back")
_REVIEWS = ("Clean and quiet.", "Kind people, long queue.", "Worth a visit.", "Not again.", "Good value.")
_WITH_NAMES = "SELECT saved.*, name FROM saved JOIN place ON place.id = place"
_MINE = (
    "SELECT review.*, name FROM review JOIN place ON place.id = place WHERE author = (SELECT owner FROM traveller)"
    " ORDER BY review.id"
)


def _done(guide: MapGuide) -> Action:
    return guide.answer("done")


# ------------------------------------------------------------------ new entries


def _save(world: World, rng: np.random.Generator) -> Draft:
    free = world.rows("SELECT * FROM place WHERE id NOT IN (SELECT place FROM saved) ORDER BY id")
    row, name, note = pick(rng, free), pick(rng, LISTS), pick(rng, _NOTES)
    goal = Goal(
        wants=(Want("saved", "add", {"place": row["id"], "list": name, "note": note}),),
        route=(place_page(row["id"]), place_page(row["id"], "/save")),
    )
    text = f"Save {row['name']} in the list {name}, with the note '{note}'."
    fields = {"List": name, "Note": note}
    return Draft(
        text, goal, {"id": row["id"], "name": row["name"], "way": "save", "form": fields, "button": "Save place"}
    )


def _save_nearest(world: World, rng: np.random.Generator) -> Draft:
    (start, category, best), name = start_and_nearest(world, rng, CATEGORIES[:6]), LISTS[1]
    gone = (f"DELETE FROM saved WHERE place = {best['id']}",)
    query = {"near": str(start["id"]), "category": category, "sort": "distance"}
    goal = Goal(
        wants=(Want("saved", "add", {"place": best["id"], "list": name, "note": ""}),),
        route=(place_page(start["id"]), Place("/places", query, _HOST), place_page(best["id"], "/save")),
    )
    text = f"Save the {category} that is nearest to {start['name']} on foot in the list {name}, without a note."
    notes = {"start": start["id"], "from": start["name"], "category": category, "id": best["id"], "name": best["name"],
             "way": "save", "form": {"List": name, "Note": ""}, "button": "Save place"}  # fmt: skip
    return Draft(text, goal, notes, edits={"map": gone})


def _review(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(
        "SELECT * FROM place WHERE category != 'Office' AND id NOT IN (SELECT place FROM review WHERE author ="
        " (SELECT owner FROM traveller)) ORDER BY id"
    )
    owner = world.rows("SELECT owner FROM traveller")[0]["owner"]
    row, stars, text = pick(rng, rows), int(rng.integers(1, 6)), pick(rng, _REVIEWS)
    values = {"place": row["id"], "author": owner, "stars": stars, "text": text}
    goal = Goal(wants=(Want("review", "add", values),), route=(place_page(row["id"]), place_page(row["id"], "/review")))
    task = f"Write a review of {row['name']}: {stars} of 5 stars, with the text: {text}"
    fields = {"Stars": f"{stars} of 5", "Text": text}
    notes = {"id": row["id"], "name": row["name"], "way": "review", "form": fields, "button": "Save review"}
    return Draft(task, goal, notes)


def _solve_new(guide: MapGuide, notes: Notes) -> Action:
    if guide.changes:
        return _done(guide)
    there = guide.place_page(notes["id"], notes["name"], notes["way"])
    return there or guide.fill_in(notes["form"], notes["button"])


def _solve_save_nearest(guide: MapGuide, notes: Notes) -> Action:
    if guide.changes:
        return _done(guide)
    if guide.under(f"/places/{notes['id']}"):
        return _solve_new(guide, notes)
    return guide.near(notes["start"], notes["from"], notes["category"]) or guide.link_to(f"/places/{notes['id']}") or (
        guide.away())  # fmt: skip


# ------------------------------------------------------------------ changes


def _entry(world: World, rng: np.random.Generator, column: str) -> Draft:
    row = pick(rng, world.rows(f"{_WITH_NAMES} ORDER BY saved.id"))
    others = [name for name in LISTS if name != row["list"]]
    value = pick(rng, others) if column == "list" else pick(rng, _NOTES)
    goal = Goal(
        wants=(Want("saved", "change", {column: value}, row["id"]),),
        route=(_SAVED, Place(f"/saved/{row['id']}", {}, _HOST)),
    )
    where = f"the saved place {row['name']}"
    task = f"Move {where} to the list {value}." if column == "list" else f"Change the note on {where} to '{value}'."
    return Draft(task, goal, {"id": row["id"], "form": {column.capitalize(): value}})


def _solve_entry(guide: MapGuide, notes: Notes) -> Action:
    if guide.sent("saved", notes["id"]):
        return _done(guide)
    target = f"/saved/{notes['id']}"
    if guide.path != target:
        return guide.link_to(target) or guide.section("Saved places")
    return guide.fill_in(notes["form"], "Save changes")


def _settings(world: World, rng: np.random.Generator) -> Draft:
    home = world.rows("SELECT home FROM traveller")[0]["home"]
    row = pick(rng, world.rows("SELECT * FROM place WHERE id != ? ORDER BY id", home))
    way = pick(rng, ("bike", "car"))
    goal = Goal(
        wants=(Want("traveller", "change", {"home": row["id"], "way": way}, 1),), route=(Place("/settings", {}, _HOST),)
    )
    task = f"I have moved: in the settings, home is next to {row['name']} now, and I mostly travel by {way}."
    return Draft(task, goal, {"form": {"Home is next to": row["name"], way.capitalize(): True}})


def _solve_settings(guide: MapGuide, notes: Notes) -> Action:
    if guide.sent("traveller"):
        return _done(guide)
    if guide.path != "/settings":
        return guide.section("Settings")
    return guide.fill_in(notes["form"], "Save settings")


# ------------------------------------------------------------------ deleting


def _remove(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows(f"{_WITH_NAMES} ORDER BY saved.id"))
    goal = Goal(
        wants=(Want("saved", "delete", {}, row["id"]),),
        route=(_SAVED, Place(f"/saved/{row['id']}/remove", {}, _HOST)),
    )
    return Draft(f"Remove {row['name']} from my list {row['list']}.", goal, {"id": row["id"]})


def _solve_remove(guide: MapGuide, notes: Notes) -> Action:
    if guide.sent("saved", notes["id"]):
        return _done(guide)
    target = f"/saved/{notes['id']}"
    if guide.path == f"{target}/remove":
        return guide.click("button", "Remove place") or guide.away()
    return guide.link_to(f"{target}/remove") or guide.link_to(target) or guide.section("Saved places")


def _withdraw(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows(_MINE))
    goal = Goal(
        wants=(Want("review", "delete", {}, row["id"]),),
        route=(place_page(row["place"]), Place(f"/reviews/{row['id']}/delete", {}, _HOST)),
    )
    return Draft(
        f"Delete my review of {row['name']}.", goal, {"id": row["place"], "name": row["name"], "own": row["id"]}
    )


def _solve_withdraw(guide: MapGuide, notes: Notes) -> Action:
    if guide.sent("review", notes["own"]):
        return _done(guide)
    target = f"/reviews/{notes['own']}"
    if guide.path == f"{target}/delete":
        return guide.click("button", "Delete my review") or guide.click("button", "Delete review") or guide.away()
    there = guide.link_to(f"{target}/delete") or guide.link_to(target)
    return there or guide.place(notes["id"], notes["name"]) or guide.section("Overview")


# ------------------------------------------------------------------ refused, or asked first


def _twice(world: World, rng: np.random.Generator) -> Draft:
    row, stars = pick(rng, world.rows(_MINE)), int(rng.integers(1, 6))
    goal = Goal(
        infeasible="not_allowed", evidence=("You have reviewed this place already.",), must_see=True,
        route=(place_page(row["place"]), place_page(row["place"], "/review")),
    )  # fmt: skip
    task = f"Add a second review of {row['name']}, with {stars} stars and the text: {pick(rng, _REVIEWS)}"
    return Draft(task, goal, {"id": row["place"], "name": row["name"]})


def _solve_twice(guide: MapGuide, notes: Notes) -> Action:
    there = guide.place_page(notes["id"], notes["name"], "review")
    return there or guide.report("not_allowed", "I have reviewed it already.")


def _ask(world: World, rng: np.random.Generator) -> Draft:
    name, agrees = pick(rng, world.rows("SELECT DISTINCT list FROM saved ORDER BY list"))["list"], bool(rng.integers(2))
    row = pick(rng, world.rows(f"{_WITH_NAMES} WHERE list = ? ORDER BY saved.id", name))
    goal = Goal(
        wants=(Want("saved", "delete", {}, row["id"]),) if agrees else (),
        confirm="Yes, remove it." if agrees else "No, I will keep it.",
        route=(_SAVED,), visited=(Place(f"/saved/{row['id']}", {}, _HOST),),
    )  # fmt: skip
    task = (
        f"Perhaps {row['name']} need not be in my list {name} any more. Open the entry and read me its note in a"
        " question whether I want it removed; then do what I say, and answer done."
    )
    return Draft(task, goal, {"id": row["id"], "note": row["note"], "agrees": agrees})


def _solve_ask(guide: MapGuide, notes: Notes) -> Action:
    if guide.sent("saved"):
        return _done(guide)
    if not guide.asked:
        target = f"/saved/{notes['id']}"
        if guide.path != target:
            return guide.link_to(target) or guide.section("Saved places")
        return guide.answer(f"The note is '{notes['note']}'. Shall I remove it?")
    return _solve_remove(guide, notes) if notes["agrees"] else _done(guide)


_map = partial(Template, sites=("map",), guide=MapGuide)

TEMPLATES = (
    _map("map-save", "create", 0.4, _save, _solve_new),
    _map("map-save-nearest", "create", 0.7, _save_nearest, _solve_save_nearest, held_out=True),
    _map("map-review", "create", 0.5, _review, _solve_new),
    _map("map-note", "edit", 0.3, partial(_entry, column="note"), _solve_entry),
    _map("map-list", "edit", 0.3, partial(_entry, column="list"), _solve_entry),
    _map("map-settings", "edit", 0.3, _settings, _solve_settings),
    _map("map-remove", "delete", 0.3, _remove, _solve_remove),
    _map("map-withdraw", "delete", 0.4, _withdraw, _solve_withdraw),
    _map("map-review-twice", "infeasible", 0.5, _twice, _solve_twice),
    _map("map-ask-before-removing", "confirm", 0.5, _ask, _solve_ask),
)
