"""One event: its page, its end, invitations and their answers."""

from __future__ import annotations

from datetime import date, timedelta
from html import escape
from typing import Any

from agentgym.environments.web.sites.calendar.app import route
from agentgym.environments.web.sites.calendar.times import ANSWERS, Occurrence, occurrences, overlapping
from agentgym.environments.web.sites.calendar.views import between, planner, rows, today
from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing, see_other
from agentgym.environments.web.sites.kit.days import a_day, a_time, day_words, time_words


def name_of(ask: Ask, email: str) -> str:
    """Who has an address; the address where nobody is known."""
    row = ask.one("SELECT name FROM acquaintance WHERE email = ?", email)
    return str(row["name"]) if row else email


def found(ask: Ask, key: int) -> dict[str, Any] | None:
    """An event."""
    return ask.one("SELECT * FROM event WHERE id = ?", key)


def clashes(ask: Ask, row: dict[str, Any]) -> list[Occurrence]:
    """What the owner takes part in at the time of an event; a series is looked through for a year."""
    first = date.fromisoformat(row["day"])
    mine = occurrences([row], (), first, first + timedelta(days=365))
    if not mine:
        return []
    taken = between(ask, mine[0].day, mine[-1].day, agreed=True)
    start = a_time(row["start"]) or 0
    days = {item.day for item in mine}
    others = [item for item in taken if item.event["id"] != row["id"] and item.day in days]
    return overlapping(others, start, row["minutes"])


def clash_words(items: list[Occurrence]) -> str:
    """The first overlaps, as HTML."""
    return escape(
        ", ".join(f"{item.event['title']} ({item.day.isoformat()}, {time_words(item.start)})" for item in items[:3])
    )


@route(r"/events/(\d+)")
def event(ask: Ask, key: int) -> Answer:
    """An event with its guests."""
    row = found(ask, key)
    if row is None:
        return missing()
    me = planner(ask)
    mine = row["organizer"] == me["email"]
    wanted = a_day(ask.query.get("day", "")) or date.fromisoformat(row["day"])
    start = a_time(row["start"]) or 0
    facts = [
        ("Day", f"{day_words(wanted)} {wanted.year} ({wanted.isoformat()})"),
        ("Time", f"{row['start']} to {time_words(start + row['minutes'])}"),
        ("Place", escape(row["place"]) or "none"),
        ("Kind", row["kind"]),
        ("Repeats", (row["repeats"] or "no") + (f", until {row['until']}" if row["until"] else "")),
        ("Organizer", "you" if mine else escape(name_of(ask, row["organizer"]))),
        ("Notes", escape(row["notes"]).replace("\n", "<br>") or "none"),
    ]
    guests = ask.all("SELECT email, answer FROM guest WHERE event = ? ORDER BY email", key)
    entries = [("You" if email == me["email"] else escape(name_of(ask, email)), answer) for email, answer in guests]
    body = html.facts(facts) + "<h2>Guests</h2>" + html.table(("Guest", "Answer"), entries, "No guests.")
    overlaps = clashes(ask, row)
    if overlaps:
        body += f"<p>At the same time: {clash_words(overlaps)}</p>"
    day = f"?day={wanted.isoformat()}" if row["repeats"] else ""
    links = " ".join(
        html.link(f"/events/{key}/{way}{day}", text) for way, text in (("edit", "Edit"), ("delete", "Delete"))
    )
    body += f"<p>{links}</p>"
    answer = next((given for email, given in guests if email == me["email"]), None)
    if answer is not None:
        body += html.form(f"/events/{key}/answer", html.radios("answer", "Will you come?", ANSWERS, answer), "Answer")
    return Answer(row["title"], body)


@route(r"/events/(\d+)/answer")
def answer(ask: Ask, key: int) -> Answer:
    """Takes the answer to an invitation."""
    given = ask.form.get("answer", "")
    email = planner(ask)["email"]
    if found(ask, key) is None or not ask.posted:
        return missing()
    if given not in ANSWERS:
        return see_other(f"/events/{key}", "Choose an answer.")
    ask.db.execute("UPDATE guest SET answer = ? WHERE event = ? AND email = ?", (given, key, email))
    return see_other(f"/events/{key}", f"Your answer is {given}.")


@route("/invitations")
def invitations(ask: Ask) -> Answer:
    """What others invite the owner to."""
    email = planner(ask)["email"]
    answers = dict(ask.all("SELECT event, answer FROM guest WHERE email = ?", email))
    events = [row for row in rows(ask, "organizer != ?", email) if row["day"] >= today(ask).isoformat()]
    entries = [
        (html.link(f"/events/{row['id']}", row["title"]), escape(name_of(ask, row["organizer"])), row["day"],
         row["start"], answers.get(row["id"], ""))
        for row in sorted(events, key=lambda row: (row["day"], row["start"], row["id"]))
    ]  # fmt: skip
    return Answer("Invitations", html.table(("Event", "From", "Day", "Time", "Answer"), entries, "No invitations."))


@route(r"/events/(\d+)/delete")
def delete(ask: Ask, key: int) -> Answer:
    """Deletes an event, or one day of a series, after asking."""
    row = found(ask, key)
    if row is None:
        return missing()
    if row["organizer"] != planner(ask)["email"]:
        return foreign(ask, row)
    wanted = a_day(ask.query.get("day", "")) if row["repeats"] else None
    one = wanted is not None and bool(occurrences([row], (), wanted, wanted))
    if ask.posted and one and ask.form.get("what") == "one":
        day = str(wanted)
        if ask.one("SELECT id FROM skipped WHERE event = ? AND day = ?", key, day) is None:
            ask.db.execute("INSERT INTO skipped (event, day) VALUES (?, ?)", (key, day))
        return see_other(f"/day/{day}", "The event is left out on this day.")
    if ask.posted:
        for table in ("guest", "skipped"):
            ask.db.execute(f"DELETE FROM {table} WHERE event = ?", (key,))
        ask.db.execute("DELETE FROM event WHERE id = ?", (key,))
        return see_other("/", f"{row['title']} was deleted.")
    inner = ""
    if one and wanted is not None:
        options = (("one", f"Only {day_words(wanted)}"), ("all", "The whole series"))
        inner = html.select("what", "Delete", options, "one")
    text = f"<p>Delete {escape(row['title'])}?</p>" + html.link(f"/events/{key}", "Keep it")
    query = f"?day={wanted.isoformat()}" if one and wanted is not None else ""
    return Answer("Delete event", text + html.form(f"/events/{key}/delete{query}", inner, "Delete event"))


def foreign(ask: Ask, row: dict[str, Any]) -> Answer:
    """Events of others are theirs."""
    who = escape(name_of(ask, row["organizer"]))
    text = f"<p>Only {who}, who invited you, can change or delete this event.</p>"
    return Answer(row["title"], text + html.link(f"/events/{row['id']}", "Back"), 403)
