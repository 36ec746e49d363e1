"""Overview, contacts and settings."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from agentgym.environments.web.sites.book.app import route
from agentgym.environments.web.sites.book.world import CATEGORIES, cities
from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing, see_other

PER_PAGE = 12
FIELDS = ("name", "email", "phone", "company", "city", "category", "newsletter", "notes")
SORTS = {"name": "name", "city": "city, name", "company": "company, name"}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@route("/")
def overview(ask: Ask) -> Answer:
    """The first page."""
    setting = ask.one("SELECT * FROM setting") or {}
    counts = [(status, count) for status, count in ask.all("SELECT status, count(*) FROM orders GROUP BY status")]
    people = ask.all("SELECT count(*) FROM contact")[0][0]
    body = f"<p>Today is {setting['today']}. Welcome, {escape(setting['owner'])}.</p>" + html.facts(
        [
            ("Contacts", str(people)),
            *((status.capitalize(), f"{count} order{'' if count == 1 else 's'}") for status, count in counts),
        ]
    )
    latest = ask.all(
        "SELECT orders.id, name, placed FROM orders JOIN contact ON contact.id = contact ORDER BY placed DESC LIMIT 3"
    )
    rows = [(html.link(f"/orders/{key}", f"Order {key}"), escape(name), placed) for key, name, placed in latest]
    return Answer(
        "Overview", body + "<h2>Latest orders</h2>" + html.table(("Order", "Contact", "Placed"), rows, "None.")
    )


@route("/contacts")
def contacts(ask: Ask) -> Answer:
    """The list, filtered and sorted."""
    text, city, category = (ask.query.get(key, "") for key in ("q", "city", "category"))
    sort = ask.query.get("sort", "name")
    where, values = ["1"], []
    if text:
        where.append("(instr(lower(name), ?) OR instr(lower(company), ?) OR instr(lower(email), ?))")
        values += [text.lower()] * 3
    for column, value in (("city", city), ("category", category)):
        if value:
            where.append(f"{column} = ?")
            values.append(value)
    condition = " AND ".join(where)
    total = ask.all(f"SELECT count(*) FROM contact WHERE {condition}", *values)[0][0]
    pages = -(-total // PER_PAGE)
    page = ask.page(pages)
    order = SORTS.get(sort, "name")
    found = ask.all(
        f"SELECT id, name, company, city, phone FROM contact WHERE {condition} ORDER BY {order}, id LIMIT ? OFFSET ?",
        *values, PER_PAGE, (page - 1) * PER_PAGE,
    )  # fmt: skip
    rows = [
        (html.link(f"/contacts/{key}", name), escape(company), escape(place), escape(phone))
        for key, name, company, place, phone in found
    ]
    head = "<p>" + html.link("/contacts/new", "New contact") + "</p>" + _filter(text, city, category, sort)
    count = f"<p>{total} contact{'' if total == 1 else 's'} found.</p>"
    listed = html.table(("Name", "Company", "City", "Phone"), rows, "No contact matches.")
    return Answer("Contacts", head + count + listed + html.pager("/contacts", ask.query, page, pages))


def _filter(text: str, city: str, category: str, sort: str) -> str:
    inner = (
        html.field("q", "Search", text, "search")
        + html.select("city", "City", [("", "Any"), *((name, name) for name in cities())], city)
        + html.select(
            "category", "Category", [("", "Any"), *((name, name.capitalize()) for name in CATEGORIES)], category
        )
        + html.select("sort", "Sort by", [(key, key.capitalize()) for key in SORTS], sort)
    )
    return html.form("/contacts", inner, "Show", method="get")


def _read(ask: Ask) -> tuple[dict[str, Any], list[str]]:
    """The fields of a sent contact form, and what is wrong with them."""
    values: dict[str, Any] = {key: ask.form.get(key, "").strip()[:500] for key in FIELDS}
    values["newsletter"] = int(bool(values["newsletter"]))
    values["notes"] = values["notes"].replace("\r\n", "\n")
    problems = []
    if not _EMAIL.fullmatch(values["email"]):
        problems.append("E-mail: enter an address like name@example.com.")
    if not re.fullmatch(r"[0-9 +()-]{5,20}", values["phone"]):
        problems.append("Phone: use digits, blanks and dashes, at least five.")
    if values["city"] not in cities():
        problems.append("City: choose one.")
    if values["category"] not in CATEGORIES:
        problems.append("Category: choose one.")
    if not values["name"]:
        problems.append("Name: it must not be empty.")
    return values, problems


def _contact_form(action: str, values: dict[str, Any], button: str) -> str:
    inner = (
        html.field("name", "Name", values["name"], extra=" required")
        + html.field("email", "E-mail", values["email"], "email", " required")
        + html.field("phone", "Phone", values["phone"], "tel", " required")
        + html.field("company", "Company", values["company"])
        + html.select("city", "City", [("", "Choose"), *((name, name) for name in cities())], values["city"])
        + html.radios("category", "Category", CATEGORIES, values["category"])
        + html.checkbox("newsletter", "Gets the newsletter", bool(values["newsletter"]))
        + "<details><summary>Notes</summary>"
        + html.area("notes", "Text", values["notes"])
        + "</details>"
    )
    return html.form(action, inner, button)


@route("/contacts/new")
def new(ask: Ask) -> Answer:
    """A form for a new contact."""
    values: dict[str, Any] = dict.fromkeys(FIELDS, "") | {"category": "customer"}
    if not ask.posted:
        return Answer("New contact", _contact_form("/contacts/new", values, "Save contact"))
    values, problems = _read(ask)
    if problems:
        return Answer(
            "New contact", html.errors(problems) + _contact_form("/contacts/new", values, "Save contact"), 422
        )
    marks = ", ".join("?" * len(FIELDS))
    key = ask.db.execute(f"INSERT INTO contact ({', '.join(FIELDS)}) VALUES ({marks})", [*values.values()]).lastrowid
    return see_other(f"/contacts/{key}", f"{values['name']} was added.")


@route(r"/contacts/(\d+)")
def contact(ask: Ask, key: int) -> Answer:
    """One contact and its orders."""
    row = ask.one("SELECT * FROM contact WHERE id = ?", key)
    if row is None:
        return missing()
    fields = [(name.capitalize().replace("Email", "E-mail"), escape(str(row[name]))) for name in FIELDS[:5]]
    fields += [("Category", f'<span class="badge">{row["category"]}</span>'),
               ("Newsletter", "yes" if row["newsletter"] else "no"),
               ("Notes", escape(row["notes"]).replace("\n", "<br>") or "none")]  # fmt: skip
    links = " ".join(
        (
            html.link(f"/contacts/{key}/edit", "Edit"),
            html.link(f"/contacts/{key}/delete", "Delete"),
            html.link(f"/orders/new?contact={key}", "New order"),
        )
    )
    found = ask.all(
        "SELECT orders.id, placed, status, sum(quantity * price) FROM orders JOIN line ON line.orders = orders.id "
        "WHERE contact = ? GROUP BY orders.id ORDER BY placed DESC", key,
    )  # fmt: skip
    rows = [
        (html.link(f"/orders/{o}", f"Order {o}"), placed, status, html.money(total))
        for o, placed, status, total in found
    ]
    orders = html.table(("Order", "Placed", "Status", "Total"), rows, "No orders.")
    return Answer(row["name"], html.facts(fields) + f"<p>{links}</p><h2>Orders</h2>{orders}")


@route(r"/contacts/(\d+)/edit")
def edit(ask: Ask, key: int) -> Answer:
    """Changes a contact."""
    row = ask.one("SELECT * FROM contact WHERE id = ?", key)
    if row is None:
        return missing()
    title, action = f"Edit {row['name']}", f"/contacts/{key}/edit"
    if not ask.posted:
        return Answer(title, _contact_form(action, row, "Save changes"))
    values, problems = _read(ask)
    if problems:
        return Answer(title, html.errors(problems) + _contact_form(action, values, "Save changes"), 422)
    changes = ", ".join(f"{name} = ?" for name in FIELDS)
    ask.db.execute(f"UPDATE contact SET {changes} WHERE id = ?", [*values.values(), key])
    return see_other(f"/contacts/{key}", "Changes saved.")


@route(r"/contacts/(\d+)/delete")
def delete(ask: Ask, key: int) -> Answer:
    """Deletes a contact that has no orders, after asking."""
    row = ask.one("SELECT * FROM contact WHERE id = ?", key)
    if row is None:
        return missing()
    orders = ask.all("SELECT count(*) FROM orders WHERE contact = ?", key)[0][0]
    title = f"Delete {row['name']}"
    if orders:
        text = f"<p>{escape(row['name'])} has {orders} orders and can't be deleted.</p>"
        return Answer(title, text + html.link(f"/contacts/{key}", "Back"))
    if not ask.posted:
        text = f"<p>Delete {escape(row['name'])} for good?</p>" + html.link(f"/contacts/{key}", "Keep it")
        return Answer(title, text + html.form(f"/contacts/{key}/delete", "", "Delete contact"))
    ask.db.execute("DELETE FROM contact WHERE id = ?", (key,))
    return see_other("/contacts", f"{row['name']} was deleted.")


@route("/settings")
def settings(ask: Ask) -> Answer:
    """The owner's settings."""
    row = ask.one("SELECT * FROM setting")
    assert row is not None, "a world has settings"
    if ask.posted:
        currency = ask.form.get("currency", "")
        values = (
            ask.form.get("signature", "").strip()[:200],
            int(bool(ask.form.get("reminders"))),
            currency if currency in ("USD", "EUR", "GBP") else row["currency"],
        )
        ask.db.execute("UPDATE setting SET signature = ?, reminders = ?, currency = ?", values)
        return see_other("/settings", "Settings saved.")
    inner = (
        html.field("signature", "Signature", row["signature"])
        + html.checkbox("reminders", "Send reminders", bool(row["reminders"]))
        + html.select("currency", "Currency", [(name, name) for name in ("USD", "EUR", "GBP")], row["currency"])
    )
    return Answer("Settings", html.form("/settings", inner, "Save settings"))
