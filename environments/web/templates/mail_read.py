"""Looking up, comparing and finding in the mailbox, and what can't be found there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import FIRST_PAGE, Answer, Goal, Place
from agentgym.environments.web.guide_kit import MailGuide
from agentgym.environments.web.sites.kit.days import day_words
from agentgym.environments.web.sites.kit.html import money
from agentgym.environments.web.sites.kit.world import pick
from agentgym.environments.web.sites.world import World
from agentgym.environments.web.template import Draft, Template

Notes = Mapping[str, Any]

_RECEIVED = "SELECT * FROM message WHERE folder NOT IN ('sent', 'drafts')"
_STRANGERS = ("Quentin Ashdown", "Odette Farley", "Ursula Penhallow", "Leopold Winter", "Henrietta Stone")


def letters(world: World, kind: str) -> list[dict[str, Any]]:
    """Messages of a kind with what they state: the columns of ``message`` and the names of the facts."""
    rows = world.rows(
        "SELECT message.*, fact.name AS fact, value FROM message JOIN fact ON fact.message = message.id WHERE kind = ?"
        " ORDER BY message.id, fact.id", kind,
    )  # fmt: skip
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row["id"], {"who": row["name"], **row})[row["fact"]] = row["value"]
    return list(found.values())


def message_place(key: int, way: str = "") -> Place:
    """The page of a message, or one below it."""
    return Place(f"/message/{key}{way}", {}, "mail.test")


def _looked_up(row: Mapping[str, Any], answer: Answer, shown: str, question: str, words: str) -> Draft:
    goal = Goal(answer=answer, route=(message_place(row["id"]),), evidence=(shown,), must_see=True)
    text = f"{question} Answer with {words} only."
    return Draft(text, goal, {"id": row["id"], "subject": row["subject"], "answer": shown})


def _invoice_amount(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, letters(world, "invoice"))
    amount = int(row["amount"])
    question = f"What is the amount of the invoice that {row['who']} has sent by mail?"
    return _looked_up(row, Answer("money", amount), money(amount), question, "the amount")


def _tracking_code(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, letters(world, "parcel"))
    question = f"By mail you were told that a parcel with your {row['thing']} is on its way. What is its tracking code?"
    return _looked_up(row, Answer("text", row["code"]), row["code"], question, "the code")


def _arrival(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, letters(world, "booking"))
    question = f"On which day do you arrive at {row['hotel']}? The hotel has sent a mail."
    shown = day_words(date.fromisoformat(row["day"]))
    draft = _looked_up(row, Answer("date", row["day"]), shown, question, "the date, as 2026-03-14,")
    return Draft(draft.text, draft.goal, {**draft.notes, "answer": row["day"]})


def _read(guide: MailGuide, notes: Notes) -> Action:
    return guide.message(notes["id"], notes["subject"]) or guide.answer(notes["answer"])


# ------------------------------------------------------------------ comparing


def _newest_from(world: World, rng: np.random.Generator) -> Draft:
    several = world.rows(f"SELECT sender, name FROM ({_RECEIVED}) GROUP BY sender HAVING count(*) > 1 ORDER BY sender")
    person = pick(rng, several)
    rows = world.rows(f"{_RECEIVED} AND sender = ? ORDER BY sent DESC, id DESC", person["sender"])
    place = Place("/search", {"from": person["name"]}, "mail.test")
    goal = Goal(
        answer=Answer("text", rows[0]["subject"]), route=(place,), must_see=True,
        evidence=(f"link '{rows[0]['subject']}'",),
    )  # fmt: skip
    text = (
        f"What is the subject of the newest message from {person['name']}, in whatever folder it lies? "
        "Answer with the subject only."
    )
    return Draft(text, goal, {"name": person["name"], "answer": rows[0]["subject"]})


def _solve_newest_from(guide: MailGuide, notes: Notes) -> Action:
    return guide.found(sender=notes["name"]) or guide.answer(notes["answer"])


def _invoices(world: World, rng: np.random.Generator, largest: bool) -> Draft:
    rows = letters(world, "invoice")
    best = max(rows, key=lambda row: int(row["amount"])) if largest else min(rows, key=lambda row: row["due"])
    question = "Which of the invoices that came by mail has the largest amount?" if largest else (
        "Which of the invoices that came by mail is due first?")  # fmt: skip
    goal = Goal(
        answer=Answer("text", best["number"]),
        route=tuple(message_place(row["id"]) for row in rows),
        evidence=tuple(money(int(row["amount"])) for row in rows),
        must_see=True,
    )
    text = f"{question} Answer with its number only, as R-12345."
    notes = {"all": [[row["id"], row["subject"], money(int(row["amount"]))] for row in rows], "answer": best["number"]}
    return Draft(text, goal, notes)


def _solve_invoices(guide: MailGuide, notes: Notes) -> Action:
    for key, subject, amount in notes["all"]:
        if amount not in guide.seen:
            return guide.message(key, subject) or guide.away()
    return guide.answer(notes["answer"])


# ------------------------------------------------------------------ counting and showing


def _count_label(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(
        "SELECT label.id, label.name, count(tagged.id) AS n FROM label LEFT JOIN tagged ON tagged.label = label.id"
        " GROUP BY label.id ORDER BY label.id"
    )
    row = pick(rng, rows)
    goal = Goal(
        answer=Answer("number", row["n"]), route=(Place("/labels", {}, "mail.test"),), evidence=("link 'Change ",),
        must_see=True,
    )  # fmt: skip
    text = f"How many messages have the label {row['name']}? Answer with the number only."
    return Draft(text, goal, {"answer": row["n"]})


def _solve_count_label(guide: MailGuide, notes: Notes) -> Action:
    return guide.section("Labels") if guide.path != "/labels" else guide.answer(notes["answer"])


def _count_unread(world: World, rng: np.random.Generator) -> Draft:
    count = world.rows("SELECT count(*) AS n FROM message WHERE folder = 'inbox' AND unread")[0]["n"]
    place = Place("/", {}, "mail.test")
    goal = Goal(answer=Answer("number", count), route=(place,), evidence=(f"{count} unread.",), must_see=True)
    text = "How many messages in the inbox are unread? Answer with the number only."
    return Draft(text, goal, {"answer": count}, "http://mail.test/people")


def _solve_count_unread(guide: MailGuide, notes: Notes) -> Action:
    return guide.section("Inbox") if guide.path != "/" else guide.answer(notes["answer"])


def _names(world: World, row: Mapping[str, Any]) -> list[str]:
    """What finds the same messages of the folder as the sender's name."""
    found = "SELECT id FROM message WHERE folder = ? AND (instr(lower(name), ?) OR instr(sender, ?)) ORDER BY id"
    names = [name.lower() for name in (row["name"], row["sender"], *row["name"].split())]
    wanted = world.rows(found, row["folder"], names[0], names[0])
    return [name for name in names if world.rows(found, row["folder"], name, name) == wanted]


