"""The catalogue."""

from __future__ import annotations

import re

from agentgym.environments.web.sites.book.app import route
from agentgym.environments.web.sites.kit import html
from agentgym.environments.web.sites.kit.app import Answer, Ask, missing, see_other

SORTS = {"name": "name", "price": "price", "stock": "stock DESC"}


@route("/products")
def products(ask: Ask) -> Answer:
    """All products."""
    sort = ask.query.get("sort", "name")
    found = ask.all(f"SELECT id, name, sku, price, stock FROM product ORDER BY {SORTS.get(sort, 'name')}, id")
    rows = [
        (html.link(f"/products/{key}", name), sku, html.money(price), str(stock))
        for key, name, sku, price, stock in found
    ]
    choice = html.select("sort", "Sort by", [(key, key.capitalize()) for key in SORTS], sort)
    form = html.form("/products", choice, "Show", method="get")
    return Answer("Products", form + html.table(("Name", "Number", "Price", "In stock"), rows, "None."))


@route(r"/products/(\d+)")
def product(ask: Ask, key: int) -> Answer:
    """One product; price and stock can be changed."""
    row = ask.one("SELECT * FROM product WHERE id = ?", key)
    if row is None:
        return missing()
    price, stock, problems = f"{row['price'] / 100:.2f}", str(row["stock"]), []
    if ask.posted:
        price, stock = ask.form.get("price", "").strip(), ask.form.get("stock", "").strip()
        if not re.fullmatch(r"\d{1,6}(\.\d{1,2})?", price):
            problems.append("Price: a number like 12.50.")
        if not re.fullmatch(r"\d{1,6}", stock):
            problems.append("In stock: a whole number.")
        if not problems:
            values = (round(float(price) * 100), int(stock), key)
            ask.db.execute("UPDATE product SET price = ?, stock = ? WHERE id = ?", values)
            return see_other(f"/products/{key}", "Product saved.")
    facts = html.facts([("Number", row["sku"]), ("Price", html.money(row["price"])), ("In stock", str(row["stock"]))])
    inner = html.field("price", "Price", price) + html.field("stock", "In stock", stock, "number", ' min="0"')
    body = html.errors(problems) + facts + html.form(f"/products/{key}", inner, "Save product")
    return Answer(row["name"], body, 422 if problems else 200)
