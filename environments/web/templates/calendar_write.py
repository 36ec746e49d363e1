"""Creating, changing and deleting events, answering invitations, and asking first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal, Place, Want
from agentgym.environments.web.guide_kit import CalendarGuide
from agentgym.environments.web.sites.calendar.times import KINDS, occurrences, overlapping
from agentgym.environments.web.sites.kit.days import a_time, day_words, time_words
from agentgym.environments.web.sites.kit.world import pick
from agentgym.environments.web.sites.mail.texts import ROOMS
from agentgym.environments.web.sites.world import World
from agentgym.environments.web.template import Draft, Template
from agentgym.environments.web.templates.calendar_read import busy, event_place, today, two_people

Notes = Mapping[str, Any]

_HOST = "calendar.test"
_TITLES = ("Lunch with Robin", "Bicycle repair", "Flu vaccination", "Museum tour", "Pottery class", "Spring cleaning")
_MEETINGS = ("Kick-off", "Handover", "Retrospective", "Price talks", "Briefing")
_OWN = "SELECT * FROM event WHERE repeats = '' AND organizer = (SELECT email FROM planner) AND day > ? ORDER BY id"
_NEW = Place("/events/new", {}, _HOST)


def _done(guide: CalendarGuide) -> Action:
    return guide.answer("done")


def _slot(world: World, rng: np.random.Generator, minutes: int) -> tuple[str, str]:
    """A day and a time at which nothing is."""
    while True:
        day = today(world) + timedelta(days=int(rng.integers(3, 36)))
        start = int(rng.integers(8 * 4, 17 * 4)) * 15
        if not overlapping(busy(world, day), start, minutes):
            return day.isoformat(), time_words(start)


def _later(world: World, rng: np.random.Generator) -> dict[str, Any]:
    """One of the owner's events to come."""
    return pick(rng, world.rows(_OWN, today(world).isoformat()) or world.rows(_OWN, ""))


def form_values(values: Mapping[str, Any], guests: str = "") -> dict[str, Any]:
    """An event's columns as the form has them, by label."""
    return {
        "Title": values["title"],
        "Day": values["day"],
        "Start": values["start"],
        "Minutes": values["minutes"],
        "Place": values["place"],
        "Kind": str(values["kind"]).capitalize(),
        "Repeats": str(values["repeats"]).capitalize() or "No",
        "Guests": guests,
    }


# ------------------------------------------------------------------ new events


def _create(world: World, rng: np.random.Generator) -> Draft:
    minutes = pick(rng, (30, 45, 60, 75))
    day, start = _slot(world, rng, minutes)
    values = {"title": pick(rng, _TITLES), "day": day, "start": start, "minutes": minutes, "place": pick(rng, ROOMS),
              "kind": pick(rng, KINDS[1:]), "repeats": "", "until": "", "notes": ""}  # fmt: skip
    goal = Goal(wants=(Want("event", "add", values),), route=(_NEW,))
    text = (
        f"Put '{values['title']}' into the calendar: on {day} at {start} for {minutes} minutes, place"
        f" {values['place']}, kind {str(values['kind']).capitalize()}."
    )
    return Draft(text, goal, {"form": form_values(values)})


def _invite(world: World, rng: np.random.Generator) -> Draft:
    people, minutes = two_people(world, rng), pick(rng, (30, 60, 90))
    day, start = _slot(world, rng, minutes)
    values = {"title": pick(rng, _MEETINGS), "day": day, "start": start, "minutes": minutes, "place": pick(rng, ROOMS),
              "kind": "work", "repeats": "", "until": "", "notes": ""}  # fmt: skip
    guests = sorted(person["email"] for person in people)
    goal = Goal(
        wants=(
            Want("event", "add", values),
            *(Want("guest", "add", {"email": g, "answer": "waiting"}) for g in guests),
        ),
        route=(Place("/people", {}, _HOST), _NEW),
    )
    names = " and ".join(person["name"] for person in people)
    text = (
        f"Invite {names} to '{values['title']}' on {day} at {start}, {minutes} minutes, place {values['place']}, kind"
        " Work."
    )
    return Draft(text, goal, {"form": form_values(values, ", ".join(guests)), "guests": guests})


