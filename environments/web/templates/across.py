"""Tasks over several sites: what one says is done on another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal, Place, Want
from agentgym.environments.web.guide_kit import AcrossGuide, MailGuide
from agentgym.environments.web.sites.calendar.times import overlapping
from agentgym.environments.web.sites.kit.days import a_time, day_words
from agentgym.environments.web.sites.kit.world import pick
from agentgym.environments.web.sites.map.world import CATEGORIES
from agentgym.environments.web.sites.world import Row, World
from agentgym.environments.web.template import Draft, Template
from agentgym.environments.web.templates.calendar_read import busy, event_place, today, whole_day
from agentgym.environments.web.templates.calendar_write import form_values
from agentgym.environments.web.templates.mail_read import letters, message_place
from agentgym.environments.web.templates.map_read import is_alone, nearest, place_page, start_and_nearest

Notes = Mapping[str, Any]
Worlds = Mapping[str, World]

NEW_EVENT = Place("/events/new", {}, "calendar.test")
"""The form of a new event."""
_SUBJECTS = ("Visit on Friday", "Parking", "Keys", "Documents for you")
_BODIES = ("I will be ten minutes late.", "Please bring the documents.", "Where can I park?")


def where(*names: str) -> str:
    """The sentence that tells where the sites are."""
    sites = [f"http://{name}.test/" for name in names]
    return f" The sites are {', '.join(sites[:-1])} and {sites[-1]}."


def new_mail(rng: np.random.Generator, email: str) -> tuple[Want, dict[str, str], str]:
    """A mail as it has to be sent, its form by label, and the words of the task about it."""
    subject, body = pick(rng, _SUBJECTS), pick(rng, _BODIES)
    values = {"folder": "sent", "recipients": email, "cc": "", "subject": subject, "body": body, "way": "", "about": 0}
    form = {"To": email, "Cc": "", "Subject": subject, "Text": body}
    return Want("message", "add", values, site="mail"), form, f"Subject: {subject}. Text: {body}"


def new_event(title: str, day: str, start: str, minutes: int, place: str) -> dict[str, Any]:
    """An event of the kind Work as it has to be added, column by column."""
    moment = {"day": day, "start": start, "minutes": minutes}
    return {"title": title, **moment, "place": place, "kind": "work", "repeats": "", "until": "", "notes": ""}


# ------------------------------------------------------------------ from the mail to the calendar


def _meeting(worlds: Worlds, rng: np.random.Generator) -> Draft:
    row = pick(rng, letters(worlds["mail"], "meeting"))
    values = new_event(row["subject"], row["day"], row["start"], int(row["minutes"]), row["place"])
    said = f"{day_words(date.fromisoformat(row['day']))} at {row['start']}"
    text = (
        f"{row['who']} proposes a meeting by mail. Put it into the calendar, even if it overlaps something: the title"
        " is the subject of the mail, the kind is Work; day, time, length and place are those of the mail; no guests."
    )
    return _put_down(text, row, values, said)


def _put_down(text: str, row: Row, values: dict[str, Any], said: str) -> Draft:
    """What a mail says, as an event."""
    goal = Goal(
        wants=(Want("event", "add", values, site="calendar"),), route=(message_place(row["id"]), NEW_EVENT),
        evidence=(said,),
    )  # fmt: skip
    notes = {"id": row["id"], "subject": row["subject"], "said": said, "form": form_values(values)}
    return Draft(text + where("mail", "calendar"), goal, notes)


def _due(worlds: Worlds, rng: np.random.Generator) -> Draft:
    row = pick(rng, letters(worlds["mail"], "invoice"))
    values = new_event(f"Pay {row['number']}", row["due"], "07:00", 15, "")
    said = f"due on {day_words(date.fromisoformat(row['due']))}"
    text = (
        f"{row['who']} has sent an invoice by mail. Put an event into the calendar on the day on which it is due, at"
        " 07:00 for 15 minutes, kind Work, without a place; its title is 'Pay' and the number of the invoice, such as"
        " 'Pay R-12345'."
    )
    return _put_down(text, row, values, said)


def _solve_event(guide: AcrossGuide, notes: Notes) -> Action:
    if guide.sent("event"):
        return guide.answer("done")
    if notes["said"] not in guide.seen:
        return guide.message(notes["id"], notes["subject"]) or guide.away()
    return guide.new_event(notes["form"])


def _reply_if_free(worlds: Worlds, rng: np.random.Generator) -> Draft:
    mail, calendar = worlds["mail"], worlds["calendar"]
    row, edits = pick(rng, letters(mail, "meeting")), tuple[str, ...]()
    day, start, minutes = date.fromisoformat(row["day"]), a_time(row["start"]) or 0, int(row["minutes"])
    clash = bool(overlapping(busy(calendar, day), start, minutes))
    if not clash and rng.integers(2):
        own = "SELECT id FROM event WHERE repeats = '' AND organizer = (SELECT email FROM planner) ORDER BY id"
        key, clash = pick(rng, calendar.rows(own))["id"], True
        edits = (f"UPDATE event SET day = '{row['day']}', start = '{row['start']}' WHERE id = {key}",)
    body = "Sorry, I have something else then." if clash else "Yes, that suits me."
    values = {"folder": "sent", "recipients": row["sender"], "cc": "", "subject": f"Re: {row['subject']}", "body": body,
              "way": "reply", "about": row["id"]}  # fmt: skip
    goal = Goal(
        wants=(Want("message", "add", values, site="mail"),), evidence=(row["place"], whole_day(day)), must_see=True,
        route=(message_place(row["id"]), Place("/week", {"day": row["day"]}, "calendar.test"),
               message_place(row["id"], "/reply")),
    )  # fmt: skip
    text = (
        f"{row['who']} proposes a meeting by mail. Look whether there is anything in the calendar at that time that I"
        " take part in (unanswered invitations don't count), and reply to the mail: 'Yes, that suits me.' if I have"
        " time, 'Sorry, I have something else then.' if not. Keep the subject as it is given."
    ) + where("mail", "calendar")
    notes = {"id": row["id"], "subject": row["subject"], "place": row["place"], "day": row["day"],
             "shown": whole_day(day), "body": body}  # fmt: skip
    return Draft(text, goal, notes, edits={"calendar": edits})


def _solve_reply_if_free(guide: AcrossGuide, notes: Notes) -> Action:
    if guide.sent("message"):
        return guide.answer("done")
    if notes["place"] not in guide.seen:
        return guide.message(notes["id"], notes["subject"]) or guide.away()
    if notes["shown"] not in guide.seen:
        return guide.day(notes["day"]) or guide.away()
    there = guide.at("mail") or guide.below(notes["id"], notes["subject"], "reply")
    return there or guide.fill_in({"Text": notes["body"]}, "Send")


def _organizer(worlds: Worlds, rng: np.random.Generator) -> Draft:
    calendar = worlds["calendar"]
    rows = calendar.rows("SELECT * FROM event WHERE organizer != (SELECT email FROM planner) ORDER BY id")
    row = pick(rng, rows)
    want, form, said = new_mail(rng, row["organizer"])
    goal = Goal(
        wants=(want,), evidence=(row["organizer"],),
        route=(event_place(row["id"]), Place("/people", {}, "calendar.test"), Place("/compose", {}, "mail.test")),
    )  # fmt: skip
    text = (
        f"Write a mail to the person who invites me to '{row['title']}' in the calendar, which knows the address."
        f" {said}"
    ) + where("calendar", "mail")
    notes = {"email": row["organizer"], "event": row["id"], "title": row["title"], "form": form}
    return Draft(text, goal, notes)


def _solve_organizer(guide: AcrossGuide, notes: Notes) -> Action:
    if guide.sent("message"):
        return guide.answer("done")
    if notes["email"] not in guide.seen:
        there = guide.at("calendar")
        if there is None and not guide.under(f"/events/{notes['event']}"):
            there = guide.event(notes["event"], notes["title"])
        return there or guide.section("People")
    return send_mail(guide, notes["form"])


def send_mail(guide: MailGuide, form: Mapping[str, Any]) -> Action:
    """Writes a mail, and sends it."""
    away = guide.at("mail")
    if away is not None:
        return away
    return guide.fill_in(form, "Send") if guide.path == "/compose" else guide.section("Compose")


# ------------------------------------------------------------------ the address book and the map


def _number(worlds: Worlds, rng: np.random.Generator) -> Draft:
    row = pick(rng, letters(worlds["mail"], "number"))
    contact = worlds["book"].rows("SELECT id, name FROM contact WHERE email = ?", row["sender"])[0]
    goal = Goal(
        wants=(Want("contact", "change", {"phone": row["phone"]}, contact["id"], "book"),), evidence=(row["phone"],),
        route=(message_place(row["id"]), Place(f"/contacts/{contact['id']}/edit", {}, "book.test")),
    )  # fmt: skip
    text = (
        f"{row['who']} has sent a new telephone number by mail. Put it into the address book, in place of the old one."
    )
    notes = {"message": row["id"], "subject": row["subject"], "phone": row["phone"], "id": contact["id"],
             "name": contact["name"]}  # fmt: skip
    return Draft(text + where("mail", "book"), goal, notes)


def _solve_number(guide: AcrossGuide, notes: Notes) -> Action:
    if guide.sent("contact", notes["id"]):
        return guide.answer("done")
    if notes["phone"] not in guide.seen:
        return guide.message(notes["message"], notes["subject"]) or guide.away()
    there = guide.at("book") or guide.contact_page(notes["name"], notes["id"], "edit")
    return there or guide.fill_in({"Phone": notes["phone"]}, "Save changes")


def _alone_in_their_office(worlds: Worlds, rng: np.random.Generator) -> Iterator[tuple[Row, Row, Row]]:
    """Places, the office next to each, and who alone of the address book works there."""
    book, town = worlds["book"], worlds["map"]
    starts = town.rows("SELECT * FROM place WHERE category != 'Office' ORDER BY id")
    for index in rng.permutation(len(starts)):
        start = starts[int(index)]
        offices = nearest(town, start, "Office")
        office = offices[0]
        people = book.rows("SELECT * FROM contact WHERE company = ? ORDER BY id", office["name"])
        if len(people) == 1 and is_alone(town, start, offices):
            yield start, office, people[0]


def _office(worlds: Worlds, rng: np.random.Generator) -> Draft:
    start, office, person = next(_alone_in_their_office(worlds, rng))
    want, form, said = new_mail(rng, person["email"])
    query = {"near": str(start["id"]), "category": "Office", "sort": "distance"}
    goal = Goal(
        wants=(want,), evidence=(f"link '{office['name']}'", person["email"]),
        route=(Place("/places", query, "map.test"), Place(f"/contacts/{person['id']}", {}, "book.test"),
               Place("/compose", {}, "mail.test")),
    )  # fmt: skip
    text = (
        f"Find the Office on the map that is nearest to {start['name']} on foot. One person in the address book works"
        f" for that company: send a mail there. {said}"
    ) + where("map", "book", "mail")
    notes = {"start": start["id"], "from": start["name"], "office": f"link '{office['name']}'", "id": person["id"],
             "name": person["name"], "email": person["email"], "form": form}  # fmt: skip
    return Draft(text, goal, notes)


def _solve_office(guide: AcrossGuide, notes: Notes) -> Action:
    if guide.sent("message"):
        return guide.answer("done")
    if notes["office"] not in guide.seen:
        return guide.near(notes["start"], notes["from"], "Office") or guide.away()
    if notes["email"] not in guide.seen:
        return guide.at("book") or guide.contact(notes["name"], notes["id"]) or guide.away()
    return send_mail(guide, notes["form"])


def _venue(worlds: Worlds, rng: np.random.Generator) -> Draft:
    town, calendar = worlds["map"], worlds["calendar"]
    start, category, best = start_and_nearest(town, rng, CATEGORIES[:6])
    own = "SELECT * FROM event WHERE repeats = '' AND organizer = (SELECT email FROM planner) AND day > ? ORDER BY id"
    row = pick(rng, calendar.rows(own, today(calendar).isoformat()) or calendar.rows(own, ""))
    shown = f"link '{best['name']}'"
    goal = Goal(
        wants=(Want("event", "change", {"place": best["name"]}, row["id"], "calendar"),), evidence=(shown,),
        route=(place_page(start["id"]), event_place(row["id"], "/edit")),
    )  # fmt: skip
    text = (
        f"The event '{row['title']}' moves to the {category} that is nearest to {start['name']} on foot. Write its name"
        " as the place of the event."
    ) + where("map", "calendar")
    notes = {"start": start["id"], "from": start["name"], "category": category, "shown": shown, "id": row["id"],
             "title": row["title"], "place": best["name"]}  # fmt: skip
    return Draft(text, goal, notes)


def _solve_venue(guide: AcrossGuide, notes: Notes) -> Action:
    if guide.sent("event"):
        return guide.answer("done")
    if notes["shown"] not in guide.seen:
        return guide.near(notes["start"], notes["from"], notes["category"]) or guide.away()
    there = guide.event_page(notes["id"], notes["title"], "edit")
    return there or guide.fill_in({"Place": notes["place"]}, "Save changes")


_across = partial(Template, kind="multi-site", guide=AcrossGuide)

TEMPLATES = (
    _across("meeting-to-calendar", difficulty=0.8, make=_meeting, solve=_solve_event, sites=("mail", "calendar")),
    _across(
        "due-to-calendar", difficulty=0.8, make=_due, solve=_solve_event, sites=("mail", "calendar"), held_out=True
    ),
    _across(
        "reply-if-free", difficulty=0.9, make=_reply_if_free, solve=_solve_reply_if_free, sites=("mail", "calendar")
    ),
    _across("mail-the-organizer", difficulty=0.7, make=_organizer, solve=_solve_organizer, sites=("calendar", "mail")),
    _across("number-to-book", difficulty=0.7, make=_number, solve=_solve_number, sites=("mail", "book")),
    _across("mail-the-office", difficulty=1.0, make=_office, solve=_solve_office, sites=("map", "book", "mail")),
    _across("venue-to-calendar", difficulty=0.9, make=_venue, solve=_solve_venue, sites=("map", "calendar")),
)