def _show_found(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows(f"{_RECEIVED} ORDER BY id"))
    name, folder = row["name"], row["folder"]
    place = Place("/search", {"from": name, "in": folder}, "mail.test", {**FIRST_PAGE, "from": _names(world, row)})
    goal = Goal(route=(Place("/search", {}, "mail.test"), place), final=place)
    text = (
        f"Search for all messages from {name} in the folder {folder.capitalize()}, by sender and folder alone, and"
        " answer done while they are shown."
    )
    return Draft(text, goal, {"name": name, "folder": folder})


def _solve_show_found(guide: MailGuide, notes: Notes) -> Action:
    shown = guide.found(sender=notes["name"], folder=notes["folder"])
    if shown is None and guide.query.get("page"):
        return guide.section("Search")
    return shown or guide.answer("done")


# ------------------------------------------------------------------ what can't be done


def _stranger(world: World, rng: np.random.Generator) -> Draft:
    name = pick(rng, _STRANGERS)
    place = Place("/search", {"from": name}, "mail.test")
    goal = Goal(infeasible="not_found", evidence=("No messages.",), must_see=True, route=(place,))
    text = f"Which telephone number does {name} give in the last message to you? Answer with the number only."
    return Draft(text, goal, {"name": name})


def _solve_stranger(guide: MailGuide, notes: Notes) -> Action:
    return guide.found(sender=notes["name"]) or guide.report("not_found", f"no message is from {notes['name']}.")


def _starred(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(f"{_RECEIVED} AND starred ORDER BY id") or world.rows(f"{_RECEIVED} ORDER BY id")
    row = pick(rng, rows)
    edit = () if row["starred"] else (f"UPDATE message SET starred = 1 WHERE id = {row['id']}",)
    goal = Goal(
        infeasible="not_allowed", evidence=("A message with a star can't be deleted.",), must_see=True,
        route=(message_place(row["id"]), message_place(row["id"], "/delete")),
    )  # fmt: skip
    text = (
        f"Delete the message '{row['subject']}' from {row['name']} of {row['sent'][:10]}. Change nothing else about it;"
        " if that isn't possible, say so."
    )
    return Draft(text, goal, {"id": row["id"], "subject": row["subject"]}, edits={"mail": edit})


def _solve_starred(guide: MailGuide, notes: Notes) -> Action:
    there = guide.below(notes["id"], notes["subject"], "delete")
    return there or guide.report("not_allowed", "messages with a star can't be deleted.")


_mail = partial(Template, sites=("mail",), guide=MailGuide)

TEMPLATES = (
    _mail("mail-invoice-amount", "look up", 0.3, _invoice_amount, _read),
    _mail("mail-tracking-code", "look up", 0.3, _tracking_code, _read),
    _mail("mail-arrival", "look up", 0.3, _arrival, _read, held_out=True),
    _mail("mail-newest-from", "compare", 0.4, _newest_from, _solve_newest_from),
    _mail("mail-largest-invoice", "compare", 0.7, partial(_invoices, largest=True), _solve_invoices),
    _mail("mail-first-due", "compare", 0.7, partial(_invoices, largest=False), _solve_invoices, held_out=True),
    _mail("mail-count-label", "navigate", 0.2, _count_label, _solve_count_label),
    _mail("mail-count-unread", "look up", 0.1, _count_unread, _solve_count_unread),
    _mail("mail-show-found", "navigate", 0.3, _show_found, _solve_show_found),
    _mail("mail-stranger", "infeasible", 0.4, _stranger, _solve_stranger),
    _mail("mail-delete-starred", "infeasible", 0.5, _starred, _solve_starred),
)