def _weekly(world: World, rng: np.random.Generator) -> Draft:
    first = today(world) + timedelta(days=int(rng.integers(3, 10)))
    until = first + timedelta(days=7 * int(rng.integers(3, 9)))
    values = {"title": pick(rng, _TITLES), "day": first.isoformat(), "start": "07:00", "minutes": 30, "place": "",
              "kind": "personal", "repeats": "weekly", "until": until.isoformat(), "notes": ""}  # fmt: skip
    goal = Goal(wants=(Want("event", "add", values),), route=(_NEW,))
    text = (
        f"Put '{values['title']}' into the calendar, every week from {first.isoformat()} to {until.isoformat()}, at"
        " 07:00 for 30 minutes, kind Personal, without a place."
    )
    return Draft(text, goal, {"form": {**form_values(values), "Until": until.isoformat()}})


def _solve_create(guide: CalendarGuide, notes: Notes) -> Action:
    if guide.sent("event"):
        return _done(guide)
    if notes.get("guests") and guide.path == "/":
        return guide.section("People")
    return guide.new_event(notes["form"])


# ------------------------------------------------------------------ changes


def _move(world: World, rng: np.random.Generator) -> Draft:
    row = _later(world, rng)
    day, start = _slot(world, rng, row["minutes"])
    goal = Goal(
        wants=(Want("event", "change", {"day": day, "start": start}, row["id"]),),
        route=(event_place(row["id"]), event_place(row["id"], "/edit")),
    )
    text = f"Move the event '{row['title']}' to {day} at {start}."
    return Draft(text, goal, {"id": row["id"], "title": row["title"], "form": {"Day": day, "Start": start}})


def _note(world: World, rng: np.random.Generator) -> Draft:
    row = _later(world, rng)
    note = pick(rng, ("bring the folder", "take the bus", "call before", "ask for the bill"))
    goal = Goal(
        wants=(Want("event", "change", {"notes": note}, row["id"]),),
        route=(event_place(row["id"]), event_place(row["id"], "/edit")),
    )
    text = f"Write the note '{note}' on the event '{row['title']}'; it replaces what stands there."
    return Draft(text, goal, {"id": row["id"], "title": row["title"], "form": {"Notes": note}})


def _solve_change(guide: CalendarGuide, notes: Notes) -> Action:
    if guide.sent("event", notes["id"]):
        return _done(guide)
    return guide.event_page(notes["id"], notes["title"], "edit") or guide.fill_in(notes["form"], "Save changes")


def _answer(world: World, rng: np.random.Generator) -> Draft:
    rows = _waiting(world)
    row, given = pick(rng, rows), pick(rng, ("yes", "maybe", "no"))
    goal = Goal(
        wants=(Want("guest", "change", {"answer": given}, row["guest"]),),
        route=(Place("/invitations", {}, _HOST), event_place(row["id"])),
    )
    text = f"Answer {given} to the invitation to '{row['title']}'."
    return Draft(text, goal, {"all": [[row["id"], row["guest"], given]]})


def _waiting(world: World) -> list[dict[str, Any]]:
    return world.rows(
        "SELECT event.*, guest.id AS guest FROM guest JOIN event ON event.id = event WHERE email ="
        " (SELECT email FROM planner) AND answer = 'waiting' ORDER BY event.id"
    )


def _answer_all(world: World, rng: np.random.Generator) -> Draft:
    answers = []
    for row in _waiting(world):
        taken = busy(world, date.fromisoformat(row["day"]))
        clash = overlapping(taken, a_time(row["start"]) or 0, row["minutes"])
        answers.append([row["id"], row["guest"], "no" if clash else "yes"])
    goal = Goal(
        wants=tuple(Want("guest", "change", {"answer": given}, guest) for _, guest, given in answers),
        route=(Place("/invitations", {}, _HOST), *(event_place(key) for key, _, _ in answers)),
    )
    text = (
        "Answer all unanswered invitations: no to those that are at the same time as something that I take part in, yes"
        " to the others."
    )
    return Draft(text, goal, {"all": answers})


def _solve_answers(guide: CalendarGuide, notes: Notes) -> Action:
    for key, guest, given in notes["all"]:
        if not guide.sent("guest", guest):
            if guide.path == f"/events/{key}":
                return guide.fill_in({given.capitalize(): True}, "Answer")
            return guide.link_to(f"/events/{key}") or guide.section("Invitations")
    return _done(guide)


# ------------------------------------------------------------------ deleting


