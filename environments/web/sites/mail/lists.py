"""Lists of messages: folders, search, starred; people and settings."""

from __future__ import annotations

from html import escape
from typing import Any

from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing, see_other
from agentgym.environments.web.sites.kit.fields import number
from agentgym.environments.web.sites.mail.app import route
from agentgym.environments.web.sites.mail.world import FOLDERS

PER_PAGE = 10
TARGETS = ("inbox", "archive", "spam", "trash")
_DEEDS = (("", "Choose"), *((f"to-{name}", f"Move to {name}") for name in TARGETS), ("read", "Mark as read"),
          ("unread", "Mark as unread"), ("star", "Add a star"))  # fmt: skip


def listed(ask: Ask, path: str, where: str, *values: Any) -> str:
    """A page of a list of messages, newest first, with a form for what to do with the ticked ones."""
    total = ask.all(f"SELECT count(*) FROM message WHERE {where}", *values)[0][0]
    pages = -(-total // PER_PAGE)
    page = ask.page(pages)
    found = ask.all(
        f"SELECT id, folder, name, recipients, subject, sent, unread, starred FROM message WHERE {where} "
        "ORDER BY sent DESC, id DESC LIMIT ? OFFSET ?",
        *values, PER_PAGE, (page - 1) * PER_PAGE,
    )  # fmt: skip
    if not found:
        return "<p>No messages.</p>"
    labels = labels_of(ask, [row[0] for row in found])
    rows = []
    for key, folder, name, recipients, subject, sent, unread, starred in found:
        marks = [word for word, on in (("unread", unread), ("starred", starred)) if on] + labels.get(key, [])
        who = f"To: {recipients}" if folder in ("sent", "drafts") else name
        target = f"/drafts/{key}" if folder == "drafts" else f"/message/{key}"
        title = html.link(target, subject or "(no subject)")
        box = f'<input type="checkbox" name="m{key}" value="1" aria-label="Select {escape(subject)}">'
        rows.append((box, escape(who), f"<b>{title}</b>" if unread else title, escape(", ".join(marks)), sent))
    count = f"<p>{total} message{'' if total == 1 else 's'}.</p>"
    table = html.table(("Select", "Who", "Subject", "Marks", "Sent"), rows, "")
    deeds = html.select("deed", "With the selected", _DEEDS, "")
    hidden = f'<input type="hidden" name="back" value="{escape(path)}">'
    drafts = all(row[1] == "drafts" for row in found)
    body = table if drafts else html.form("/bulk", hidden + table + deeds, "Apply")
    return count + body + html.pager(path, ask.query, page, pages)


def labels_of(ask: Ask, keys: list[int]) -> dict[int, list[str]]:
    """Names of the labels of messages, sorted."""
    marks = ", ".join("?" * len(keys))
    found: dict[int, list[str]] = {}
    for key, name in ask.all(
        f"SELECT message, name FROM tagged JOIN label ON label.id = label WHERE message IN ({marks}) ORDER BY name",
        *keys,
    ):
        found.setdefault(key, []).append(name)
    return found


@route("/")
def inbox(ask: Ask) -> Answer:
    """The first page."""
    box = ask.one("SELECT * FROM mailbox") or {}
    unread = ask.all("SELECT count(*) FROM message WHERE folder = 'inbox' AND unread")[0][0]
    head = f"<p>{escape(box['email'])}, today is {box['today']}. {unread} unread.</p>"
    return Answer("Inbox", head + listed(ask, "/", "folder = 'inbox'"))


@route("/folder/([a-z]+)")
def folder(ask: Ask, name: str) -> Answer:
    """The messages of a folder."""
    if name not in FOLDERS:
        return missing()
    return Answer(name.capitalize(), listed(ask, f"/folder/{name}", "folder = ?", name))


@route("/starred")
def starred(ask: Ask) -> Answer:
    """The messages with a star."""
    return Answer("Starred", listed(ask, "/starred", "starred AND folder != 'trash'"))


@route("/search")
def search(ask: Ask) -> Answer:
    """Messages by text, sender, folder and day."""
    text, sender, place, since = (ask.query.get(key, "").strip() for key in ("q", "from", "in", "since"))
    where, values = ["1"], []
    if text:
        where.append("(instr(lower(subject), ?) OR instr(lower(body), ?))")
        values += [text.lower()] * 2
    if sender:
        where.append("(instr(lower(name), ?) OR instr(sender, ?))")
        values += [sender.lower()] * 2
    if place in FOLDERS:
        where.append("folder = ?")
        values.append(place)
    if since:
        where.append("sent >= ?")
        values.append(since)
    inner = (
        html.field("q", "Words", text, "search")
        + html.field("from", "From", sender)
        + html.select("in", "Folder", [("", "Any"), *((name, name.capitalize()) for name in FOLDERS)], place)
        + html.field("since", "Since", since, "date")
    )
    form = html.form("/search", inner, "Search", "get")
    asked = text or sender or place or since
    return Answer("Search", form + (listed(ask, "/search", " AND ".join(where), *values) if asked else ""))


@route("/bulk")
def bulk(ask: Ask) -> Answer:
    """Does one thing with all messages that were ticked."""
    back = ask.form.get("back", "/")
    back = back if back.startswith("/") and not back.startswith("//") else "/"
    if not ask.posted:
        return missing()
    keys = [key for name in ask.form if name[:1] == "m" and (key := number(name[1:]))]
    deed = ask.form.get("deed", "")
    if deed not in dict(_DEEDS) or not deed or not keys:
        return see_other(back, "Select messages and what to do with them.")
    sets = {"read": "unread = 0", "unread": "unread = 1", "star": "starred = 1"}
    change = sets.get(deed, f"folder = '{deed.removeprefix('to-')}'")
    for key in keys[:PER_PAGE]:
        ask.db.execute(f"UPDATE message SET {change} WHERE id = ? AND folder != 'drafts'", (key,))
    return see_other(back, f"{len(keys)} message{'' if len(keys) == 1 else 's'} changed.")


@route("/people")
def people(ask: Ask) -> Answer:
    """Whom the owner writes to."""
    text = ask.query.get("q", "").strip()
    found = ask.all("SELECT id, name, email FROM correspondent WHERE instr(lower(name), ?) ORDER BY name", text.lower())
    rows = [
        (escape(name), escape(email), html.link(f"/compose?to={email}", f"Write to {name}")) for _, name, email in found
    ]
    form = html.form("/people", html.field("q", "Name", text, "search"), "Find", "get")
    return Answer("People", form + html.table(("Name", "E-mail", ""), rows, "Nobody has that name."))


@route("/settings")
def settings(ask: Ask) -> Answer:
    """Answers while the owner is away."""
    row = ask.one("SELECT * FROM mailbox") or {}
    if ask.posted:
        text = ask.form.get("away_text", "").replace("\r\n", "\n").strip()[:500]
        ask.db.execute("UPDATE mailbox SET away = ?, away_text = ?", (int(bool(ask.form.get("away"))), text))
        return see_other("/settings", "Settings saved.")
    facts = html.facts([("Name", escape(row["owner"])), ("Address", escape(row["email"]))])
    inner = html.checkbox("away", "I am away", bool(row["away"])) + html.area("away_text", "Reply", row["away_text"])
    return Answer("Settings", facts + html.form("/settings", inner, "Save settings"))
