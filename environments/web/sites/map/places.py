"""The overview, lists of places, one place, districts and streets."""

from __future__ import annotations

from html import escape
from typing import Any

from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing
from agentgym.environments.web.sites.kit.days import WEEKDAYS
from agentgym.environments.web.sites.kit.fields import number
from agentgym.environments.web.sites.map.app import route
from agentgym.environments.web.sites.map.graph import distances, edges
from agentgym.environments.web.sites.map.world import CATEGORIES

PER_PAGE = 12
SORTS = ("name", "rating", "distance")
_LIST = (
    "SELECT place.id, place.name, category, street.name, house, district.name, junction,"
    " (SELECT sum(stars) FROM review WHERE place = place.id), (SELECT count(*) FROM review WHERE place = place.id)"
    " FROM place JOIN street ON street.id = street JOIN district ON district.id = district"
)


def traveller(ask: Ask) -> dict[str, Any]:
    """The owner's settings."""
    return ask.one("SELECT * FROM traveller") or {}


def one_place(ask: Ask, key: int) -> dict[str, Any] | None:
    """A place with the names of its street and district."""
    return ask.one(
        "SELECT place.*, street.name AS road, district.name AS area FROM place JOIN street ON street.id = street"
        " JOIN district ON district.id = district WHERE place.id = ?", key,
    )  # fmt: skip


def rating(stars: int | None, count: int) -> str:
    """``4.3 (3 reviews)``."""
    return f"{(stars or 0) / count:.1f} ({count} review{'' if count == 1 else 's'})" if count else "none"


def reach(ask: Ask, junction: int, way: str) -> dict[int, int]:
    """Metres from a junction to all others."""
    return distances(edges(ask.all("SELECT street, a, b, metres, oneway FROM segment ORDER BY id"), way), junction)[0]


@route("/")
def overview(ask: Ask) -> Answer:
    """What there is, by district and category."""
    me = traveller(ask)
    home = one_place(ask, me["home"])
    assert home is not None, "a world has a home"
    link = html.link(f"/places/{home['id']}", home["name"])
    head = f"<p>Today is {me['today']}. You live next to {link}.</p>"
    districts = ask.all("SELECT district.id, district.name, count(*) FROM place JOIN district ON district.id = district"
                        " GROUP BY district.id ORDER BY district.name")  # fmt: skip
    rows = [(html.link(f"/districts/{key}", name), str(count)) for key, name, count in districts]
    kinds = dict(ask.all("SELECT category, count(*) FROM place GROUP BY category"))
    links = [(html.link(f"/places?category={name}", name), str(kinds.get(name, 0))) for name in CATEGORIES]
    return Answer("Overview", head + "<h2>Districts</h2>" + html.table(("District", "Places"), rows, "None.")
                  + "<h2>Categories</h2>" + html.table(("Category", "Places"), links, "None."))  # fmt: skip


