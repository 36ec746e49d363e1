"""Looking up, comparing and showing in the calendar, and what can't be done there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Answer, Goal, Place
from agentgym.environments.web.guide_kit import CalendarGuide
from agentgym.environments.web.sites.calendar.times import Occurrence, gaps, occurrences
from agentgym.environments.web.sites.kit.days import a_time, day_words, time_words
from agentgym.environments.web.sites.kit.world import pick, sample
from agentgym.environments.web.sites.world import World
from agentgym.environments.web.template import Draft, Template

Notes = Mapping[str, Any]

_HOST = "calendar.test"
_ONCE = "SELECT * FROM event WHERE repeats = '' AND organizer = (SELECT email FROM planner) ORDER BY id"
_AGREED = (
    "SELECT * FROM event WHERE organizer = (SELECT email FROM planner) OR id IN"
    " (SELECT event FROM guest WHERE email = (SELECT email FROM planner) AND answer = 'yes') ORDER BY id"
)
_UNKNOWN = ("Court hearing", "Sauna evening", "Moving day", "Ski course", "Chess final", "Blood donation")


def today(world: World) -> date:
    """The day of a world."""
    return date.fromisoformat(world.rows("SELECT today FROM planner")[0]["today"])


def busy(world: World, day: date) -> list[Occurrence]:
    """What the owner takes part in on a day."""
    return occurrences(world.rows(_AGREED), (), day, day)


def whole_day(day: date) -> str:
    """A day as the headings of the calendar have it."""
    return f"{day_words(day)} {day.year}"


def event_place(key: int, way: str = "") -> Place:
    """The page of an event, or one below it."""
    return Place(f"/events/{key}{way}", {}, _HOST)


# ------------------------------------------------------------------ one event


def _when(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows(_ONCE))
    goal = Goal(
        answer=Answer("date", row["day"]), route=(event_place(row["id"]),), evidence=(f"link '{row['title']}'",),
        must_see=True,
    )  # fmt: skip
    text = f"On which day is or was the event '{row['title']}'? Answer with the date only, as 2026-03-14."
    return Draft(text, goal, {"id": row["id"], "title": row["title"], "answer": row["day"]})


def _where(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows("SELECT * FROM event ORDER BY id"))
    goal = Goal(
        answer=Answer("text", row["place"]), route=(event_place(row["id"]),), must_see=True,
        evidence=(f"link '{row['title']}'", row["place"]),
    )  # fmt: skip
    text = f"Where does the event '{row['title']}' take place? Answer with the place only."
    return Draft(text, goal, {"id": row["id"], "title": row["title"], "answer": row["place"]})


def _guest(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(
        "SELECT event.id, title, name, answer FROM guest JOIN event ON event.id = event JOIN acquaintance USING (email)"
        " WHERE organizer = (SELECT email FROM planner) ORDER BY guest.id"
    )
    row = pick(rng, rows)
    goal = Goal(
        answer=Answer("text", row["answer"]), route=(event_place(row["id"]),), must_see=True,
        evidence=(f"{row['name']} | {row['answer']}",),
    )  # fmt: skip
    text = (
        f"What has {row['name']} answered to the invitation to '{row['title']}'? "
        "Answer with yes, no, maybe or waiting only."
    )
    return Draft(text, goal, {"id": row["id"], "title": row["title"], "answer": row["answer"]})


def _read(guide: CalendarGuide, notes: Notes) -> Action:
    return guide.event(notes["id"], notes["title"]) or guide.answer(notes["answer"])


def _longer(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(_ONCE)
    one = pick(rng, rows)
    two = pick(rng, [row for row in rows if row["minutes"] != one["minutes"]])
    best = max(one, two, key=lambda row: row["minutes"])
    goal = Goal(
        answer=Answer("text", best["title"]), route=(event_place(one["id"]), event_place(two["id"])), must_see=True,
        evidence=tuple(_span(row) for row in (one, two)),
    )  # fmt: skip
    text = f"Which event lasts longer, '{one['title']}' or '{two['title']}'? Answer with its title only."
    events = [[row["id"], row["title"], _span(row)] for row in (one, two)]
    return Draft(text, goal, {"all": events, "answer": best["title"]})


def _span(row: Mapping[str, Any]) -> str:
    start = a_time(row["start"]) or 0
    return f"{row['start']} to {time_words(start + row['minutes'])}"


def _solve_longer(guide: CalendarGuide, notes: Notes) -> Action:
    for key, title, span in notes["all"]:
        if span not in guide.seen:
            return guide.event(key, title) or guide.away()
    return guide.answer(notes["answer"])


# ------------------------------------------------------------------ days


def _some_day(world: World, rng: np.random.Generator) -> date:
    return today(world) + timedelta(days=int(rng.integers(6, 40)))


def _count(world: World, rng: np.random.Generator) -> Draft:
    shown = (today(world) + timedelta(days=6)).isoformat()  # on the first page, where nothing has to be looked up
    event = pick(rng, [row for row in world.rows(_ONCE) if row["day"] > shown])
    day = date.fromisoformat(event["day"])
    everything = occurrences(world.rows("SELECT * FROM event ORDER BY id"), (), day, day)
    goal = Goal(
        answer=Answer("number", len(everything)), route=(Place("/week", {"day": day.isoformat()}, _HOST),),
        evidence=(whole_day(day),), must_see=True,
    )  # fmt: skip
    text = (
        f"How many events does the calendar show on {day.isoformat()}, unanswered invitations included? "
        "Answer with the number only."
    )
    return Draft(text, goal, {"day": day.isoformat(), "answer": len(everything)})


def _solve_count(guide: CalendarGuide, notes: Notes) -> Action:
    return guide.day(notes["day"]) or guide.answer(notes["answer"])


def _first_free(world: World, rng: np.random.Generator) -> Draft:
    minutes, days = pick(rng, (60, 90, 120)), [today(world) + timedelta(days=i) for i in range(6, 30)]
    busy_days = [day for day in days if any(item.start < 10 * 60 for item in busy(world, day))] or days[:1]
    day = pick(rng, busy_days)
    start = time_words(gaps(busy(world, day), minutes)[0][0])
    fields = {"day": day.isoformat(), "minutes": str(minutes)}
    goal = Goal(
        answer=Answer("time", start), route=(Place("/free", fields, _HOST),), evidence=(whole_day(day),), must_see=True
    )
    text = (
        f"From when on do I have {minutes} minutes free on {day.isoformat()}, between 08:00 and 18:00 and as early as"
        " possible? Unanswered invitations don't count. Answer with the time only, as 09:30."
    )
    return Draft(text, goal, {**fields, "answer": start})


def _solve_first_free(guide: CalendarGuide, notes: Notes) -> Action:
    fields = {"Day": ("day", notes["day"], notes["day"]), "Minutes": ("minutes", notes["minutes"], notes["minutes"])}
    return guide.asked_for("Free times", "/free", fields, "Find") or guide.answer(notes["answer"])


def _show_week(world: World, rng: np.random.Generator) -> Draft:
    wanted = _some_day(world, rng)
    day, days = wanted.isoformat(), [wanted + timedelta(days=i - wanted.weekday()) for i in range(7)]
    same = [item.isoformat() for item in days] + ([""] if today(world) in days else [])
    place = Place("/week", {"day": day}, _HOST, {"day": same})
    goal = Goal(route=(Place("/week", {}, _HOST), place), final=place)
    text = f"Show the week of {day}, and answer done while the week is shown."
    return Draft(text, goal, {"day": day})


def _solve_show_week(guide: CalendarGuide, notes: Notes) -> Action:
    fields = {"Week of": ("day", notes["day"], notes["day"])}
    return guide.asked_for("Week", "/week", fields, "Show") or guide.answer("done")


# ------------------------------------------------------------------ what can't be done


def _foreign(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(
        "SELECT event.*, name FROM event JOIN acquaintance ON email = organizer WHERE organizer !="
        " (SELECT email FROM planner) ORDER BY event.id"
    )
    row, way = pick(rng, rows), pick(rng, ("edit", "delete"))
    goal = Goal(
        infeasible="not_allowed", evidence=(f"Only {row['name']}, who invited you",), must_see=True,
        route=(event_place(row["id"]),),
    )  # fmt: skip
    task = (
        f"Delete the event '{row['title']}'." if way == "delete" else f"Let the event '{row['title']}' start at 07:00."
    )
    return Draft(task, goal, {"id": row["id"], "title": row["title"], "way": way})


def _solve_foreign(guide: CalendarGuide, notes: Notes) -> Action:
    there = guide.event_page(notes["id"], notes["title"], notes["way"])
    return there or guide.report("not_allowed", "it is the event of somebody else.")


def _unknown(world: World, rng: np.random.Generator) -> Draft:
    title = pick(rng, _UNKNOWN)
    goal = Goal(
        infeasible="not_found", evidence=("No event matches.",), must_see=True, route=(Place("/search", {}, _HOST),)
    )
    return Draft(f"When does the event '{title}' begin? Answer with the time only.", goal, {"title": title})


def _solve_unknown(guide: CalendarGuide, notes: Notes) -> Action:
    title = notes["title"]
    fields = {"Words": ("q", title, title), "Kind": ("kind", "Any", ""), "With": ("guest", "", "")}
    shown = guide.asked_for("Search", "/search", fields, "Search")
    return shown or guide.report("not_found", f"there is no event {title}.")


def two_people(world: World, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Two different acquaintances."""
    return sample(rng, world.rows("SELECT * FROM acquaintance ORDER BY id"), 2)


_calendar = partial(Template, sites=("calendar",), guide=CalendarGuide)

TEMPLATES = (
    _calendar("calendar-when", "look up", 0.2, _when, _read),
    _calendar("calendar-where", "look up", 0.2, _where, _read),
    _calendar("calendar-guest", "look up", 0.3, _guest, _read, held_out=True),
    _calendar("calendar-longer", "compare", 0.4, _longer, _solve_longer),
    _calendar("calendar-count", "navigate", 0.3, _count, _solve_count),
    _calendar("calendar-first-free", "compare", 0.5, _first_free, _solve_first_free),
    _calendar("calendar-show-week", "navigate", 0.2, _show_week, _solve_show_week),
    _calendar("calendar-foreign", "infeasible", 0.5, _foreign, _solve_foreign),
    _calendar("calendar-unknown", "infeasible", 0.3, _unknown, _solve_unknown),
)
