"""Labels: the list of them, their messages, new ones, new names, and their end."""

from __future__ import annotations

from html import escape

from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing, see_other
from agentgym.environments.web.sites.mail.app import route
from agentgym.environments.web.sites.mail.lists import listed

_NAME = 30


@route("/labels")
def labels(ask: Ask) -> Answer:
    """All labels; a new one."""
    problems: list[str] = []
    name = ask.form.get("name", "").strip()[:_NAME]
    if ask.posted:
        problems = _problems(ask, name)
        if not problems:
            ask.db.execute("INSERT INTO label (name) VALUES (?)", (name,))
            return see_other("/labels", f"Label {name} was added.")
    found = ask.all(
        "SELECT label.id, name, count(tagged.id) FROM label LEFT JOIN tagged ON tagged.label = label.id"
        " GROUP BY label.id ORDER BY name"
    )
    rows = [
        (html.link(f"/labels/{key}", text), str(count), html.link(f"/labels/{key}/edit", f"Change {text}"))
        for key, text, count in found
    ]
    form = html.form("/labels", html.field("name", "New label", name), "Add label")
    body = html.errors(problems) + html.table(("Label", "Messages", ""), rows, "No labels.") + form
    return Answer("Labels", body, 422 if problems else 200)


def _problems(ask: Ask, name: str, key: int = 0) -> list[str]:
    if not name:
        return ["Name: it must not be empty."]
    taken = ask.one("SELECT id FROM label WHERE lower(name) = ? AND id != ?", name.lower(), key)
    return [f"There is a label {name} already."] if taken else []


@route(r"/labels/(\d+)")
def label(ask: Ask, key: int) -> Answer:
    """The messages of a label."""
    row = ask.one("SELECT * FROM label WHERE id = ?", key)
    if row is None:
        return missing()
    where = "id IN (SELECT message FROM tagged WHERE label = ?)"
    return Answer(f"Label {row['name']}", listed(ask, f"/labels/{key}", where, key))


@route(r"/labels/(\d+)/edit")
def edit(ask: Ask, key: int) -> Answer:
    """Renames a label."""
    row = ask.one("SELECT * FROM label WHERE id = ?", key)
    if row is None:
        return missing()
    name, problems = row["name"], []
    if ask.posted:
        name = ask.form.get("name", "").strip()[:_NAME]
        problems = _problems(ask, name, key)
        if not problems:
            ask.db.execute("UPDATE label SET name = ? WHERE id = ?", (name, key))
            return see_other("/labels", "Label renamed.")
    form = html.form(f"/labels/{key}/edit", html.field("name", "Name", name), "Rename")
    body = html.errors(problems) + form + html.link(f"/labels/{key}/delete", "Delete this label")
    return Answer(f"Change label {row['name']}", body, 422 if problems else 200)


@route(r"/labels/(\d+)/delete")
def delete(ask: Ask, key: int) -> Answer:
    """Deletes a label after asking; its messages stay."""
    row = ask.one("SELECT * FROM label WHERE id = ?", key)
    if row is None:
        return missing()
    if ask.posted:
        ask.db.execute("DELETE FROM tagged WHERE label = ?", (key,))
        ask.db.execute("DELETE FROM label WHERE id = ?", (key,))
        return see_other("/labels", f"Label {row['name']} was deleted.")
    text = f"<p>Delete the label {escape(row['name'])}? Its messages stay.</p>" + html.link("/labels", "Keep it")
    return Answer("Delete label", text + html.form(f"/labels/{key}/delete", "", "Delete label"))