@route("/places")
def places(ask: Ask) -> Answer:
    """Places, filtered and sorted; distances are on foot, from home or from another place."""
    text, category, area, day, sort = (ask.query.get(k, "") for k in ("q", "category", "district", "open", "sort"))
    start = one_place(ask, number(ask.query.get("near", "")) or traveller(ask)["home"])
    where, values = ["1"], []
    if text:
        where.append("instr(lower(place.name), ?)")
        values.append(text.strip().lower())
    if category in CATEGORIES:
        where.append("category = ?")
        values.append(category)
    if area:
        where.append("district.name = ?")
        values.append(area)
    if day in WEEKDAYS:
        where.append(f"place.id IN (SELECT place FROM hours WHERE weekday = {WEEKDAYS.index(day)})")
    found = ask.all(f"{_LIST} WHERE {' AND '.join(where)} ORDER BY place.name, place.id", *values)
    metres = reach(ask, start["junction"], "walk") if start is not None else {}
    if sort == "rating":
        found.sort(key=lambda row: -(row[7] or 0) / (row[8] or 1))
    if sort == "distance":
        found.sort(key=lambda row: metres.get(row[6], 0))
    pages = -(-len(found) // PER_PAGE)
    page = ask.page(pages)
    rows = [
        (html.link(f"/places/{row[0]}", row[1]), row[2], escape(f"{row[4]} {row[3]}"), row[5], rating(row[7], row[8]),
         f"{metres.get(row[6], 0)} m")
        for row in found[(page - 1) * PER_PAGE : page * PER_PAGE]
    ]  # fmt: skip
    head = f"<p>{len(found)} place{'' if len(found) == 1 else 's'} found. Distances are on foot from "
    head += f"{escape(start['name'] if start else '?')}.</p>"
    table = html.table(("Place", "Category", "Address", "District", "Rating", "Distance"), rows, "No place matches.")
    return Answer("Places", _filter(ask) + head + table + html.pager("/places", ask.query, page, pages))


def _filter(ask: Ask) -> str:
    areas = [(name, name) for (name,) in ask.all("SELECT name FROM district ORDER BY name")]
    near = ask.query.get("near", "")
    hidden = f'<input type="hidden" name="near" value="{escape(near)}">' if near else ""
    inner = (
        hidden
        + html.field("q", "Name", ask.query.get("q", ""), "search")
        + html.select(
            "category", "Category", [("", "Any"), *((n, n) for n in CATEGORIES)], ask.query.get("category", "")
        )
        + html.select("district", "District", [("", "Any"), *areas], ask.query.get("district", ""))
        + html.select("open", "Open on", [("", "Any day"), *((n, n) for n in WEEKDAYS)], ask.query.get("open", ""))
        + html.select("sort", "Sort by", [(n, n.capitalize()) for n in SORTS], ask.query.get("sort", "name"))
    )
    return html.form("/places", inner, "Show", "get")


@route(r"/places/(\d+)")
def place(ask: Ask, key: int) -> Answer:
    """One place: address, hours, reviews."""
    row = one_place(ask, key)
    if row is None:
        return missing()
    facts = [
        ("Category", row["category"]),
        ("Address", escape(f"{row['house']} {row['road']}")),
        ("Street", html.link(f"/streets/{row['street']}", row["road"])),
        ("District", html.link(f"/districts/{row['district']}", row["area"])),
        ("Phone", row["phone"]),
    ]
    found = ask.all("SELECT id, author, stars, text FROM review WHERE place = ? ORDER BY id", key)
    facts.append(("Rating", rating(sum(item[2] for item in found), len(found))))
    lists = ask.all("SELECT id, list FROM saved WHERE place = ? ORDER BY id", key)
    facts.append(("Saved in", ", ".join(html.link(f"/saved/{number}", name) for number, name in lists) or "no list"))
    times = {day: (opens, closes) for day, opens, closes in
             ask.all("SELECT weekday, opens, closes FROM hours WHERE place = ?", key)}  # fmt: skip
    hours = [(name, " to ".join(times[i]) if i in times else "closed") for i, name in enumerate(WEEKDAYS)]
    links = " ".join(
        html.link(target, text)
        for target, text in (
            (f"/route?to={key}", "Route from home"),
            (f"/places?near={key}&sort=distance", "Places near here"),
            (f"/places/{key}/save", "Save this place"),
            (f"/places/{key}/review", "Write a review"),
        )
    )
    me = traveller(ask)["owner"]
    opinions = [
        (
            escape(author),
            f"{stars} of 5",
            escape(text),
            html.link(f"/reviews/{n}", "Change my review") if author == me else "",
        )
        for n, author, stars, text in found
    ]
    return Answer(row["name"], html.facts(facts) + f"<p>{links}</p><h2>Opening hours</h2>" + html.facts(hours)
                  + "<h2>Reviews</h2>" + html.table(("By", "Stars", "Text", ""), opinions, "No reviews."))  # fmt: skip


@route(r"/districts/(\d+)")
def district(ask: Ask, key: int) -> Answer:
    """The places of a district."""
    row = ask.one("SELECT * FROM district WHERE id = ?", key)
    if row is None:
        return missing()
    found = ask.all(
        "SELECT place.id, place.name, category, house, street.name FROM place JOIN street ON street.id = street"
        " WHERE district = ? ORDER BY place.name", key,
    )  # fmt: skip
    rows = [(html.link(f"/places/{n}", name), kind, f"{house} {road}") for n, name, kind, house, road in found]
    return Answer(row["name"], html.table(("Place", "Category", "Address"), rows, "No places."))


@route(r"/streets/(\d+)")
def street(ask: Ask, key: int) -> Answer:
    """The places of a street and the streets that it meets."""
    row = ask.one("SELECT * FROM street WHERE id = ?", key)
    if row is None:
        return missing()
    found = ask.all("SELECT id, name, category, house FROM place WHERE street = ? ORDER BY house", key)
    rows = [(str(house), html.link(f"/places/{n}", name), kind) for n, name, kind, house in found]
    crossed = ask.all(
        "SELECT DISTINCT street.id, street.name FROM segment AS own JOIN segment AS other ON"
        " (other.a IN (own.a, own.b) OR other.b IN (own.a, own.b)) JOIN street ON street.id = other.street"
        " WHERE own.street = ?1 AND other.street != ?1 ORDER BY street.name", key,
    )  # fmt: skip
    items = "".join(f"<li>{html.link(f'/streets/{n}', name)}</li>" for n, name in crossed)
    length = ask.all("SELECT sum(metres) FROM segment WHERE street = ?", key)[0][0]
    table = html.table(("Number", "Place", "Category"), rows, "No places.")
    return Answer(row["name"], f"<p>{length} m long.</p>{table}<h2>Meets</h2><ul>{items}</ul>")
