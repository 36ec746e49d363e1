"""Looking up, comparing and filtering in the shop."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Answer, Goal, Place
from agentgym.environments.web.template import Draft, Template, World
from agentgym.environments.web.templates.shop_guide import PRODUCTS, ShopGuide, dollars, product_path

Notes = Mapping[str, Any]
_MINE = "SELECT * FROM order_order WHERE user_id = 1 ORDER BY id"


# ------------------------------------------------------------------ one product


def _fact(fact: Callable[[dict[str, Any]], tuple[str, Answer, str]]) -> Callable[[World, np.random.Generator], Draft]:
    """Draws a question about one product; ``fact`` gives question, answer and where it is read."""

    def make(world: World, rng: np.random.Generator) -> Draft:
        row = world.one(rng, PRODUCTS)
        question, answer, seen = fact(row)
        goal = Goal(answer=answer, route=(Place(product_path(row), {}),), evidence=(row["upc"], seen), must_see=True)
        said = dollars(row["price"]) if answer.kind == "money" else answer.value
        return Draft(question, goal, {"title": row["title"], "path": product_path(row), "answer": said})

    return make


def _price(row: dict[str, Any]) -> tuple[str, Answer, str]:
    text = f"What does the {row['title']} cost? Answer with the price only."
    return text, Answer("money", round(row["price"] * 100)), dollars(row["price"])


def _warranty(row: dict[str, Any]) -> tuple[str, Answer, str]:
    years = re.findall(r"Warranty (\d+)", row["description"])[0]
    text = f"For how many years is there a warranty on the {row['title']}? Answer with the number only."
    return text, Answer("number", int(years)), f"Warranty {years} years"


def _left(row: dict[str, Any]) -> tuple[str, Answer, str]:
    text = f"How many pieces of the {row['title']} are available? Answer with the number only (0 for none)."
    seen = f"({row['num_in_stock']} available)" if row["num_in_stock"] else "Unavailable"
    return text, Answer("number", row["num_in_stock"]), seen


def _read(guide: ShopGuide, notes: Notes) -> Action:
    return guide.find_product(notes["title"], notes["path"]) or guide.answer(notes["answer"])


def _review(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(
        rng,
        "SELECT r.title AS words, u.first_name || ' ' || u.last_name AS author, p.* FROM reviews_productreview r"
        " JOIN auth_user u ON u.id = r.user_id JOIN catalogue_product p ON p.id = r.product_id WHERE r.status = 1"
        " ORDER BY r.id",
    )
    goal = Goal(
        answer=Answer("text", row["words"]),
        route=(Place(product_path(row), {}),),
        evidence=(row["author"], row["words"], row["upc"]),
        must_see=True,
    )
    text = f"Which title has {row['author']}'s review of the {row['title']}? Answer with the title of the review only."
    notes = {"title": row["title"], "path": product_path(row), "seen": goal.evidence, "answer": row["words"]}
    return Draft(text, goal, notes)


def _solve_review(guide: ShopGuide, notes: Notes) -> Action:
    if set(notes["seen"]) <= guide.seen:
        return guide.answer(notes["answer"])
    # The page of a product has the first reviews only.
    return guide.find_product(notes["title"], notes["path"]) or guide.click("link", "See all reviews") or guide.away()


# ------------------------------------------------------------------ several


def _cheaper(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(PRODUCTS)
    one, two = (rows[int(i)] for i in rng.choice(len(rows), size=2, replace=False))
    best = min(one, two, key=lambda row: row["price"])
    goal = Goal(
        answer=Answer("text", best["upc"]),
        route=(Place(product_path(one), {}), Place(product_path(two), {})),
        evidence=(dollars(one["price"]), dollars(two["price"]), best["upc"]),
        must_see=True,
    )
    text = f"Which costs less, the {one['title']} or the {two['title']}? Answer with the UPC of that product only."
    notes = {"pages": [(row["title"], product_path(row), row["upc"]) for row in (one, two)],
             "prices": [dollars(one["price"]), dollars(two["price"])], "best": best["upc"]}  # fmt: skip
    return Draft(text, goal, notes)


def _solve_cheaper(guide: ShopGuide, notes: Notes) -> Action:
    for (title, path, code), price in zip(notes["pages"], notes["prices"], strict=True):
        if price not in guide.seen or (code == notes["best"] and code not in guide.seen):
            return guide.find_product(title, path) or guide.away()
    return guide.answer(notes["best"])


def _cheapest(world: World, rng: np.random.Generator) -> Draft:
    shelf = world.one(
        rng,
        "SELECT c.id, c.name, c.slug, up.name AS aisle, up.slug AS above FROM catalogue_category c"
        " JOIN catalogue_category up ON up.path = substr(c.path, 1, 4) WHERE c.depth = 2 ORDER BY c.id",
    )
    dear = bool(rng.integers(2))
    shelved = "JOIN catalogue_productcategory k ON k.product_id = p.id WHERE k.category_id = ? ORDER"
    rows = world.rows(PRODUCTS.replace("ORDER", shelved), shelf["id"])
    best = max(rows, key=lambda row: row["price"] if dear else -row["price"])
    path = f"/catalogue/category/{shelf['above']}/{shelf['slug']}_{shelf['id']}/"
    order = ("Price high to low", "price-desc") if dear else ("Price low to high", "price-asc")
    goal = Goal(
        answer=Answer("text", best["title"]),
        route=(Place(path, {}), Place(path, {"sort_by": order[1]})),
        evidence=(best["title"], dollars(best["price"])),
        must_see=True,
    )
    text = (
        f"Which is the {'most expensive' if dear else 'cheapest'} product in the category {shelf['name']} "
        f"(below {shelf['aisle']})? Answer with its full name only."
    )
    return Draft(text, goal, {"path": path, "name": shelf["name"], "order": order, "answer": best["title"]})


def _solve_cheapest(guide: ShopGuide, notes: Notes) -> Action:
    label, key = notes["order"]
    if guide.path != notes["path"]:
        return guide.follow(notes["path"]) or guide.follow("/catalogue/") or guide.away()
    if guide.query.get("sort_by") != key or guide.query.get("q") or guide.query.get("page", "1") != "1":
        return guide.enter("Sort by", label) or guide.click("button", "Sort") or guide.away()
    return guide.answer(notes["answer"])


# ------------------------------------------------------------------ the account


def _status(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, _MINE)
    path = f"/accounts/orders/{row['number']}/"
    goal = Goal(
        answer=Answer("text", row["status"]),
        route=(Place("/accounts/orders/", {}), Place(path, {})),
        visited=(Place(path, {}),),
        evidence=(f"Order #{row['number']}", row["status"]),
        must_see=True,
    )
    text = f"Which status has my order {row['number']}? Answer with the status only."
    return Draft(text, goal, {"path": path, "number": row["number"], "answer": row["status"]})


def _solve_status(guide: ShopGuide, notes: Notes) -> Action:
    if guide.path == notes["path"]:
        return guide.answer(notes["answer"])
    there = guide.account("Order History", "/accounts/orders/")
    return there or guide.click("link", notes["number"]) or guide.away()


def _dearest(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(_MINE)
    best = max(rows, key=lambda row: row["total_incl_tax"])
    goal = Goal(
        answer=Answer("number", int(best["number"])),
        route=(Place("/accounts/orders/", {}),),
        evidence=tuple(dollars(row["total_incl_tax"]) for row in rows),
        must_see=True,
    )
    text = "Which of my orders has the highest total? Answer with its order number only."
    return Draft(text, goal, {"answer": best["number"]})


def _solve_dearest(guide: ShopGuide, notes: Notes) -> Action:
    return guide.account("Order History", "/accounts/orders/") or guide.answer(notes["answer"])


def _shop(name: str, kind: str, difficulty: float, make: Any, solve: Any, held_out: bool = False) -> Template:
    return Template(f"shop-{name}", kind, difficulty, make, solve, held_out, ("shop",), ShopGuide)


TEMPLATES = (
    _shop("price", "look up", 0.3, _fact(_price), _read),
    _shop("warranty", "look up", 0.3, _fact(_warranty), _read),
    _shop("available", "look up", 0.3, _fact(_left), _read, held_out=True),
    _shop("review", "look up", 0.4, _review, _solve_review),
    _shop("cheaper", "compare", 0.5, _cheaper, _solve_cheaper),
    _shop("extreme-price", "navigate", 0.6, _cheapest, _solve_cheapest),
    _shop("order-status", "look up", 0.4, _status, _solve_status),
    _shop("largest-order", "compare", 0.4, _dearest, _solve_dearest),
)
