"""One message, its talk, and what can be done with it."""

from __future__ import annotations

from html import escape
from typing import Any

from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing, see_other
from agentgym.environments.web.sites.kit.fields import number
from agentgym.environments.web.sites.mail.app import route
from agentgym.environments.web.sites.mail.lists import TARGETS, labels_of


def _found(ask: Ask, key: int) -> dict[str, Any] | None:
    return ask.one("SELECT * FROM message WHERE id = ? AND folder != 'drafts'", key)


def _text(body: str) -> str:
    return "".join(f"<p>{escape(part).replace(chr(10), '<br>')}</p>" for part in body.strip().split("\n\n"))


@route(r"/message/(\d+)")
def message(ask: Ask, key: int) -> Answer:
    """A message with its forms."""
    row = _found(ask, key)
    if row is None:
        return missing()
    names = labels_of(ask, [key]).get(key, [])
    facts = [("From", escape(f"{row['name']} <{row['sender']}>")), ("To", escape(row["recipients"]))]
    if row["cc"]:
        facts.append(("Cc", escape(row["cc"])))
    marks = [word for word in ("unread", "starred") if row[word]]
    facts += [("Sent", row["sent"]), ("Folder", row["folder"].capitalize())]
    facts += [("Labels", escape(", ".join(names)) or "none"), ("Marks", ", ".join(marks) or "none")]
    links = " ".join(
        html.link(f"/message/{key}/{way}", text)
        for way, text in (("reply", "Reply"), ("forward", "Forward"), ("delete", "Delete"))
    )
    body = html.facts(facts) + _text(row["body"]) + _quoted(ask, row) + f"<p>{links}</p>"
    return Answer(row["subject"], body + _forms(ask, row, names) + _talk(ask, row))


def _quoted(ask: Ask, row: dict[str, Any]) -> str:
    """What a message replies to or passes on."""
    about = ask.one("SELECT * FROM message WHERE id = ?", row["about"]) if row["about"] else None
    if about is None:
        return ""
    head = "In reply to" if row["way"] == "reply" else "Forwarded"
    return f"<blockquote><p>{head}: {escape(about['name'])}, {about['sent']}</p>{_text(about['body'])}</blockquote>"


def _forms(ask: Ask, row: dict[str, Any], names: list[str]) -> str:
    key = row["id"]
    toggles = "".join(
        html.form(f"/message/{key}/{deed}", "", text)
        for deed, text in (
            ("star", "Remove star" if row["starred"] else "Add star"),
            ("unread", "Mark as read" if row["unread"] else "Mark as unread"),
        )
    )
    places = [(name, name.capitalize()) for name in TARGETS if name != row["folder"]]
    move = html.form(f"/message/{key}/move", html.select("folder", "Move to", places, ""), "Move")
    found = ask.all("SELECT id, name FROM label ORDER BY name")
    free = [(str(label), name) for label, name in found if name not in names]
    worn = [(str(label), name) for label, name in found if name in names]
    add = html.form(f"/message/{key}/label", html.select("label", "Label", free, ""), "Add label") if free else ""
    drop = html.form(f"/message/{key}/unlabel", html.select("worn", "Its labels", worn, ""), "Remove label")
    return toggles + move + add + (drop if worn else "")


def _talk(ask: Ask, row: dict[str, Any]) -> str:
    found = ask.all(
        "SELECT id, name, subject, sent FROM message WHERE thread = ? AND id != ? AND folder != 'drafts' "
        "ORDER BY sent, id",
        row["thread"], row["id"],
    )  # fmt: skip
    if not found:
        return ""
    rows = [(escape(name), html.link(f"/message/{key}", subject), sent) for key, name, subject, sent in found]
    whole = html.link(f"/thread/{row['thread']}", "Whole conversation")
    return "<h2>In this conversation</h2>" + html.table(("From", "Subject", "Sent"), rows, "") + f"<p>{whole}</p>"


@route(r"/thread/(\d+)")
def thread(ask: Ask, key: int) -> Answer:
    """All messages of a conversation, oldest first."""
    found = ask.all(
        "SELECT id, name, subject, body, sent FROM message WHERE thread = ? AND folder != 'drafts' ORDER BY sent, id",
        key,
    )
    if not found:
        return missing()
    parts = [
        f"<section><h2>{escape(name)}, {sent}</h2>{_text(body)}<p>{html.link(f'/message/{one}', 'Open')}</p></section>"
        for one, name, _, body, sent in found
    ]
    return Answer(found[0][2], "".join(parts))


@route(r"/message/(\d+)/(star|unread|move|label|unlabel)")
def change(ask: Ask, key: int, deed: str) -> Answer:
    """Takes the small forms of a message."""
    row = _found(ask, key)
    if row is None or not ask.posted:
        return missing()
    back = f"/message/{key}"
    if deed in ("star", "unread"):
        column = {"star": "starred", "unread": "unread"}[deed]
        ask.db.execute(f"UPDATE message SET {column} = ? WHERE id = ?", (1 - row[column], key))
        return see_other(back, "Changed.")
    if deed == "move":
        folder = ask.form.get("folder", "")
        if folder not in TARGETS:
            return see_other(back, "There is no such folder.")
        ask.db.execute("UPDATE message SET folder = ? WHERE id = ?", (folder, key))
        return see_other(back, f"Moved to {folder}.")
    label = number(ask.form.get("label" if deed == "label" else "worn", ""))
    known = ask.one("SELECT * FROM label WHERE id = ?", label)
    if known is None:
        return see_other(back, "There is no such label.")
    worn = ask.one("SELECT id FROM tagged WHERE message = ? AND label = ?", key, known["id"])
    if deed == "unlabel":
        ask.db.execute("DELETE FROM tagged WHERE message = ? AND label = ?", (key, known["id"]))
    elif worn is None:
        ask.db.execute("INSERT INTO tagged (message, label) VALUES (?, ?)", (key, known["id"]))
    return see_other(back, "Labels changed.")


@route(r"/message/(\d+)/delete")
def delete(ask: Ask, key: int) -> Answer:
    """Moves a message to the trash; one that lies there is deleted for good. Starred ones are kept."""
    row = _found(ask, key)
    if row is None:
        return missing()
    back = html.link(f"/message/{key}", "Keep it")
    if row["starred"]:
        return Answer("Delete message", "<p>A message with a star can't be deleted.</p>" + back)
    final = row["folder"] == "trash"
    if ask.posted and final:
        ask.db.execute("DELETE FROM tagged WHERE message = ?", (key,))
        ask.db.execute("DELETE FROM message WHERE id = ?", (key,))
        return see_other("/folder/trash", "The message is gone.")
    if ask.posted:
        ask.db.execute("UPDATE message SET folder = 'trash' WHERE id = ?", (key,))
        return see_other("/", "Moved to trash.")
    question = "Delete this message for good?" if final else "Move this message to the trash?"
    form = html.form(f"/message/{key}/delete", "", "Delete for good" if final else "Move to trash")
    return Answer("Delete message", f"<p>{escape(row['subject'])}</p><p>{question}</p>{back}{form}")
