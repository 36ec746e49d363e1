"""What the shop and the data explorer say, passed on: by mail, to the address book, the wiki and the calendar."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal, Place, Want
from agentgym.environments.web.guide_kit import CalendarGuide, KitGuide, MailGuide
from agentgym.environments.web.sites.kit.world import pick, sample
from agentgym.environments.web.sites.world import Row, World
from agentgym.environments.web.template import Draft, Template
from agentgym.environments.web.templates.across import NEW_EVENT, new_event, send_mail, where
from agentgym.environments.web.templates.calendar_read import today
from agentgym.environments.web.templates.calendar_write import form_values
from agentgym.environments.web.templates.data_read import EXPORTS, DataGuide
from agentgym.environments.web.templates.shop_guide import IN_STOCK, ShopGuide, dollars, product_path
from agentgym.environments.web.templates.wiki import PAGES, WikiGuide, wiki_place

Notes = Mapping[str, Any]
Worlds = Mapping[str, World]

_CONTACTS = "SELECT * FROM contact ORDER BY id"
_MEASURED = "SELECT m.*, s.name FROM measurement m JOIN station s ON s.id = m.station"
_TABLE = "/weather/measurement"


class _Book(ShopGuide, KitGuide):
    """Shop and address book."""


class _Mail(ShopGuide, MailGuide):
    """Shop, address book and mailbox."""


class _Data(DataGuide, KitGuide):
    """Data explorer, and another site."""

    def measured(self, name: str, key: int) -> Action:
        """On the way to what a station measured, and there."""
        if self.path == _TABLE and self.query.get("station") not in (None, str(key)):
            return self.away()
        return self.at("data") or self.station(name, key) or self.click("link", "6 rows") or self.away()


class _Wiki(_Data, WikiGuide):
    """Data explorer and wiki."""


class _Calendar(_Data, CalendarGuide):
    """Data explorer and calendar."""


# ------------------------------------------------------------------ the shop


def _tell(worlds: Worlds, rng: np.random.Generator) -> Draft:
    row, person = worlds["shop"].one(rng, IN_STOCK), worlds["book"].one(rng, _CONTACTS)
    price, count = dollars(row["price"]), str(row["num_in_stock"])
    asked, told, shown = (
        ("the price, as the shop shows it (such as $9.50)", price, price),
        ("the number of pieces that are available (such as 7)", count, f"({count} available)"),
    )[int(rng.integers(2))]
    values = {"folder": "sent", "recipients": person["email"], "cc": "", "subject": row["title"], "body": told,
              "way": "", "about": 0}  # fmt: skip
    goal = Goal(
        wants=(Want("message", "add", values, site="mail"),), evidence=(shown, person["email"]),
        route=(Place(product_path(row), {}, "shop.test"), Place(f"/contacts/{person['id']}", {}, "book.test"),
               Place("/compose", {}, "mail.test")),
    )  # fmt: skip
    text = (
        f"{person['name']} asks about the {row['title']} in the shop. Send a mail, to the address that the address book"
        f" has: the subject is '{row['title']}', the text is {asked}, and nothing else."
    ) + where("shop", "book", "mail")
    notes = {"title": row["title"], "path": product_path(row), "shown": shown, "name": person["name"],
             "id": person["id"], "email": person["email"],
             "form": {"To": person["email"], "Cc": "", "Subject": row["title"], "Text": told}}  # fmt: skip
    return Draft(text, goal, notes)


def _solve_tell(guide: _Mail, notes: Notes) -> Action:
    if guide.sent("message"):
        return guide.answer("done")
    if notes["shown"] not in guide.seen:
        return guide.at("shop") or guide.find_product(notes["title"], notes["path"]) or guide.away()
    if notes["email"] not in guide.seen:
        return guide.at("book") or guide.contact(notes["name"], notes["id"]) or guide.away()
    return send_mail(guide, notes["form"])


def _note_status(worlds: Worlds, rng: np.random.Generator) -> Draft:
    order = worlds["shop"].one(rng, "SELECT * FROM order_order WHERE user_id = 1 ORDER BY id")
    person = worlds["book"].one(rng, _CONTACTS)
    path, note = f"/accounts/orders/{order['number']}/", f"Order {order['number']}: {order['status']}"
    page = Place(path, {}, "shop.test")
    goal = Goal(
        wants=(Want("contact", "change", {"notes": note}, person["id"], "book"),), visited=(page,), must_see=True,
        evidence=(f"Order #{order['number']}", order["status"]),
        route=(page, Place(f"/contacts/{person['id']}/edit", {}, "book.test")),
    )  # fmt: skip
    text = (
        f"Look up which status my order {order['number']} has in the shop. In the address book, the notes of"
        f" {person['name']} must become 'Order {order['number']}: ' and that status as the shop has it, and nothing"
        " else."
    ) + where("shop", "book")
    notes = {"path": path, "number": order["number"], "name": person["name"], "id": person["id"],
             "seen": list(goal.evidence), "note": note}  # fmt: skip
    return Draft(text, goal, notes)


def _solve_note_status(guide: _Book, notes: Notes) -> Action:
    if guide.sent("contact", notes["id"]):
        return guide.answer("done")
    if not set(notes["seen"]) <= guide.seen:
        there = guide.at("shop") or guide.click("link", notes["number"])
        return there or guide.account("Order History", "/accounts/orders/") or guide.away()
    there = guide.at("book") or guide.contact_page(notes["name"], notes["id"], "edit")
    if there is None and guide.find("textbox", "Text") is None:
        there = guide.click("DisclosureTriangle", "Notes")
    return there or guide.fill_in({"Text": notes["note"]}, "Save changes")


# ------------------------------------------------------------------ the data explorer


def _line(row: Row) -> str:
    """What a station measured in a month, as the explorer shows it."""
    return f"{row['month']} | {row['rain_mm']} | {row['warmest_c']}"


def _place_of(row: Row) -> Place:
    return Place(_TABLE, {"station": str(row["station"])}, "data.test")


def _wettest(world: World, rng: np.random.Generator) -> Row:
    """What a station measured in the one month in which it rained most."""
    stations = world.rows("SELECT id FROM station ORDER BY id")
    while True:
        rows = world.rows(f"{_MEASURED} WHERE s.id = ? ORDER BY m.rain_mm DESC, m.id", pick(rng, stations)["id"])
        if rows[0]["rain_mm"] > rows[1]["rain_mm"]:
            return rows[0]


def _record(worlds: Worlds, rng: np.random.Generator) -> Draft:
    row, page = _wettest(worlds["data"], rng), pick(rng, worlds["wiki"].rows(PAGES))
    line = f"Most rain at {row['name']}: {row['rain_mm']} mm in {row['month']}."
    body = f"{str(page['text']).rstrip()}\n\n{line}"
    goal = Goal(
        wants=(Want("page", "change", {"text": body}, page["id"], "wiki"),), evidence=(_line(row),),
        route=(_place_of(row), wiki_place(page["name"])),
    )  # fmt: skip
    text = (
        f"Find out in which month the weather station {row['name']} measured the most rain. Add a paragraph at the end"
        f" of the wiki's page {page['name']}, after an empty line: 'Most rain at {row['name']}: 5 mm in 2025-01.', with"
        " the right figure and month in place of 5 and 2025-01."
    ) + where("data", "wiki")
    notes = {"name": row["name"], "key": row["station"], "shown": _line(row), "page": page["name"], "text": body}
    return Draft(text, goal, notes, closed=EXPORTS)


def _solve_record(guide: _Wiki, notes: Notes) -> Action:
    if guide.sent("page"):
        return guide.answer("done")
    if notes["shown"] not in guide.seen:
        return guide.measured(notes["name"], notes["key"])
    there = guide.at("wiki") or guide.below(notes["page"], "edit")
    return there or guide.fill_in({"Text": notes["text"]}, "Save")


def _two_stations(world: World, rng: np.random.Generator) -> list[Row]:
    """What two stations measured in a month that was warmer at one of them."""
    month = pick(rng, world.rows("SELECT DISTINCT month FROM measurement ORDER BY month"))["month"]
    rows = world.rows(f"{_MEASURED} WHERE m.month = ? ORDER BY m.id", month)
    while True:
        two = sample(rng, rows, 2)
        if two[0]["warmest_c"] != two[1]["warmest_c"]:
            return two


def _plan(worlds: Worlds, rng: np.random.Generator) -> Draft:
    first, second = two = _two_stations(worlds["data"], rng)
    best = max(two, key=lambda row: float(row["warmest_c"]))
    day = (today(worlds["calendar"]) + timedelta(days=int(rng.integers(3, 36)))).isoformat()
    values = new_event(f"Trip to {best['name']}", day, "07:30", 45, "")
    goal = Goal(
        wants=(Want("event", "add", values, site="calendar"),), evidence=tuple(map(_line, two)), must_see=True,
        route=(_place_of(first), _place_of(second), NEW_EVENT),
    )  # fmt: skip
    text = (
        f"Find out which of the weather stations {first['name']} and {second['name']} had the higher warmest"
        f" temperature (warmest_c) in {first['month']}. Put an event into the calendar, even if it overlaps something:"
        f" its title is 'Trip to ' and the name of that station; on {day} at 07:30 for 45 minutes, kind Work, without"
        " a place, without guests."
    ) + where("data", "calendar")
    stations = [[row["name"], row["station"], _line(row)] for row in two]
    return Draft(text, goal, {"all": stations, "form": form_values(values)}, closed=EXPORTS)


def _solve_plan(guide: _Calendar, notes: Notes) -> Action:
    if guide.sent("event"):
        return guide.answer("done")
    for name, key, shown in notes["all"]:
        if shown not in guide.seen:
            return guide.measured(name, key)
    return guide.new_event(notes["form"])


_across = partial(Template, kind="multi-site")

TEMPLATES = (
    _across(
        "status-to-contact", difficulty=0.7, make=_note_status, solve=_solve_note_status, sites=("shop", "book"),
        guide=_Book,
    ),
    _across(
        "mail-the-price", difficulty=0.9, make=_tell, solve=_solve_tell, sites=("shop", "book", "mail"), guide=_Mail
    ),
    _across("rain-to-wiki", difficulty=0.8, make=_record, solve=_solve_record, sites=("data", "wiki"), guide=_Wiki),
    _across(
        "warmer-to-calendar", difficulty=1.0, make=_plan, solve=_solve_plan, sites=("data", "calendar"),
        guide=_Calendar, held_out=True,
    ),
)  # fmt: skip
