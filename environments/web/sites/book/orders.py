"""Orders."""

from __future__ import annotations

from html import escape

from agentgym.environments.web.sites.book.app import route
from agentgym.environments.web.sites.book.world import STATUSES
from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing, see_other

PER_PAGE = 12
SORTS = {"newest": "placed DESC", "oldest": "placed", "total": "total DESC"}
_MAX_QUANTITY = 99


@route("/orders")
def orders(ask: Ask) -> Answer:
    """The list, filtered and sorted."""
    status, text, sort = (ask.query.get(key, "") for key in ("status", "q", "sort"))
    condition = "(? = '' OR status = ?) AND (? = '' OR instr(lower(name), ?))"
    values = (status, status, text, text.lower())
    source = "orders JOIN contact ON contact.id = orders.contact"
    total = ask.all(f"SELECT count(*) FROM {source} WHERE {condition}", *values)[0][0]
    pages = -(-total // PER_PAGE)
    page = ask.page(pages)
    found = ask.all(
        "SELECT orders.id, name, placed, status, (SELECT sum(quantity * price) FROM line WHERE line.orders = orders.id)"
        f" AS total FROM {source} WHERE {condition} ORDER BY {SORTS.get(sort, 'placed DESC')}, orders.id"
        " LIMIT ? OFFSET ?",
        *values, PER_PAGE, (page - 1) * PER_PAGE,
    )  # fmt: skip
    rows = [
        (html.link(f"/orders/{key}", f"Order {key}"), escape(name), placed, state, html.money(cents))
        for key, name, placed, state, cents in found
    ]
    inner = (
        html.field("q", "Contact", text, "search")
        + html.select("status", "Status", [("", "Any"), *((name, name.capitalize()) for name in STATUSES)], status)
        + html.select("sort", "Sort by", [(key, key.capitalize()) for key in SORTS], sort or "newest")
    )
    head = "<p>" + html.link("/orders/new", "New order") + "</p>" + html.form("/orders", inner, "Show", method="get")
    count = f"<p>{total} order{'' if total == 1 else 's'} found.</p>"
    listed = html.table(("Order", "Contact", "Placed", "Status", "Total"), rows, "No order matches.")
    return Answer("Orders", head + count + listed + html.pager("/orders", ask.query, page, pages))


@route(r"/orders/(\d+)")
def order(ask: Ask, key: int) -> Answer:
    """One order with its lines."""
    row = ask.one(
        "SELECT orders.*, name FROM orders JOIN contact ON contact.id = orders.contact WHERE orders.id = ?", key
    )
    if row is None:
        return missing()
    lines = ask.all(
        "SELECT product.name, quantity, line.price FROM line JOIN product ON product.id = product"
        " WHERE line.orders = ? ORDER BY line.id", key,
    )  # fmt: skip
    rows = [(escape(name), str(count), html.money(price), html.money(count * price)) for name, count, price in lines]
    total = html.money(sum(count * price for _, count, price in lines))
    body = html.facts(
        [
            ("Contact", html.link(f"/contacts/{row['contact']}", row["name"])),
            ("Placed", row["placed"]),
            ("Status", f'<span class="badge">{row["status"]}</span>'),
            ("Note", escape(row["note"]) or "none"),
            ("Total", total),
        ]
    ) + html.table(("Product", "Quantity", "Price", "Sum"), rows, "No lines.")
    return Answer(f"Order {key}", body + _order_forms(key, row["status"], row["note"]))


def _order_forms(key: int, status: str, note: str) -> str:
    if status == "cancelled":
        return "<p>A cancelled order can't be changed.</p>"
    choice = html.select("status", "New status", [(name, name.capitalize()) for name in STATUSES[:3]], status)
    return (
        "<h2>Change</h2>"
        + html.form(f"/orders/{key}/status", choice, "Set status")
        + html.form(f"/orders/{key}/note", html.field("note", "Note", note), "Save note")
        + "<p>"
        + html.link(f"/orders/{key}/cancel", "Cancel this order")
        + "</p>"
    )


@route(r"/orders/(\d+)/(?:status|note)")
def change(ask: Ask, key: int) -> Answer:
    """Takes the two small forms of an order."""
    row = ask.one("SELECT * FROM orders WHERE id = ?", key)
    if row is None or not ask.posted:
        return missing()
    if row["status"] == "cancelled":
        return see_other(f"/orders/{key}", "A cancelled order can't be changed.")
    if ask.path.endswith("/status"):
        status = ask.form.get("status", "")
        if status not in STATUSES[:3]:
            return see_other(f"/orders/{key}", "There is no such status.")
        ask.db.execute("UPDATE orders SET status = ? WHERE id = ?", (status, key))
        return see_other(f"/orders/{key}", f"The order is {status} now.")
    ask.db.execute("UPDATE orders SET note = ? WHERE id = ?", (ask.form.get("note", "").strip()[:200], key))
    return see_other(f"/orders/{key}", "Note saved.")


@route(r"/orders/(\d+)/cancel")
def cancel(ask: Ask, key: int) -> Answer:
    """Cancels an order, after asking."""
    row = ask.one("SELECT * FROM orders WHERE id = ?", key)
    if row is None or row["status"] == "cancelled":
        return missing()
    if row["status"] == "shipped":
        text = "<p>This order was shipped and can't be cancelled.</p>" + html.link(f"/orders/{key}", "Back")
        return Answer(f"Cancel order {key}", text)
    if not ask.posted:
        text = f"<p>Cancel order {key}? This can't be undone.</p>" + html.link(f"/orders/{key}", "Keep it")
        return Answer(f"Cancel order {key}", text + html.form(f"/orders/{key}/cancel", "", "Cancel order"))
    ask.db.execute("UPDATE orders SET status = 'cancelled' WHERE id = ?", (key,))
    return see_other(f"/orders/{key}", f"Order {key} was cancelled.")


@route("/orders/new")
def new(ask: Ask) -> Answer:
    """Places an order of one product for a contact."""
    wanted = (ask.form if ask.posted else ask.query).get("contact", "")
    people = [(str(key), name) for key, name in ask.all("SELECT id, name FROM contact ORDER BY name")]
    products = [
        (str(key), f"{name} ({html.money(price)})")
        for key, name, price in ask.all("SELECT id, name, price FROM product ORDER BY name")
    ]
    product, quantity = ask.form.get("product", ""), ask.form.get("quantity", "1")
    problems = []
    if ask.posted:
        if wanted not in dict(people):
            problems.append("Contact: choose one.")
        if product not in dict(products):
            problems.append("Product: choose one.")
        if not (quantity.isascii() and quantity.isdecimal() and 1 <= int(quantity[:4]) <= _MAX_QUANTITY):
            problems.append(f"Quantity: a number from 1 to {_MAX_QUANTITY}.")
        if not problems:
            return _place(ask, int(wanted), int(product), int(quantity))
    inner = (
        html.select("contact", "Contact", [("", "Choose"), *people], wanted)
        + html.select("product", "Product", [("", "Choose"), *products], product)
        + html.field("quantity", "Quantity", quantity, "number", f' min="1" max="{_MAX_QUANTITY}" required')
    )
    body = html.errors(problems) + html.form("/orders/new", inner, "Place order")
    return Answer("New order", body, 422 if problems else 200)


def _place(ask: Ask, contact: int, product: int, quantity: int) -> Answer:
    today = ask.all("SELECT today FROM setting")[0][0]
    price = ask.all("SELECT price FROM product WHERE id = ?", product)[0][0]
    key = ask.db.execute(
        "INSERT INTO orders (contact, placed, status, note) VALUES (?, ?, 'pending', '')", (contact, today)
    ).lastrowid
    ask.db.execute(
        "INSERT INTO line (orders, product, quantity, price) VALUES (?, ?, ?, ?)", (key, product, quantity, price)
    )
    return see_other(f"/orders/{key}", f"Order {key} was placed.")
