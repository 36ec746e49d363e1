"""New events and changed ones."""

from __future__ import annotations

from typing import Any

from agentgym.environments.web.sites.calendar.app import route
from agentgym.environments.web.sites.calendar.events import clash_words, clashes, foreign, found
from agentgym.environments.web.sites.calendar.times import KINDS, REPEATS
from agentgym.environments.web.sites.calendar.views import planner, today
from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing, see_other
from agentgym.environments.web.sites.kit.days import a_day, a_time
from agentgym.environments.web.sites.kit.fields import addresses, is_address, number

_FIELDS = ("title", "day", "start", "minutes", "place", "kind", "repeats", "until", "notes")
_MOST = 12 * 60


def _read(ask: Ask) -> tuple[dict[str, Any], list[str], list[str]]:
    """Fields, guests, and what is wrong with them."""
    values: dict[str, Any] = {key: ask.form.get(key, "").replace("\r\n", "\n").strip()[:500] for key in _FIELDS}
    guests = addresses(ask.form.get("guests", ""))
    values["minutes"] = number(values["minutes"])
    problems = []
    if not values["title"]:
        problems.append("Title: it must not be empty.")
    day, until = a_day(values["day"]), a_day(values["until"])
    if day is None or not 2000 <= day.year < 2100:
        problems.append("Day: a date like 2026-03-14.")
    if a_time(values["start"]) is None:
        problems.append("Start: a time like 14:30.")
    if not 5 <= values["minutes"] <= _MOST:
        problems.append(f"Minutes: a number from 5 to {_MOST}.")
    if values["kind"] not in KINDS or values["repeats"] not in REPEATS:
        problems.append("Kind, Repeats: choose one.")
    if values["until"] and (until is None or day is None or until < day or not values["repeats"]):
        problems.append("Until: a later date, of an event that repeats.")
    problems += [f"Guests: {item} is no address." for item in guests if not is_address(item)]
    return values, guests[:20], problems


def _form(action: str, values: dict[str, Any], guests: list[str], button: str, again: str = "") -> str:
    inner = (
        html.field("title", "Title", values["title"], extra=" required")
        + html.field("day", "Day", values["day"], "date")
        + html.field("start", "Start", values["start"], "text", ' placeholder="14:30"')
        + html.field("minutes", "Minutes", str(values["minutes"]), "number", ' min="5"')
        + html.field("place", "Place", values["place"])
        + html.select("kind", "Kind", [(item, item.capitalize()) for item in KINDS], values["kind"])
        + html.select("repeats", "Repeats", [(item, item.capitalize() or "No") for item in REPEATS], values["repeats"])
        + html.field("until", "Until", values["until"], "date")
        + html.field("guests", "Guests", ", ".join(guests))
        + html.area("notes", "Notes", values["notes"])
        + again
    )
    return html.form(action, inner, button)


def _taken(ask: Ask, title: str, action: str, button: str, row: dict[str, Any], guests: list[str]) -> Answer | None:
    """The form again, where the time isn't free and nobody has said that this is all right."""
    overlaps = clashes(ask, row)
    if not overlaps or ask.form.get("anyway"):
        return None
    alert = f'<div role="alert">This overlaps with: {clash_words(overlaps)}.</div>'
    again = html.checkbox("anyway", "Save in spite of that", False)
    return Answer(title, alert + _form(action, row, guests, button, again), 422)


@route("/events/new")
def new(ask: Ask) -> Answer:
    """A form for a new event."""
    title, action, button = "New event", "/events/new", "Save event"
    if not ask.posted:
        day = a_day(ask.query.get("day", "")) or today(ask)
        values = dict.fromkeys(_FIELDS, "") | {"day": day.isoformat(), "minutes": 60, "kind": KINDS[0]}
        return Answer(title, _form(action, values, [], button))
    values, guests, problems = _read(ask)
    if problems:
        return Answer(title, html.errors(problems) + _form(action, values, guests, button), 422)
    again = _taken(ask, title, action, button, values | {"id": 0}, guests)
    if again is not None:
        return again
    values["organizer"] = planner(ask)["email"]
    marks = ", ".join("?" * len(values))
    key = ask.db.execute(f"INSERT INTO event ({', '.join(values)}) VALUES ({marks})", [*values.values()]).lastrowid
    _invite(ask, int(key or 0), guests)
    return see_other(f"/events/{key}", f"{values['title']} was saved.")


def _invite(ask: Ask, key: int, guests: list[str]) -> None:
    """Makes the guests of an event those; whoever stays keeps the answer."""
    known = {email for (email,) in ask.all("SELECT email FROM guest WHERE event = ?", key)}
    for email in sorted(known - set(guests)):
        ask.db.execute("DELETE FROM guest WHERE event = ? AND email = ?", (key, email))
    for email in guests:
        if email not in known:
            ask.db.execute("INSERT INTO guest (event, email, answer) VALUES (?, ?, 'waiting')", (key, email))


@route(r"/events/(\d+)/edit")
def edit(ask: Ask, key: int) -> Answer:
    """Changes an event, of a series all of it."""
    row = found(ask, key)
    if row is None:
        return missing()
    if row["organizer"] != planner(ask)["email"]:
        return foreign(ask, row)
    title, action, button = f"Edit {row['title']}", f"/events/{key}/edit", "Save changes"
    if not ask.posted:
        guests = [email for (email,) in ask.all("SELECT email FROM guest WHERE event = ? ORDER BY email", key)]
        return Answer(title, _form(action, row, guests, button))
    values, guests, problems = _read(ask)
    if problems:
        return Answer(title, html.errors(problems) + _form(action, values, guests, button), 422)
    moved = any(values[name] != row[name] for name in ("day", "start", "minutes", "repeats", "until"))
    again = _taken(ask, title, action, button, values | {"id": key}, guests) if moved else None
    if again is not None:
        return again
    sets = ", ".join(f"{name} = ?" for name in values)
    ask.db.execute(f"UPDATE event SET {sets} WHERE id = ?", [*values.values(), key])
    _invite(ask, key, guests)
    return see_other(f"/events/{key}", "Changes saved.")
