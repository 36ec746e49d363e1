"""Work in the shop's dashboard, as its clerk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Answer, Goal, Place, Want
from agentgym.environments.web.template import Draft, Template, World
from agentgym.environments.web.templates.shop_guide import CLERK_AT_WORK, PRODUCTS, ShopGuide

Notes = Mapping[str, Any]

_ORDERS = "SELECT * FROM order_order WHERE status = ? ORDER BY id"
_NOTES = ("Customer called, ring the bell twice", "Leave with the neighbour", "Gift, no invoice in the box")
_NEXT = {"Pending": ("Being processed", "Cancelled"), "Being processed": ("Shipped", "Cancelled")}
_REVIEWS = (
    "SELECT r.*, p.title AS product, u.first_name || ' ' || u.last_name AS author FROM reviews_productreview r"
    " JOIN catalogue_product p ON p.id = r.product_id JOIN auth_user u ON u.id = r.user_id"
)


def _draft(text: str, goal: Goal, notes: Notes) -> Draft:
    return Draft(f"You work in the dashboard of the shop. {text}", goal, notes, edits=CLERK_AT_WORK)


# ------------------------------------------------------------------ orders


def _status(world: World, rng: np.random.Generator) -> Draft:
    old = tuple(_NEXT)[int(rng.integers(2))]
    new = _NEXT[old][int(rng.integers(2))]
    row = world.one(rng, _ORDERS, old)
    said = f"Order status changed from '{old}' to '{new}'"
    goal = Goal(
        wants=(
            Want("order_order", "change", {"status": new}, row["id"]),
            Want("order_orderstatuschange", "add", {"order_id": row["id"], "old_status": old, "new_status": new}),
            Want("order_ordernote", "add", {"order_id": row["id"], "note_type": "System", "message": said}),
        ),
        route=(Place("/dashboard/orders/", {}), Place(f"/dashboard/orders/{row['number']}/", {})),
    )
    text = f"Set the status of order {row['number']} to '{new}'."
    return _draft(text, goal, {"number": row["number"], "form": {"New order status *": new}, "button": "Change status"})


def _note(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, "SELECT * FROM order_order ORDER BY id")
    words = _NOTES[int(rng.integers(len(_NOTES)))]
    values = {"order_id": row["id"], "message": words, "user_id": 2}
    goal = Goal(
        wants=(Want("order_ordernote", "add", values),),
        route=(Place("/dashboard/orders/", {}), Place(f"/dashboard/orders/{row['number']}/", {})),
    )
    text = f"Write the note '{words}' on order {row['number']}."
    return _draft(text, goal, {"number": row["number"], "form": {"message": words}, "button": "Save note"})


def _solve_order(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("order_ordernote"):
        return guide.answer("done")
    return guide.open_order(notes["number"]) or guide.fill_fields(notes["form"], notes["button"])


# ------------------------------------------------------------------ stock


def _price(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, PRODUCTS)
    price = int(rng.integers(4, 160)) + 0.25
    text = f"Set the price of the {row['title']} to ${price:.2f}."
    return _stock_draft(row, "price", price, f"{price:.2f}", text)


def _stock(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, PRODUCTS)
    count = row["num_in_stock"] + int(rng.integers(1, 60))
    text = f"A delivery of the {row['title']} has come: set the number in stock to {count}."
    return _stock_draft(row, "num_in_stock", count, str(count), text)


def _stock_draft(row: dict[str, Any], column: str, value: Any, written: str, text: str) -> Draft:
    goal = Goal(
        wants=(Want("partner_stockrecord", "change", {column: value}, row["id"]),),
        route=(Place("/dashboard/catalogue/", {}), Place(f"/dashboard/catalogue/products/{row['id']}/", {})),
    )
    form = {f"stockrecords-0-{column}": written}
    return _draft(text, goal, {"title": row["title"], "key": row["id"], "form": form})


def _solve_stock(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("partner_stockrecord"):
        return guide.answer("done")
    return guide.stocked(notes["title"], notes["key"]) or guide.fill_fields(notes["form"], "Save")


# ------------------------------------------------------------------ reviews and customers


def _judge(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, f"{_REVIEWS} WHERE r.status = 0 ORDER BY r.id")
    status = int(rng.integers(1, 3))
    goal = Goal(
        wants=(Want("reviews_productreview", "change", {"status": status}, row["id"]),),
        route=(Place("/dashboard/reviews/", {}), Place(f"/dashboard/reviews/{row['id']}/", {})),
    )
    word, past = (("Approve", "Approved"), ("Reject", "Rejected"))[status - 1]
    text = f"{word} the review '{row['title']}' that {row['author']} wrote about the {row['product']}."
    return _draft(text, goal, {"key": row["id"], "author": row["author"], "form": {"status": past}})


def _solve_judge(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("reviews_productreview"):
        return guide.answer("done")
    return guide.review_of(notes["author"], notes["key"], "") or guide.fill_fields(notes["form"], "Save")


def _remove(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, f"{_REVIEWS} ORDER BY r.id")
    goal = Goal(
        wants=(Want("reviews_productreview", "delete", {}, row["id"]),), route=(Place("/dashboard/reviews/", {}),)
    )
    text = f"Delete the review '{row['title']}' that {row['author']} wrote about the {row['product']}."
    return _draft(text, goal, {"key": row["id"], "author": row["author"]})


def _solve_remove(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("reviews_productreview"):
        return guide.answer("done")
    return guide.review_of(notes["author"], notes["key"], "delete/") or guide.click("button", "Delete") or guide.away()


def _customer(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(
        rng,
        "SELECT o.*, u.email FROM order_order o JOIN auth_user u ON u.id = o.user_id ORDER BY o.id",
    )
    goal = Goal(
        answer=Answer("text", row["email"]),
        route=(Place("/dashboard/orders/", {}), Place(f"/dashboard/orders/{row['number']}/", {})),
        evidence=(row["email"], f"Order #{row['number']}"),
        must_see=True,
    )
    text = f"What is the e-mail address of the customer who placed order {row['number']}? Answer with the address only."
    return _draft(text, goal, {"number": row["number"], "answer": row["email"]})


def _solve_customer(guide: ShopGuide, notes: Notes) -> Action:
    return guide.open_order(notes["number"]) or guide.answer(notes["answer"])


def _office(name: str, kind: str, difficulty: float, make: Any, solve: Any, held_out: bool = False) -> Template:
    return Template(f"office-{name}", kind, difficulty, make, solve, held_out, ("shop",), ShopGuide)


TEMPLATES = (
    _office("order-status", "edit", 0.5, _status, _solve_order),
    _office("order-note", "create", 0.5, _note, _solve_order),
    _office("price", "edit", 0.6, _price, _solve_stock),
    _office("stock", "edit", 0.6, _stock, _solve_stock, held_out=True),
    _office("judge-review", "edit", 0.7, _judge, _solve_judge),
    _office("delete-review", "delete", 0.6, _remove, _solve_remove),
    _office("customer", "look up", 0.4, _customer, _solve_customer),
)
