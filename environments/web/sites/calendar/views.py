"""Days, weeks, months, search and free times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from html import escape
from typing import Any

from agentgym.environments.web.sites.calendar.app import route
from agentgym.environments.web.sites.calendar.times import KINDS, Occurrence, gaps, occurrences
from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing
from agentgym.environments.web.sites.kit.days import WEEKDAYS, a_day, day_words, month_words, time_words
from agentgym.environments.web.sites.kit.fields import number

_LENGTHS = (30, 45, 60, 90, 120)


def planner(ask: Ask) -> dict[str, Any]:
    """The owner and the day."""
    return ask.one("SELECT * FROM planner") or {}


def today(ask: Ask) -> date:
    """The day of the world."""
    return date.fromisoformat(planner(ask)["today"])


def rows(ask: Ask, where: str = "1", *values: Any) -> list[dict[str, Any]]:
    """Events."""
    cursor = ask.db.execute(f"SELECT * FROM event WHERE {where}", values)
    names = [item[0] for item in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def between(ask: Ask, first: date, last: date, *, agreed: bool = False) -> list[Occurrence]:
    """What takes place from one day to another; with ``agreed`` only what the owner takes part in for sure."""
    email = planner(ask)["email"]
    where = "id NOT IN (SELECT event FROM guest WHERE email = ? AND answer = 'no')"
    if agreed:
        where = "(organizer = ?1 OR id IN (SELECT event FROM guest WHERE email = ?1 AND answer = 'yes'))"
    return occurrences(rows(ask, where, email), ask.all("SELECT event, day FROM skipped"), first, last)


def _entry(item: Occurrence) -> tuple[str, str, str, str]:
    event = item.event
    target = f"/events/{event['id']}" + (f"?day={item.day.isoformat()}" if event["repeats"] else "")
    times = f"{time_words(item.start)} to {time_words(item.end)}"
    return times, html.link(target, event["title"]), escape(event["place"]), event["kind"]


def _by_day(items: Iterable[Occurrence], days: Iterable[date]) -> str:
    parts = []
    found = list(items)
    for day in days:
        own = [_entry(item) for item in found if item.day == day]
        head = f"<h2>{html.link(f'/day/{day.isoformat()}', f'{day_words(day)} {day.year}')}</h2>"
        parts.append(head + html.table(("Time", "Event", "Place", "Kind"), own, "Nothing."))
    return "".join(parts)


@route("/")
def agenda(ask: Ask) -> Answer:
    """The next days."""
    first = today(ask)
    waiting = _waiting(ask)
    head = f"<p>Today is {day_words(first)} {first.year}.</p>"
    if waiting:
        head += f"<p>{html.link('/invitations', f'{waiting} unanswered')}</p>"
    days = [first + timedelta(days=i) for i in range(5)]
    return Answer("Agenda", head + _by_day(between(ask, days[0], days[-1]), days))


def _waiting(ask: Ask) -> int:
    email = planner(ask)["email"]
    return int(ask.all("SELECT count(*) FROM guest WHERE email = ? AND answer = 'waiting'", email)[0][0])


@route(r"/day/([0-9-]{10})")
def day(ask: Ask, text: str) -> Answer:
    """One day."""
    wanted = a_day(text)
    if wanted is None or not 2000 <= wanted.year < 2100:
        return missing()
    links = " ".join(
        (
            html.link(f"/day/{(wanted - timedelta(days=1)).isoformat()}", "Previous day"),
            html.link(f"/day/{(wanted + timedelta(days=1)).isoformat()}", "Next day"),
            html.link(f"/events/new?day={wanted.isoformat()}", "New event on this day"),
        )
    )
    entries = [_entry(item) for item in between(ask, wanted, wanted)]
    table = html.table(("Time", "Event", "Place", "Kind"), entries, "Nothing on this day.")
    return Answer(f"{day_words(wanted)} {wanted.year}", table + f"<p>{links}</p>")


@route("/week")
def week(ask: Ask) -> Answer:
    """The seven days around one, from Monday."""
    wanted = a_day(ask.query.get("day", "")) or today(ask)
    if not 2000 <= wanted.year < 2100:
        return missing()
    first = wanted - timedelta(days=wanted.weekday())
    days = [first + timedelta(days=i) for i in range(7)]
    links = " ".join(
        (
            html.link(f"/week?day={(first - timedelta(days=7)).isoformat()}", "Previous week"),
            html.link(f"/week?day={(first + timedelta(days=7)).isoformat()}", "Next week"),
        )
    )
    form = html.form("/week", html.field("day", "Week of", wanted.isoformat(), "date"), "Show", "get")
    return Answer(f"Week of {day_words(first)}", f"<p>{links}</p>{form}" + _by_day(between(ask, first, days[-1]), days))


@route("/month")
def month(ask: Ask) -> Answer:
    """A month as a table of weeks."""
    text = ask.query.get("month", "")
    first = a_day(f"{text}-01") or today(ask).replace(day=1)
    if not 2000 <= first.year < 2100:
        return missing()
    following = (first + timedelta(days=31)).replace(day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    start = first - timedelta(days=first.weekday())
    found = between(ask, start, following + timedelta(days=6))
    weeks = []
    while start < following:
        days = [start + timedelta(days=i) for i in range(7)]
        weeks.append([_cell(item, first.month, found) for item in days])
        start += timedelta(days=7)
    links = " ".join(
        (
            html.link(f"/month?month={before.isoformat()[:7]}", "Previous month"),
            html.link(f"/month?month={following.isoformat()[:7]}", "Next month"),
        )
    )
    field = html.field("month", "Month", first.isoformat()[:7], "text", ' placeholder="2026-03"')
    form = html.form("/month", field, "Show", "get")
    return Answer(month_words(first), f"<p>{links}</p>{form}" + html.table(WEEKDAYS, weeks, ""))


def _cell(wanted: date, of: int, found: Iterable[Occurrence]) -> str:
    if wanted.month != of:
        return ""
    items = [item for item in found if item.day == wanted]
    names = "".join(f"<div>{time_words(item.start)} {_entry(item)[1]}</div>" for item in items)
    label = f' aria-label="{day_words(wanted)} {wanted.year}"'
    return html.link(f"/day/{wanted.isoformat()}", str(wanted.day), label) + names


@route("/search")
def search(ask: Ask) -> Answer:
    """Events by words, kind and guest."""
    text, kind, guest = (ask.query.get(key, "").strip() for key in ("q", "kind", "guest"))
    where, values = ["1"], []
    if text:
        where.append("(instr(lower(title), ?) OR instr(lower(place), ?) OR instr(lower(notes), ?))")
        values += [text.lower()] * 3
    if kind in KINDS:
        where.append("kind = ?")
        values.append(kind)
    if guest:
        where.append(
            "(organizer IN (SELECT email FROM acquaintance WHERE instr(lower(name), ?)) OR id IN (SELECT event"
            " FROM guest JOIN acquaintance USING (email) WHERE instr(lower(name), ?)))"
        )
        values += [guest.lower()] * 2
    inner = (
        html.field("q", "Words", text, "search")
        + html.select("kind", "Kind", [("", "Any"), *((name, name.capitalize()) for name in KINDS)], kind)
        + html.field("guest", "With", guest)
    )
    form = html.form("/search", inner, "Search", "get")
    if not (text or kind or guest):
        return Answer("Search", form)
    found = sorted(rows(ask, " AND ".join(where), *values), key=lambda row: (row["day"], row["start"], row["id"]))
    entries = [
        (html.link(f"/events/{row['id']}", row["title"]), row["day"], row["start"], escape(row["place"]),
         row["repeats"] or "once")
        for row in found[:40]
    ]  # fmt: skip
    head = f"<p>{len(found)} event{'' if len(found) == 1 else 's'} found.</p>"
    table = html.table(("Event", "Day", "Time", "Place", "Repeats"), entries, "No event matches.")
    return Answer("Search", form + head + table)


@route("/free")
def free(ask: Ask) -> Answer:
    """When the owner has time on a day."""
    wanted = a_day(ask.query.get("day", "")) or today(ask)
    minutes = number(ask.query.get("minutes", "")) or 60
    if not 2000 <= wanted.year < 2100:
        return missing()
    inner = html.field("day", "Day", wanted.isoformat(), "date") + html.select(
        "minutes", "Minutes", [(str(item), str(item)) for item in _LENGTHS], str(minutes)
    )
    found = gaps(between(ask, wanted, wanted, agreed=True), minutes)
    entries = [(time_words(start), time_words(end)) for start, end in found]
    head = f"<h2>{day_words(wanted)} {wanted.year}, {minutes} minutes or more</h2>"
    table = html.table(("From", "To"), entries, "No free time of that length.")
    return Answer("Free times", html.form("/free", inner, "Find", "get") + head + table)


@route("/people")
def people(ask: Ask) -> Answer:
    """Whom the owner invites."""
    found = ask.all("SELECT name, email FROM acquaintance ORDER BY name")
    return Answer("People", html.table(("Name", "E-mail"), [(escape(n), escape(e)) for n, e in found], "Nobody."))
