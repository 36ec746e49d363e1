"""What belongs to the owner: saved places, reviews and settings."""

from __future__ import annotations

from html import escape
from typing import Any

from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing, see_other
from agentgym.environments.web.sites.kit.fields import number
from agentgym.environments.web.sites.map.app import route
from agentgym.environments.web.sites.map.graph import WAYS
from agentgym.environments.web.sites.map.places import one_place, traveller
from agentgym.environments.web.sites.map.world import LISTS

_STARS = [(str(i), f"{i} of 5") for i in range(5, 0, -1)]


@route("/saved")
def saved(ask: Ask) -> Answer:
    """Saved places, of one list or of all."""
    wanted = ask.query.get("list", "")
    where = "list = ?" if wanted in LISTS else "1 OR ?"
    found = ask.all(
        f"SELECT saved.id, place.id, name, list, note FROM saved JOIN place ON place.id = place WHERE {where}"
        " ORDER BY list, name, saved.id", wanted,
    )  # fmt: skip
    rows = [
        (html.link(f"/places/{place}", name), text, escape(note), html.link(f"/saved/{key}", f"Change {name}"))
        for key, place, name, text, note in found
    ]
    form = html.form(
        "/saved", html.select("list", "List", [("", "All"), *((n, n) for n in LISTS)], wanted), "Show", "get"
    )
    count = f"<p>{len(found)} saved.</p>"
    return Answer("Saved places", form + count + html.table(("Place", "List", "Note", ""), rows, "Nothing saved."))


def _form(action: str, name: str, note: str, button: str) -> str:
    inner = html.select("list", "List", [(item, item) for item in LISTS], name) + html.field("note", "Note", note)
    return html.form(action, inner, button)


def _read(ask: Ask) -> tuple[str, str]:
    return ask.form.get("list", ""), ask.form.get("note", "").strip()[:200]


@route(r"/places/(\d+)/save")
def save(ask: Ask, key: int) -> Answer:
    """Puts a place into a list, where it isn't yet."""
    row = one_place(ask, key)
    if row is None:
        return missing()
    name, note, problems = LISTS[0], "", []
    if ask.posted:
        name, note = _read(ask)
        if name not in LISTS:
            problems = ["List: choose one."]
        elif ask.one("SELECT id FROM saved WHERE place = ? AND list = ?", key, name):
            problems = [f"{row['name']} is in the list {name} already."]
        else:
            ask.db.execute("INSERT INTO saved (place, list, note) VALUES (?, ?, ?)", (key, name, note))
            return see_other(f"/places/{key}", f"Saved in {name}.")
    body = html.errors(problems) + _form(f"/places/{key}/save", name, note, "Save place")
    return Answer(f"Save {row['name']}", body, 422 if problems else 200)


def _saved(ask: Ask, key: int) -> dict[str, Any] | None:
    return ask.one("SELECT saved.*, name FROM saved JOIN place ON place.id = place WHERE saved.id = ?", key)


@route(r"/saved/(\d+)")
def change(ask: Ask, key: int) -> Answer:
    """Moves a saved place to another list, or changes its note."""
    row = _saved(ask, key)
    if row is None:
        return missing()
    name, note, problems = row["list"], row["note"], []
    if ask.posted:
        name, note = _read(ask)
        taken = ask.one("SELECT id FROM saved WHERE place = ? AND list = ? AND id != ?", row["place"], name, key)
        if name not in LISTS or taken:
            problems = ["List: choose one where it isn't yet."]
        else:
            ask.db.execute("UPDATE saved SET list = ?, note = ? WHERE id = ?", (name, note, key))
            return see_other("/saved", "Changes saved.")
    remove = html.link(f"/saved/{key}/remove", "Remove it from this list")
    body = html.errors(problems) + _form(f"/saved/{key}", name, note, "Save changes") + f"<p>{remove}</p>"
    return Answer(row["name"], body, 422 if problems else 200)


@route(r"/saved/(\d+)/remove")
def remove(ask: Ask, key: int) -> Answer:
    """Takes a place out of a list after asking."""
    row = _saved(ask, key)
    if row is None:
        return missing()
    if ask.posted:
        ask.db.execute("DELETE FROM saved WHERE id = ?", (key,))
        return see_other("/saved", f"{row['name']} was removed.")
    text = f"<p>Remove {escape(row['name'])} from {row['list']}?</p>" + html.link(f"/saved/{key}", "Keep it")
    return Answer("Remove", text + html.form(f"/saved/{key}/remove", "", "Remove place"))


