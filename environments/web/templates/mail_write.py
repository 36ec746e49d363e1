"""Writing, sorting and deleting in the mailbox, and asking first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal, Place, Want
from agentgym.environments.web.guide_kit import MailGuide
from agentgym.environments.web.sites.kit.world import pick, sample
from agentgym.environments.web.sites.world import World
from agentgym.environments.web.template import Draft, Template
from agentgym.environments.web.templates.mail_read import letters, message_place

Notes = Mapping[str, Any]

_TEXTS = (
    "Thank you, that suits me.",
    "I will call you tomorrow.",
    "Please send me the details.",
    "Sorry, not this week.",
    "Can we talk about it on Monday?",
)
_SUBJECTS = ("Lunch on Thursday", "Keys of the archive", "Parking at the trade fair", "Photos of the office")
_AWAY = ("I am away until Monday.", "I read my mail again in May.", "Please call the office.")
_LABELS = ("Archive 2025", "Contracts", "Waiting", "Ideas", "Printing")
_INBOX = "SELECT * FROM message WHERE folder = 'inbox' AND subject NOT LIKE 'Re:%' ORDER BY id"


def _done(guide: MailGuide) -> Action:
    return guide.answer("done")


def _where(row: Mapping[str, Any]) -> str:
    return f"the message '{row['subject']}' from {row['name']} of {row['sent'][:10]}"


# ------------------------------------------------------------------ writing


def _reply(world: World, rng: np.random.Generator) -> Draft:
    row, body = pick(rng, world.rows(_INBOX)), pick(rng, _TEXTS)
    values = {"folder": "sent", "recipients": row["sender"], "cc": "", "subject": f"Re: {row['subject']}", "body": body,
              "way": "reply", "about": row["id"], "thread": row["thread"]}  # fmt: skip
    goal = Goal(
        wants=(Want("message", "add", values),), route=(message_place(row["id"]), message_place(row["id"], "/reply"))
    )
    text = f"Reply to {_where(row)}. Keep the subject as it is given; the text is: {body}"
    return Draft(text, goal, {"id": row["id"], "subject": row["subject"], "way": "reply", "fields": {"Text": body}})


def _forward(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, letters(world, pick(rng, ("invoice", "parcel", "booking"))))
    person = pick(rng, world.rows("SELECT * FROM correspondent WHERE email != ? ORDER BY id", row["sender"]))
    body = pick(rng, ("For you.", "Please have a look.", "This is yours, I think."))
    values = {"folder": "sent", "recipients": person["email"], "cc": "", "subject": f"Fwd: {row['subject']}",
              "body": body, "way": "forward", "about": row["id"]}  # fmt: skip
    goal = Goal(
        wants=(Want("message", "add", values),),
        route=(message_place(row["id"]), message_place(row["id"], "/forward")),
    )
    text = f"Forward {_where({**row, 'name': row['who']})} to {person['email']}, with the text: {body}"
    fields = {"To": person["email"], "Text": body}
    return Draft(text, goal, {"id": row["id"], "subject": row["subject"], "way": "forward", "fields": fields})


def _solve_answer(guide: MailGuide, notes: Notes) -> Action:
    if guide.sent("message"):
        return _done(guide)
    there = guide.below(notes["id"], notes["subject"], notes["way"])
    return there or guide.fill_in(notes["fields"], "Send")


def _compose(world: World, rng: np.random.Generator, draft: bool) -> Draft:
    to, cc = sample(rng, world.rows("SELECT * FROM correspondent ORDER BY id"), 2)
    subject, body = pick(rng, _SUBJECTS), pick(rng, _TEXTS)
    copied = "" if draft else cc["email"]
    values = {"folder": "drafts" if draft else "sent", "recipients": to["email"], "cc": copied, "subject": subject,
              "body": body, "way": "", "about": 0}  # fmt: skip
    people, writing = Place("/people", {}, "mail.test"), Place("/compose", {"to": to["email"]}, "mail.test")
    goal = Goal(wants=(Want("message", "add", values),), route=(people, writing))
    copy = f", with a copy to {cc['name']}" if copied else ""
    head = "Prepare a message, but don't send it: save it as a draft." if draft else "Write a message and send it."
    text = f"{head} It goes to {to['name']}{copy}. Subject: {subject}. Text: {body}"
    fields = {"To": to["email"], "Cc": copied, "Subject": subject, "Text": body}
    return Draft(text, goal, {"fields": fields, "name": to["name"], "button": "Save draft" if draft else "Send"})


def _solve_compose(guide: MailGuide, notes: Notes) -> Action:
    if guide.sent("message"):
        return _done(guide)
    if guide.path == "/compose":
        return guide.fill_in(notes["fields"], notes["button"])
    if guide.path == "/people":
        return guide.click("link", f"Write to {notes['name']}") or guide.section("People")
    return guide.section("People")


# ------------------------------------------------------------------ sorting


def _move(world: World, rng: np.random.Generator) -> Draft:
    row, folder = pick(rng, world.rows(_INBOX)), pick(rng, ("archive", "spam", "trash"))
    goal = Goal(wants=(Want("message", "change", {"folder": folder}, row["id"]),), route=(message_place(row["id"]),))
    text = f"Move {_where(row)} to the folder {folder.capitalize()}."
    notes = {"id": row["id"], "subject": row["subject"], "fields": {"Move to": folder.capitalize()}, "button": "Move"}
    return Draft(text, goal, notes)


def _solve_small_form(guide: MailGuide, notes: Notes) -> Action:
    if guide.changes:
        return _done(guide)
    there = guide.message(notes["id"], notes["subject"])
    if there is not None:
        return there
    if guide.path != f"/message/{notes['id']}":
        return guide.section("Inbox")
    return guide.fill_in(notes["fields"], notes["button"])


def _tag(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, letters(world, pick(rng, ("invoice", "parcel", "meeting"))))
    worn = "SELECT label FROM tagged WHERE message = ?"
    free = world.rows(f"SELECT * FROM label WHERE id NOT IN ({worn}) ORDER BY id", row["id"])
    label = pick(rng, free)
    goal = Goal(
        wants=(Want("tagged", "add", {"message": row["id"], "label": label["id"]}),), route=(message_place(row["id"]),)
    )
    text = f"Put the label {label['name']} on {_where({**row, 'name': row['who']})}."
    notes = {"id": row["id"], "subject": row["subject"], "fields": {"Label": label["name"]}, "button": "Add label"}
    return Draft(text, goal, notes)


def _rename(world: World, rng: np.random.Generator) -> Draft:
    row, name = pick(rng, world.rows("SELECT * FROM label ORDER BY id")), pick(rng, _LABELS)
    goal = Goal(
        wants=(Want("label", "change", {"name": name}, row["id"]),),
        route=(Place("/labels", {}, "mail.test"), Place(f"/labels/{row['id']}/edit", {}, "mail.test")),
    )
    return Draft(f"Rename the label {row['name']} to {name}.", goal, {"id": row["id"], "name": name})


def _solve_rename(guide: MailGuide, notes: Notes) -> Action:
    if guide.sent("label"):
        return _done(guide)
    if guide.path == f"/labels/{notes['id']}/edit":
        return guide.fill_in({"Name": notes["name"]}, "Rename")
    return guide.link_to(f"/labels/{notes['id']}/edit") or guide.section("Labels")


def _away(world: World, rng: np.random.Generator) -> Draft:
    body = pick(rng, _AWAY)
    goal = Goal(
        wants=(Want("mailbox", "change", {"away": 1, "away_text": body}, 1),),
        route=(Place("/settings", {}, "mail.test"),),
    )
    text = f"Set the mailbox to away, with the reply: {body}"
    return Draft(text, goal, {"text": body})


def _solve_away(guide: MailGuide, notes: Notes) -> Action:
    if guide.sent("mailbox"):
        return _done(guide)
    if guide.path != "/settings":
        return guide.section("Settings")
    return guide.fill_in({"I am away": True, "Reply": notes["text"]}, "Save settings")


# ------------------------------------------------------------------ deleting


def _clear_spam(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows("SELECT * FROM message WHERE folder = 'spam' ORDER BY id")
    goal = Goal(
        wants=tuple(Want("message", "change", {"folder": "trash"}, row["id"]) for row in rows),
        route=(Place("/folder/spam", {}, "mail.test"),),
    )
    text = "Move every message in the folder Spam to the folder Trash."
    return Draft(
        text, goal, {"ticked": [f"Select {row['subject']}" for row in rows], "ids": [row["id"] for row in rows]}
    )


def _solve_clear_spam(guide: MailGuide, notes: Notes) -> Action:
    if all(guide.sent("message", key) for key in notes["ids"]):
        return _done(guide)
    if guide.path != "/folder/spam":
        return guide.section("Spam")
    left = [name for name in notes["ticked"] if guide.find("checkbox", name)]
    values = {**dict.fromkeys(left, True), "With the selected": "Move to trash"}
    return guide.fill_in(values, "Apply")


def _discard(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows("SELECT * FROM message WHERE folder = 'drafts' ORDER BY id"))
    goal = Goal(
        wants=(Want("message", "delete", {}, row["id"]),),
        route=(Place("/folder/drafts", {}, "mail.test"), Place(f"/drafts/{row['id']}/discard", {}, "mail.test")),
    )
    return Draft(f"Discard the draft '{row['subject']}'.", goal, {"id": row["id"]})


def _solve_discard(guide: MailGuide, notes: Notes) -> Action:
    if guide.sent("message", notes["id"]):
        return _done(guide)
    if guide.path == f"/drafts/{notes['id']}/discard":
        return guide.click("button", "Discard draft") or guide.away()
    target = f"/drafts/{notes['id']}"
    return guide.link_to(f"{target}/discard") or guide.link_to(target) or guide.section("Drafts")


def _ask_label(world: World, rng: np.random.Generator) -> Draft:
    row, agrees = pick(rng, world.rows("SELECT * FROM label ORDER BY id")), bool(rng.integers(2))
    tagged = world.rows("SELECT * FROM tagged WHERE label = ? ORDER BY id", row["id"])
    wants = (Want("label", "delete", {}, row["id"]), *(Want("tagged", "delete", {}, item["id"]) for item in tagged))
    place = Place("/labels", {}, "mail.test")
    goal = Goal(
        wants=wants if agrees else (), confirm="Yes, delete it." if agrees else "Oh, then please keep it.",
        route=(place,), visited=(place,),
    )  # fmt: skip
    text = (
        f"I think that we don't need the label {row['name']} any more. See on the page Labels how many messages have"
        " it; before you delete it, ask me whether I am sure, and do what I say. Then answer done."
    )
    return Draft(text, goal, {"id": row["id"], "agrees": agrees, "name": row["name"], "count": len(tagged)})


def _solve_ask_label(guide: MailGuide, notes: Notes) -> Action:
    target = f"/labels/{notes['id']}"
    if guide.sent("label"):
        return _done(guide)
    if not guide.asked:
        words = f"{notes['count']} messages have the label {notes['name']}. Shall I delete it?"
        return guide.section("Labels") if guide.path != "/labels" else guide.answer(words)
    if not notes["agrees"]:
        return _done(guide)
    if guide.path == f"{target}/delete":
        return guide.click("button", "Delete label") or guide.away()
    return guide.link_to(f"{target}/delete") or guide.link_to(f"{target}/edit") or guide.section("Labels")


_mail = partial(Template, sites=("mail",), guide=MailGuide)

TEMPLATES = (
    _mail("mail-reply", "create", 0.5, _reply, _solve_answer),
    _mail("mail-forward", "create", 0.5, _forward, _solve_answer),
    _mail("mail-write", "create", 0.6, partial(_compose, draft=False), _solve_compose),
    _mail("mail-draft", "create", 0.6, partial(_compose, draft=True), _solve_compose, held_out=True),
    _mail("mail-move", "edit", 0.4, _move, _solve_small_form),
    _mail("mail-tag", "edit", 0.4, _tag, _solve_small_form),
    _mail("mail-rename-label", "edit", 0.3, _rename, _solve_rename),
    _mail("mail-away", "edit", 0.3, _away, _solve_away),
    _mail("mail-clear-spam", "edit", 0.5, _clear_spam, _solve_clear_spam),
    _mail("mail-discard-draft", "delete", 0.3, _discard, _solve_discard),
    _mail("mail-ask-before-deleting", "confirm", 0.6, _ask_label, _solve_ask_label),
)
