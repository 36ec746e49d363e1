"""Ways from one place to another."""

from __future__ import annotations

from html import escape

from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask
from agentgym.environments.web.sites.kit.fields import number
from agentgym.environments.web.sites.map.app import route
from agentgym.environments.web.sites.map.graph import WAYS, distances, edges, legs, minutes
from agentgym.environments.web.sites.map.places import one_place, traveller

_WORDS = {"walk": "On foot", "bike": "By bike", "car": "By car"}


def _named(ask: Ask, text: str) -> int:
    """Key of the place of a name or a key; 0 where there is none."""
    row = ask.one("SELECT id FROM place WHERE lower(name) = ? OR id = ?", text.strip().lower(), number(text.strip()))
    return int(row["id"]) if row else 0


@route("/route")
def way(ask: Ask) -> Answer:
    """The shortest way, street by street."""
    me = traveller(ask)
    by = ask.query.get("by", me["way"])
    by = by if by in WAYS else me["way"]
    texts = {key: ask.query.get(key, "") for key in ("from", "to")}
    start = one_place(ask, _named(ask, texts["from"]) if texts["from"] else me["home"])
    end = one_place(ask, _named(ask, texts["to"])) if texts["to"] else None
    inner = (
        html.field("from", "From", start["name"] if start else texts["from"])
        + html.field("to", "To", end["name"] if end else texts["to"])
        + html.select("by", "Travel", [(name, _WORDS[name]) for name in WAYS], by)
    )
    form = html.form("/route", inner, "Show the way", "get")
    problems = [f"There is no place named {texts['from']}."] if start is None else []
    problems += [f"There is no place named {texts['to']}."] if end is None and texts["to"] else []
    if start is None or end is None:
        return Answer("Route", html.errors(problems) + form)
    graph = edges(ask.all("SELECT street, a, b, metres, oneway FROM segment ORDER BY id"), by)
    metres, before = distances(graph, start["junction"])
    points = {key: (x, y) for key, x, y in ask.all("SELECT id, x, y FROM junction")}
    streets = dict(ask.all("SELECT id, name FROM street"))
    total = metres[end["junction"]]
    rows = [
        (str(place), f"{leg.turn} {escape(streets[leg.street])}", f"{leg.metres} m")
        for place, leg in enumerate(legs(before, metres, points, end["junction"]), 1)
    ]
    names = " to ".join(html.link(f"/places/{place['id']}", place["name"]) for place in (start, end))
    head = f"<p>{_WORDS[by]} from {names}: {total} m, {minutes(total, by)} minutes.</p>"
    return Answer("Route", form + head + html.table(("Step", "What to do", "Distance"), rows, "You are there already."))
