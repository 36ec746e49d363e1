"""Looking up, comparing and filtering in the address book."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import FIRST_PAGE, Answer, Goal, Place
from agentgym.environments.web.guide import Guide
from agentgym.environments.web.sites.book.world import CATEGORIES, STATUSES
from agentgym.environments.web.sites.kit.html import money
from agentgym.environments.web.template import Draft, Template, World

Notes = Mapping[str, Any]

_WITH_ORDERS = "SELECT * FROM contact WHERE id IN (SELECT contact FROM orders) ORDER BY id"
_TOTALS = (
    "SELECT orders.*, name, sum(quantity * price) AS total FROM orders JOIN contact ON contact.id = orders.contact"
    " JOIN line ON line.orders = orders.id GROUP BY orders.id ORDER BY orders.id"
)
_BARE = "Answer with {} only."


def _contact_place(key: int) -> Place:
    return Place(f"/contacts/{key}", {})


# ------------------------------------------------------------------ facts of one page


def _field(column: str, words: str, kind: Any = "text") -> Callable[[World, np.random.Generator], Draft]:
    def make(world: World, rng: np.random.Generator) -> Draft:
        row = world.one(rng, "SELECT * FROM contact ORDER BY id")
        value = str(row[column])
        goal = Goal(answer=Answer(kind, value), route=(_contact_place(row["id"]),), evidence=(value,), must_see=True)
        text = f"What is the {words} of {row['name']}? {_BARE.format('the ' + words)}"
        return Draft(text, goal, {"name": row["name"], "id": row["id"], "answer": value})

    return make


def _read_contact(guide: Guide, notes: Notes) -> Action:
    return guide.contact(notes["name"], notes["id"]) or guide.answer(notes["answer"])


def _order_field(column: str, words: str, kind: Any) -> Callable[[World, np.random.Generator], Draft]:
    def make(world: World, rng: np.random.Generator) -> Draft:
        row = world.one(rng, _TOTALS)
        shown = money(row["total"]) if column == "total" else str(row[column])
        goal = Goal(
            answer=Answer(kind, row[column]),
            route=(Place(f"/orders/{row['id']}", {}),),
            evidence=(shown, f"Order {row['id']}"),
            must_see=True,
        )
        text = f"What is the {words} of order {row['id']}, placed by {row['name']}? {_BARE.format('the ' + words)}"
        return Draft(text, goal, {"name": row["name"], "id": row["id"], "answer": shown})

    return make


def _read_order(guide: Guide, notes: Notes) -> Action:
    return guide.order(notes["id"], notes["name"]) or guide.answer(notes["answer"])


def _stock(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, "SELECT * FROM product ORDER BY id")
    goal = Goal(
        answer=Answer("number", row["stock"]), route=(Place("/products", {}),), evidence=(row["sku"],), must_see=True
    )
    text = f"How many pieces of the {row['name']} are in stock? {_BARE.format('the number')}"
    return Draft(text, goal, {"name": row["name"], "id": row["id"], "answer": row["stock"]})


def _read_product(guide: Guide, notes: Notes) -> Action:
    return guide.product(notes["name"], notes["id"]) or guide.answer(notes["answer"])


# ------------------------------------------------------------------ counting and comparing


def _count_contacts(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, "SELECT city, category, count(*) AS n FROM contact GROUP BY city, category ORDER BY 1, 2")
    place = Place("/contacts", {"city": row["city"], "category": row["category"], "sort": "name"})
    plural = "" if row["n"] == 1 else "s"
    goal = Goal(
        answer=Answer("number", row["n"]),
        route=(place,),
        evidence=(f"value='{row['category'].capitalize()}'", f"{row['n']} contact{plural} found."),
        must_see=True,
    )
    text = f"How many contacts in {row['city']} are in the category {row['category'].capitalize()}?"
    notes = {"city": row["city"], "category": row["category"], "answer": row["n"]}
    return Draft(f"{text} {_BARE.format('the number')}", goal, notes)


def _solve_count_contacts(guide: Guide, notes: Notes) -> Action:
    values = {"Search": "", "City": notes["city"], "Category": notes["category"].capitalize()}
    keys = {"q": "", "city": notes["city"], "category": notes["category"]}
    return guide.listed("Contacts", "/contacts", values, keys) or guide.answer(notes["answer"])


def _count_orders(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, "SELECT status, count(*) AS n FROM orders GROUP BY status ORDER BY status")
    goal = Goal(
        answer=Answer("number", row["n"]),
        route=(Place("/orders", {"status": row["status"], "sort": "newest"}),),
        evidence=(f"{row['n']} order{'' if row['n'] == 1 else 's'}",),
        must_see=True,
    )
    text = f"How many orders have the status {row['status'].capitalize()}? {_BARE.format('the number')}"
    return Draft(text, goal, {"status": row["status"], "answer": row["n"]}, "http://book.test/contacts")


def _solve_count_orders(guide: Guide, notes: Notes) -> Action:
    values = {"Contact": "", "Status": notes["status"].capitalize()}
    shown = guide.listed("Orders", "/orders", values, {"q": "", "status": notes["status"]})
    return shown or guide.answer(notes["answer"])


def _dearer(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows("SELECT * FROM product ORDER BY id")
    one, two = (rows[int(i)] for i in rng.choice(len(rows), size=2, replace=False))
    best = max(one, two, key=lambda row: row["price"])
    goal = Goal(
        answer=Answer("text", best["sku"]),
        route=(Place("/products", {}),),
        evidence=(money(one["price"]), money(two["price"])),
        must_see=True,
    )
    text = f"Which costs more, the {one['name']} or the {two['name']}? {_BARE.format('the number of that product')}"
    return Draft(text, goal, {"answer": best["sku"]})


def _solve_dearer(guide: Guide, notes: Notes) -> Action:
    return guide.section("Products") if guide.path != "/products" else guide.answer(notes["answer"])


def _largest_order(world: World, rng: np.random.Generator) -> Draft:
    while True:
        contact = world.one(rng, _WITH_ORDERS)
        own = [row for row in world.rows(_TOTALS) if row["contact"] == contact["id"]]
        best = max(own, key=lambda row: row["total"])
        if sum(row["total"] == best["total"] for row in own) == 1:
            break
    goal = Goal(
        answer=Answer("number", best["id"]),
        route=(_contact_place(contact["id"]),),
        evidence=tuple(money(row["total"]) for row in own),
        must_see=True,
    )
    text = f"Which order of {contact['name']} has the largest total? Answer with the order's number only."
    return Draft(text, goal, {"name": contact["name"], "id": contact["id"], "answer": best["id"]})


def _latest_order(world: World, rng: np.random.Generator) -> Draft:
    contact = world.one(rng, _WITH_ORDERS)
    placed = max(row["placed"] for row in world.rows(_TOTALS) if row["contact"] == contact["id"])
    goal = Goal(
        answer=Answer("date", placed), route=(_contact_place(contact["id"]),), evidence=(placed,), must_see=True
    )
    text = f"When did {contact['name']} last place an order? Answer with the date only, as 2026-03-14."
    return Draft(text, goal, {"name": contact["name"], "id": contact["id"], "answer": placed})


def _who_in_city(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(
        rng, "SELECT city, category FROM contact GROUP BY city, category HAVING count(*) BETWEEN 1 AND 4 ORDER BY 1, 2"
    )
    found = world.rows("SELECT name FROM contact WHERE city = ? AND category = ?", row["city"], row["category"])
    names = sorted(item["name"] for item in found)
    place = Place("/contacts", {"city": row["city"], "category": row["category"], "sort": "name"})
    goal = Goal(answer=Answer("set", names), route=(place,), evidence=tuple(names), must_see=True)
    text = (
        f"Who are the contacts in {row['city']} in the category {row['category'].capitalize()}? "
        "Answer with their full names only, separated by commas."
    )
    notes = {"city": row["city"], "category": row["category"], "answer": ", ".join(names)}
    return Draft(text, goal, notes)


# ------------------------------------------------------------------ pages to show


def _show_orders(world: World, rng: np.random.Generator) -> Draft:
    status = STATUSES[int(rng.integers(len(STATUSES)))]
    sort = ("total", "oldest")[int(rng.integers(2))]
    place = Place("/orders", {"status": status, "sort": sort}, also=FIRST_PAGE)
    words = {"total": "the largest total first", "oldest": "the oldest first"}[sort]
    goal = Goal(route=(Place("/orders", {}), place), final=place)
    text = f"Show all orders with the status {status.capitalize()}, {words}, and answer done while they are shown."
    return Draft(text, goal, {"status": status, "sort": sort})


def _solve_show_orders(guide: Guide, notes: Notes) -> Action:
    values = {"Contact": "", "Status": notes["status"].capitalize(), "Sort by": notes["sort"].capitalize()}
    keys = {"q": "", "status": notes["status"], "sort": notes["sort"], "page": ""}
    shown = guide.listed("Orders", "/orders", values, keys)
    if shown is None and guide.query.get("page", ""):
        return guide.section("Orders")
    return shown or guide.answer("done")


def _show_contacts(world: World, rng: np.random.Generator) -> Draft:
    city = str(world.one(rng, "SELECT DISTINCT city FROM contact ORDER BY 1")["city"])
    category = CATEGORIES[int(rng.integers(len(CATEGORIES)))]
    place = Place("/contacts", {"city": city, "category": category, "sort": "company"}, also=FIRST_PAGE)
    goal = Goal(route=(Place("/contacts", {}), place), final=place)
    text = (
        f"Show the contacts of the category {category.capitalize()} in {city}, sorted by company, "
        "and answer done while they are shown."
    )
    return Draft(text, goal, {"city": city, "category": category})


def _solve_show_contacts(guide: Guide, notes: Notes) -> Action:
    values = {
        "Search": "",
        "City": notes["city"],
        "Category": notes["category"].capitalize(),
        "Sort by": "Company",
    }
    keys = {"q": "", "city": notes["city"], "category": notes["category"], "sort": "company", "page": ""}
    return guide.listed("Contacts", "/contacts", values, keys) or guide.answer("done")


TEMPLATES = (
    Template("contact-email", "look up", 0.1, _field("email", "e-mail address"), _read_contact),
    Template("contact-phone", "look up", 0.1, _field("phone", "phone number"), _read_contact),
    Template("contact-company", "look up", 0.1, _field("company", "company"), _read_contact),
    Template("order-total", "look up", 0.2, _order_field("total", "total", "money"), _read_order),
    Template("order-date", "look up", 0.2, _order_field("placed", "date", "date"), _read_order, held_out=True),
    Template("product-stock", "look up", 0.1, _stock, _read_product),
    Template("count-contacts", "navigate", 0.3, _count_contacts, _solve_count_contacts),
    Template("count-orders", "navigate", 0.2, _count_orders, _solve_count_orders),
    Template("dearer-product", "compare", 0.3, _dearer, _solve_dearer),
    Template("largest-order", "compare", 0.4, _largest_order, _read_contact),
    Template("latest-order", "compare", 0.4, _latest_order, _read_contact, held_out=True),
    Template("who-in-city", "navigate", 0.4, _who_in_city, _solve_count_contacts),
    Template("show-orders", "navigate", 0.3, _show_orders, _solve_show_orders),
    Template("show-contacts", "navigate", 0.4, _show_contacts, _solve_show_contacts, held_out=True),
)
