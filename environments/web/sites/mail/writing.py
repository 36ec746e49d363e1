"""New messages, replies, forwards and drafts."""

from __future__ import annotations

from html import escape
from typing import Any

from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing, see_other
from agentgym.environments.web.sites.kit.fields import addresses, is_address
from agentgym.environments.web.sites.mail.app import route

MAX_TEXT = 5_000
_FIELDS = ("recipients", "cc", "subject", "body")
_DRAFT = '<button type="submit" name="keep" value="1">Save draft</button>'


def _read(ask: Ask) -> dict[str, Any]:
    values: dict[str, Any] = {key: ask.form.get(key, "").replace("\r\n", "\n").strip()[:MAX_TEXT] for key in _FIELDS}
    return values | {key: ", ".join(addresses(values[key])) for key in ("recipients", "cc")}


def _problems(values: dict[str, Any]) -> list[str]:
    found = []
    if not values["recipients"]:
        found.append("To: enter an address.")
    for key, label in (("recipients", "To"), ("cc", "Cc")):
        found += [
            f"{label}: {part} is no address like name@example.com."
            for part in addresses(values[key])
            if not is_address(part)
        ]
    if not values["body"]:
        found.append("Text: it must not be empty.")
    return found


def _form(action: str, values: dict[str, Any]) -> str:
    inner = (
        html.field("recipients", "To", values["recipients"])
        + html.field("cc", "Cc", values["cc"])
        + html.field("subject", "Subject", values["subject"])
        + html.area("body", "Text", values["body"])
    )
    return html.form(action, inner, "Send", extra=" " + _DRAFT)


def _write(ask: Ask, title: str, action: str, first: dict[str, Any], key: int = 0, quoted: str = "") -> Answer:
    """Shows the form, or takes it: sends, or keeps a draft. ``key``: the draft that this was."""
    if not ask.posted:
        return Answer(title, _form(action, first) + quoted)
    values = first | _read(ask)
    keep = bool(ask.form.get("keep"))
    problems = [] if keep else _problems(values)
    if problems:
        return Answer(title, html.errors(problems) + _form(action, values) + quoted, 422)
    box = ask.one("SELECT * FROM mailbox") or {}
    values |= {"folder": "drafts" if keep else "sent", "name": box["owner"], "sender": box["email"],
               "sent": f"{box['today']} 12:00", "unread": 0, "starred": 0}  # fmt: skip
    if not values.get("thread"):
        values["thread"] = ask.all("SELECT max(thread) + 1 FROM message")[0][0]
    if key:
        sets = ", ".join(f"{name} = ?" for name in values)
        ask.db.execute(f"UPDATE message SET {sets} WHERE id = ?", [*values.values(), key])
    else:
        marks = ", ".join("?" * len(values))
        ask.db.execute(f"INSERT INTO message ({', '.join(values)}) VALUES ({marks})", [*values.values()])
    return see_other("/folder/drafts", "Draft saved.") if keep else see_other("/", "Message sent.")


@route("/compose")
def compose(ask: Ask) -> Answer:
    """A new message."""
    first = {"recipients": ask.query.get("to", ""), "cc": "", "subject": "", "body": "", "way": "", "about": 0}
    return _write(ask, "New message", "/compose", first)


@route(r"/message/(\d+)/(reply|forward)")
def answer(ask: Ask, key: int, way: str) -> Answer:
    """A message about another one, which is quoted below it."""
    row = ask.one("SELECT * FROM message WHERE id = ? AND folder != 'drafts'", key)
    if row is None:
        return missing()
    start = {"reply": "Re: ", "forward": "Fwd: "}[way]
    subject = row["subject"] if row["subject"].startswith(start) else start + row["subject"]
    box = ask.one("SELECT * FROM mailbox") or {}
    mine = row["sender"] == box["email"]
    to = (row["recipients"] if mine else row["sender"]) if way == "reply" else ""
    first = {"recipients": to, "cc": "", "subject": subject, "body": "", "way": way, "about": key,
             "thread": row["thread"] if way == "reply" else 0}  # fmt: skip
    text = escape(row["body"].strip()).replace("\n", "<br>")
    quoted = f"<blockquote><p>{escape(row['name'])}, {row['sent']}</p><p>{text}</p></blockquote>"
    return _write(ask, way.capitalize(), f"/message/{key}/{way}", first, quoted=quoted)


@route(r"/drafts/(\d+)")
def draft(ask: Ask, key: int) -> Answer:
    """Goes on with a draft."""
    row = ask.one("SELECT * FROM message WHERE id = ? AND folder = 'drafts'", key)
    if row is None:
        return missing()
    first = {name: row[name] for name in (*_FIELDS, "way", "about", "thread")}
    discard = "<p>" + html.link(f"/drafts/{key}/discard", "Discard this draft") + "</p>"
    return _write(ask, "Draft", f"/drafts/{key}", first, key, discard)


@route(r"/drafts/(\d+)/discard")
def discard(ask: Ask, key: int) -> Answer:
    """Deletes a draft after asking."""
    row = ask.one("SELECT * FROM message WHERE id = ? AND folder = 'drafts'", key)
    if row is None:
        return missing()
    if ask.posted:
        ask.db.execute("DELETE FROM message WHERE id = ?", (key,))
        return see_other("/folder/drafts", "Draft discarded.")
    text = f"<p>Discard the draft {escape(row['subject'])}?</p>" + html.link(f"/drafts/{key}", "Keep it")
    return Answer("Discard draft", text + html.form(f"/drafts/{key}/discard", "", "Discard draft"))