@route(r"/places/(\d+)/review")
def review(ask: Ask, key: int) -> Answer:
    """A new review, one a person."""
    row = one_place(ask, key)
    if row is None:
        return missing()
    me = traveller(ask)["owner"]
    if ask.one("SELECT id FROM review WHERE place = ? AND author = ?", key, me):
        text = "<p>You have reviewed this place already. One review a person.</p>"
        return Answer(f"Review {row['name']}", text + html.link(f"/places/{key}", "Back"))
    return _opinion(ask, f"Review {row['name']}", f"/places/{key}/review", {"place": key, "author": me, "stars": 5})


@route(r"/reviews/(\d+)")
def revise(ask: Ask, key: int) -> Answer:
    """Changes the owner's review."""
    row = ask.one("SELECT * FROM review WHERE id = ? AND author = ?", key, traveller(ask)["owner"])
    if row is None:
        return missing()
    delete = "<p>" + html.link(f"/reviews/{key}/delete", "Delete my review") + "</p>"
    return _opinion(ask, "Change my review", f"/reviews/{key}", row, delete)


def _opinion(ask: Ask, title: str, action: str, row: dict[str, Any], more: str = "") -> Answer:
    """The form of a review, shown or taken. ``row`` without a key is a new one."""
    stars, text, problems = row["stars"], row.get("text", ""), []
    if ask.posted:
        stars, text = number(ask.form.get("stars", "")), ask.form.get("text", "").replace("\r\n", "\n").strip()[:500]
        if not 1 <= stars <= 5:
            problems.append("Stars: from 1 to 5.")
        if not text:
            problems.append("Text: it must not be empty.")
        if not problems and "id" in row:
            ask.db.execute("UPDATE review SET stars = ?, text = ? WHERE id = ?", (stars, text, row["id"]))
        elif not problems:
            values = (row["place"], row["author"], stars, text)
            ask.db.execute("INSERT INTO review (place, author, stars, text) VALUES (?, ?, ?, ?)", values)
        if not problems:
            return see_other(f"/places/{row['place']}", "Thank you for your review.")
    inner = html.select("stars", "Stars", _STARS, str(stars)) + html.area("text", "Text", text)
    return Answer(
        title, html.errors(problems) + html.form(action, inner, "Save review") + more, 422 if problems else 200
    )


@route(r"/reviews/(\d+)/delete")
def withdraw(ask: Ask, key: int) -> Answer:
    """Deletes the owner's review after asking."""
    row = ask.one("SELECT * FROM review WHERE id = ? AND author = ?", key, traveller(ask)["owner"])
    if row is None:
        return missing()
    if ask.posted:
        ask.db.execute("DELETE FROM review WHERE id = ?", (key,))
        return see_other(f"/places/{row['place']}", "Your review was deleted.")
    text = "<p>Delete your review?</p>" + html.link(f"/reviews/{key}", "Keep it")
    return Answer("Delete review", text + html.form(f"/reviews/{key}/delete", "", "Delete review"))


@route("/settings")
def settings(ask: Ask) -> Answer:
    """Where the owner lives and how the owner travels."""
    me = traveller(ask)
    home = one_place(ask, me["home"])
    name, way, problems = home["name"] if home else "", me["way"], []
    if ask.posted:
        name, way = ask.form.get("home", "").strip()[:100], ask.form.get("way", "")
        row = ask.one("SELECT id FROM place WHERE lower(name) = ?", name.lower())
        if row is None or way not in WAYS:
            problems = [f"There is no place named {name}."]
        else:
            ask.db.execute("UPDATE traveller SET home = ?, way = ?", (row["id"], way))
            return see_other("/settings", "Settings saved.")
    inner = html.field("home", "Home is next to", name) + html.radios("way", "I mostly travel by", WAYS, way)
    body = html.errors(problems) + html.form("/settings", inner, "Save settings")
    return Answer("Settings", body, 422 if problems else 200)