def _delete(world: World, rng: np.random.Generator) -> Draft:
    row = _later(world, rng)
    guests = world.rows("SELECT id FROM guest WHERE event = ? ORDER BY id", row["id"])
    goal = Goal(
        wants=(Want("event", "delete", {}, row["id"]), *(Want("guest", "delete", {}, guest["id"]) for guest in guests)),
        route=(event_place(row["id"]), event_place(row["id"], "/delete")),
    )
    return Draft(f"Delete the event '{row['title']}'.", goal, {"id": row["id"], "title": row["title"]})


def _solve_delete(guide: CalendarGuide, notes: Notes) -> Action:
    if guide.sent("event", notes["id"]):
        return _done(guide)
    there = guide.event_page(notes["id"], notes["title"], "delete")
    return there or guide.click("button", "Delete event") or guide.away()


def _skip(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows("SELECT * FROM event WHERE repeats IN ('weekly', 'fortnightly') ORDER BY id")
               or world.rows("SELECT * FROM event WHERE repeats != '' ORDER BY id"))  # fmt: skip
    first = today(world) + timedelta(days=1)
    day = pick(rng, occurrences([row], (), first, first + timedelta(days=60))).day
    query = {"day": day.isoformat()}
    goal = Goal(
        wants=(Want("skipped", "add", {"event": row["id"], "day": day.isoformat()}),),
        route=(Place(f"/events/{row['id']}", query, _HOST), Place(f"/events/{row['id']}/delete", query, _HOST)),
    )
    text = f"'{row['title']}' does not take place on {day.isoformat()}. Delete it on that day, and on no other."
    notes = {"id": row["id"], "day": day.isoformat(), "option": f"Only {day_words(day)}"}
    return Draft(text, goal, notes)


def _solve_skip(guide: CalendarGuide, notes: Notes) -> Action:
    key, day = notes["id"], notes["day"]
    if guide.sent("skipped"):
        return _done(guide)
    if guide.under(f"/events/{key}") and guide.query.get("day") == day:
        if guide.path == f"/events/{key}/delete":
            return guide.fill_in({"Delete": notes["option"]}, "Delete event")
        return guide.link_to(f"/events/{key}/delete?day={day}") or guide.section("Agenda")
    return guide.day(day) or guide.link_to(f"/events/{key}?day={day}") or guide.away()


# ------------------------------------------------------------------ asking first


def _ask(world: World, rng: np.random.Generator) -> Draft:
    other, agrees = _later(world, rng), bool(rng.integers(2))
    values = {"title": pick(rng, _TITLES), "day": other["day"], "start": other["start"], "minutes": 30,
              "place": pick(rng, ROOMS), "kind": "personal", "repeats": "", "until": "", "notes": ""}  # fmt: skip
    goal = Goal(
        wants=(Want("event", "add", values),) if agrees else (),
        confirm="Yes, save it." if agrees else "Then leave it.",
        evidence=(other["title"],),
        must_see=True,
        route=(_NEW,),
    )
    text = (
        f"Put '{values['title']}' into the calendar: on {values['day']} at {values['start']} for 30 minutes, place"
        f" {values['place']}, kind Personal. If I have something else at that time, find out what, ask me whether to"
        " save it all the same, and do what I say. Then answer done."
    )
    return Draft(text, goal, {"form": form_values(values), "other": other["title"], "agrees": agrees})


def _solve_ask(guide: CalendarGuide, notes: Notes) -> Action:
    if guide.sent("event") or (guide.asked and not notes["agrees"]):
        return _done(guide)
    if not guide.asked and guide.seen:
        return guide.answer(f"{notes['other']} is at that time. Shall I save it all the same?")
    return guide.new_event(notes["form"])


_calendar = partial(Template, sites=("calendar",), guide=CalendarGuide)

TEMPLATES = (
    _calendar("calendar-create", "create", 0.5, _create, _solve_create),
    _calendar("calendar-invite", "create", 0.7, _invite, _solve_create),
    _calendar("calendar-weekly", "create", 0.6, _weekly, _solve_create, held_out=True),
    _calendar("calendar-move", "edit", 0.5, _move, _solve_change),
    _calendar("calendar-note", "edit", 0.4, _note, _solve_change),
    _calendar("calendar-answer", "edit", 0.3, _answer, _solve_answers),
    _calendar("calendar-answer-all", "edit", 0.8, _answer_all, _solve_answers),
    _calendar("calendar-delete", "delete", 0.4, _delete, _solve_delete),
    _calendar("calendar-skip", "delete", 0.6, _skip, _solve_skip),
    _calendar("calendar-ask-before-overlapping", "confirm", 0.7, _ask, _solve_ask),
)
