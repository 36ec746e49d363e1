"""Creating, editing and deleting in the address book."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal, Place, Want
from agentgym.environments.web.guide import Guide
from agentgym.environments.web.sites.book.world import CATEGORIES, cities
from agentgym.environments.web.sites.kit.html import money
from agentgym.environments.web.template import Draft, Template, World

Notes = Mapping[str, Any]

_OPEN = (
    "SELECT orders.*, name FROM orders JOIN contact ON contact.id = orders.contact WHERE status IN ('pending', 'paid')"
)
_FREE = "SELECT * FROM contact WHERE id NOT IN (SELECT contact FROM orders) ORDER BY id"
_NEW_NAMES = (
    "Robin Castellan",
    "Sasha Nightingale",
    "Kim Overstreet",
    "Jules Penrose",
    "Alex Thornbury",
    "Toni Wexford",
)
_NOTES = ("deliver in the morning", "call before delivery", "leave at the gate", "gift wrapping", "fragile goods")


def _done(guide: Guide) -> Action:
    return guide.answer("done")


# ------------------------------------------------------------------ contacts


def _add_contact(world: World, rng: np.random.Generator) -> Draft:
    name = _NEW_NAMES[int(rng.integers(len(_NEW_NAMES)))]
    first, last = name.lower().split()
    values = {
        "name": name,
        "email": f"{first}@{last}-{int(rng.integers(10, 100))}.example",
        "phone": f"555-{int(rng.integers(1000, 10_000))}",
        "company": f"{name.split()[1]} & Co",
        "city": cities()[int(rng.integers(len(cities())))],
        "category": CATEGORIES[int(rng.integers(len(CATEGORIES)))],
        "newsletter": int(rng.integers(2)),
        "notes": "",
    }
    goal = Goal(wants=(Want("contact", "add", values),), route=(Place("/contacts/new", {}),))
    letter = "gets the newsletter" if values["newsletter"] else "doesn't get the newsletter"
    text = (
        f"Add a new contact: {name}, e-mail {values['email']}, phone {values['phone']}, company {values['company']}, "
        f"city {values['city']}, category {str(values['category']).capitalize()}; {name.split()[0]} {letter}."
    )
    return Draft(text, goal, values)


def _solve_add_contact(guide: Guide, notes: Notes) -> Action:
    if guide.sent("contact"):
        return _done(guide)
    if guide.path != "/contacts/new":
        return guide.click("link", "New contact") or guide.section("Contacts")
    values = {
        "Name": notes["name"],
        "E-mail": notes["email"],
        "Phone": notes["phone"],
        "Company": notes["company"],
        "City": notes["city"],
        notes["category"].capitalize(): True,
        "Gets the newsletter": notes["newsletter"],
    }
    return guide.fill_in(values, "Save contact")


def _change_contact(column: str, label: str, words: str) -> Template:
    def make(world: World, rng: np.random.Generator) -> Draft:
        row = world.one(rng, "SELECT * FROM contact ORDER BY id")
        value = _new_value(column, row, rng)
        goal = Goal(
            wants=(Want("contact", "change", {column: value}, row["id"]),),
            route=(Place(f"/contacts/{row['id']}", {}), Place(f"/contacts/{row['id']}/edit", {})),
        )
        text = f"Change the {words} of {row['name']} to {value}."
        return Draft(text, goal, {"name": row["name"], "id": row["id"], "label": label, "value": value})

    return Template(f"change-{column}", "edit", 0.4, make, _solve_change_contact, held_out=column == "company")


def _new_value(column: str, row: Mapping[str, Any], rng: np.random.Generator) -> str:
    if column == "phone":
        return f"555-{int(rng.integers(1000, 10_000))}-77"
    if column == "city":
        others = [name for name in cities() if name != row["city"]]
        return others[int(rng.integers(len(others)))]
    if column == "email":
        return f"{row['name'].split()[0].lower()}{int(rng.integers(10, 100))}@new-mail.example"
    return f"{row['name'].split()[1]} {('Group', 'Brothers', 'Studio')[int(rng.integers(3))]}"


def _solve_change_contact(guide: Guide, notes: Notes) -> Action:
    if guide.sent("contact", notes["id"]):
        return _done(guide)
    return _edit_contact(guide, notes, {notes["label"]: notes["value"]})


def _edit_contact(guide: Guide, notes: Notes, values: Mapping[str, Any]) -> Action:
    return guide.contact_page(notes["name"], notes["id"], "edit") or guide.fill_in(values, "Save changes")


def _subscribe(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows("SELECT city, id, name FROM contact WHERE newsletter = 0 ORDER BY city, name")
    by_city: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_city.setdefault(row["city"], []).append(row)
    fitting = [city for city, found in by_city.items() if len(found) in (2, 3)] or list(by_city)[:1]
    city = fitting[int(rng.integers(len(fitting)))]
    people = by_city[city]
    goal = Goal(
        wants=tuple(Want("contact", "change", {"newsletter": 1}, row["id"]) for row in people),
        route=(Place("/contacts", {"city": city, "sort": "name"}),),
    )
    text = f"See to it that every contact in {city} gets the newsletter."
    return Draft(text, goal, {"people": [[row["name"], row["id"]] for row in people]})


def _solve_subscribe(guide: Guide, notes: Notes) -> Action:
    for name, key in notes["people"]:
        if not guide.sent("contact", key):
            return _edit_contact(guide, {"name": name, "id": key}, {"Gets the newsletter": True})
    return _done(guide)


def _delete_contact(world: World, rng: np.random.Generator) -> Draft:
    found = world.rows(_FREE)
    row = found[int(rng.integers(len(found)))]
    goal = Goal(
        wants=(Want("contact", "delete", {}, row["id"]),),
        route=(Place(f"/contacts/{row['id']}", {}), Place(f"/contacts/{row['id']}/delete", {})),
    )
    return Draft(f"Delete the contact {row['name']}.", goal, {"name": row["name"], "id": row["id"]})


def _solve_delete_contact(guide: Guide, notes: Notes) -> Action:
    if guide.sent("contact", notes["id"]):
        return _done(guide)
    there = guide.contact_page(notes["name"], notes["id"], "delete")
    return there or guide.click("button", "Delete contact") or guide.away()


# ------------------------------------------------------------------ orders


def _place_order(world: World, rng: np.random.Generator) -> Draft:
    contact = world.one(rng, "SELECT * FROM contact ORDER BY id")
    product = world.one(rng, "SELECT * FROM product ORDER BY id")
    return _order_draft(world, contact, product, int(rng.integers(2, 9)), f"the {product['name']}")


def _order_draft(world: World, contact: Any, product: Any, quantity: int, what: str) -> Draft:
    today = world.rows("SELECT today FROM setting")[0]["today"]
    order = {"contact": contact["id"], "placed": today, "status": "pending", "note": ""}
    line = {"product": product["id"], "quantity": quantity, "price": product["price"]}
    goal = Goal(wants=(Want("orders", "add", order), Want("line", "add", line)), route=(Place("/orders/new", {}),))
    text = f"Place an order for {contact['name']}: {quantity} pieces of {what}."
    shown = f"{product['name']} ({money(product['price'])})"
    return Draft(text, goal, {"contact": contact["name"], "product": shown, "quantity": quantity})


def _solve_place_order(guide: Guide, notes: Notes) -> Action:
    if guide.sent("orders"):
        return _done(guide)
    if guide.path != "/orders/new":
        return guide.click("link", "New order") or guide.section("Orders")
    values = {"Contact": notes["contact"], "Product": notes["product"], "Quantity": notes["quantity"]}
    return guide.fill_in(values, "Place order")


def _order_cheapest(world: World, rng: np.random.Generator) -> Draft:
    contact = world.one(rng, "SELECT * FROM contact ORDER BY id")
    product = world.rows("SELECT * FROM product ORDER BY price, id")[0]
    draft = _order_draft(world, contact, product, int(rng.integers(2, 9)), "the cheapest product in the catalogue")
    goal = Goal(wants=draft.goal.wants, route=(Place("/products", {"sort": "price"}), Place("/orders/new", {})))
    return Draft(draft.text, goal, draft.notes)


def _set_status(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, f"{_OPEN} ORDER BY orders.id")
    status = "shipped" if row["status"] == "paid" else ("paid", "shipped")[int(rng.integers(2))]
    return _order_change(row, "status", status, f"Set the status of order {row['id']} of {row['name']} to {status}.")


def _order_change(row: Mapping[str, Any], column: str, value: str, text: str) -> Draft:
    goal = Goal(
        wants=(Want("orders", "change", {column: value}, row["id"]),), route=(Place(f"/orders/{row['id']}", {}),)
    )
    return Draft(text, goal, {"name": row["name"], "id": row["id"], "column": column, "value": value})


def _set_note(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, f"{_OPEN} ORDER BY orders.id")
    note = _NOTES[int(rng.integers(len(_NOTES)))]
    return _order_change(row, "note", note, f"Write the note '{note}' on order {row['id']} of {row['name']}.")


def _solve_order_change(guide: Guide, notes: Notes) -> Action:
    if guide.sent("orders", notes["id"]):
        return _done(guide)
    there = guide.order(notes["id"], notes["name"])
    if there is not None:
        return there
    if guide.path.endswith("/cancel"):
        return guide.click("link", "Keep it") or guide.section("Orders")
    if notes["column"] == "status":
        return guide.fill_in({"New status": notes["value"].capitalize()}, "Set status")
    return guide.fill_in({"Note": notes["value"]}, "Save note")


# ------------------------------------------------------------------ products and settings


def _set_price(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, "SELECT * FROM product ORDER BY id")
    price = int(rng.integers(100, 9_000)) * 5 + (5 if row["price"] == 500 else 0)
    goal = Goal(
        wants=(Want("product", "change", {"price": price}, row["id"]),),
        route=(Place("/products", {}), Place(f"/products/{row['id']}", {})),
    )
    text = f"Change the price of the {row['name']} to {money(price)}."
    return Draft(text, goal, {"name": row["name"], "id": row["id"], "value": f"{price / 100:.2f}"})


def _solve_set_price(guide: Guide, notes: Notes) -> Action:
    if guide.sent("product", notes["id"]):
        return _done(guide)
    return guide.product(notes["name"], notes["id"]) or guide.fill_in({"Price": notes["value"]}, "Save product")


def _set_settings(world: World, rng: np.random.Generator) -> Draft:
    signature = ("With best wishes", "Yours sincerely", "Many thanks", "Warm regards")[int(rng.integers(4))]
    currency = ("EUR", "GBP")[int(rng.integers(2))]
    goal = Goal(
        wants=(Want("setting", "change", {"signature": signature, "currency": currency}, 1),),
        route=(Place("/settings", {}),),
    )
    text = f"In the settings, change the signature to '{signature}' and the currency to {currency}."
    return Draft(text, goal, {"signature": signature, "currency": currency})


def _solve_set_settings(guide: Guide, notes: Notes) -> Action:
    if guide.sent("setting"):
        return _done(guide)
    if guide.path != "/settings":
        return guide.section("Settings")
    return guide.fill_in({"Signature": notes["signature"], "Currency": notes["currency"]}, "Save settings")


TEMPLATES = (
    Template("add-contact", "create", 0.6, _add_contact, _solve_add_contact),
    _change_contact("phone", "Phone", "phone number"),
    _change_contact("email", "E-mail", "e-mail address"),
    _change_contact("city", "City", "city"),
    _change_contact("company", "Company", "company"),
    Template("subscribe-city", "edit", 0.9, _subscribe, _solve_subscribe),
    Template("delete-contact", "delete", 0.4, _delete_contact, _solve_delete_contact),
    Template("place-order", "create", 0.5, _place_order, _solve_place_order),
    Template("order-cheapest", "create", 0.7, _order_cheapest, _solve_place_order, held_out=True),
    Template("set-status", "edit", 0.4, _set_status, _solve_order_change),
    Template("set-note", "edit", 0.4, _set_note, _solve_order_change),
    Template("set-price", "edit", 0.3, _set_price, _solve_set_price),
    Template("set-settings", "edit", 0.3, _set_settings, _solve_set_settings),
)
