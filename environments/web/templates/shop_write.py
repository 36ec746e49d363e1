"""Buying, and keeping the account of the shop; and what can't be done there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal, Place, Want
from agentgym.environments.web.template import Draft, Template, World
from agentgym.environments.web.templates.shop_guide import IN_STOCK, ShopGuide, product_path

Notes = Mapping[str, Any]

_BASKET = 1  # of the visitor
_ADDRESSES = "SELECT * FROM address_useraddress WHERE user_id = 1 ORDER BY id"
_LEFT_OUT = dict.fromkeys(("title", "line2", "line3", "state", "phone_number", "notes"), "")
_STREETS = ("Quarry Road", "Union Square", "Velvet Lane", "Tanner Alley", "Rose Court")
_TOWNS = ("Ashbourne", "Millford", "Oakdale", "Stanton", "Westlake")
_NAMES = (("Vera", "Lindqvist"), ("Simon", "Okafor"), ("Tessa", "Moreno"), ("Yusuf", "Arslan"))
_OPINIONS = (("Worth it", "I would buy it again."), ("So so", "It could be better."), ("Handy", "Used it every day."))
_NOTHING = ("Lavender Titanium Teapot", "Cherry Bronze Violin", "Lilac Rubber Scooter", "Beige Nylon Globe")


def _done(guide: ShopGuide) -> Action:
    return guide.answer("done")


# ------------------------------------------------------------------ the cart


def _add_to_cart(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, IN_STOCK)
    count = int(rng.integers(1, 4))
    goal = Goal(
        wants=(Want("basket_line", "add", {"product_id": row["id"], "quantity": count, "basket_id": _BASKET}),),
        route=(Place(product_path(row), {}),),
    )
    text = f"Put the {row['title']} into my cart: {count} piece{'s' if count > 1 else ''}."
    notes = {"title": row["title"], "path": product_path(row), "key": row["id"], "count": count}
    return Draft(text, goal, notes)


def _solve_add_to_cart(guide: ShopGuide, notes: Notes) -> Action:
    row = guide.added("basket_line")
    if row is None:
        there = guide.find_product(notes["title"], notes["path"])
        return there or guide.click("button", "Add to cart") or guide.away()
    if row["quantity"] == notes["count"]:
        return _done(guide)
    return (
        guide.cart() or guide.put("form-0-quantity", notes["count"]) or guide.click("button", "Update") or _done(guide)
    )


def _filled(world: World, rng: np.random.Generator, size: int) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Products for the cart, and the edits that put them there."""
    rows = world.rows(IN_STOCK)
    chosen = [rows[int(i)] for i in rng.choice(len(rows), size=size, replace=False)]
    now = "(SELECT datetime(now, 'unixepoch') FROM agentgym_world)"
    edits = tuple(
        "INSERT INTO basket_line (id, line_reference, quantity, price_currency, price_excl_tax, price_incl_tax,"
        " date_created, date_updated, basket_id, product_id, stockrecord_id) VALUES"
        f" ({i}, '{row['id']}_{row['id']}', 1, 'USD', {row['price']}, {row['price']}, {now}, {now}, {_BASKET},"
        f" {row['id']}, {row['id']})"
        for i, row in enumerate(chosen, 1)
    )
    return chosen, edits


def _take_out(world: World, rng: np.random.Generator) -> Draft:
    chosen, edits = _filled(world, rng, 3)
    place = int(rng.integers(3))
    goal = Goal(wants=(Want("basket_line", "delete", {}, place + 1),), route=(Place("/basket/", {}),))
    text = f"Take the {chosen[place]['title']} out of my cart and leave the rest in it."
    return Draft(text, goal, {"place": place}, edits={"shop": edits})


def _solve_take_out(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("basket_line"):
        return _done(guide)
    field = f"form-{notes['place']}-quantity"
    return guide.cart() or guide.put(field, 0) or guide.update(notes["place"]) or guide.away()


def _buy(world: World, rng: np.random.Generator) -> Draft:
    (row,), edits = _filled(world, rng, 1)
    address = world.one(rng, _ADDRESSES)
    goal = Goal(wants=_order_wants(row, address), route=tuple(Place(f"/checkout/{page}/", {}) for page in _STEPS))
    text = f"Order what is in my cart and have it shipped to {address['line1']}, {address['line4']}."
    return Draft(text, goal, {"line": address["line1"], "key": address["id"]}, edits={"shop": edits})


_STEPS = ("shipping-address", "preview")


def _order_wants(row: dict[str, Any], address: dict[str, Any]) -> tuple[Want, ...]:
    place = {key: address[key] for key in ("first_name", "last_name", "line1", "line4", "postcode")}
    return (
        Want("order_order", "add", {"user_id": 1, "total_incl_tax": row["price"], "status": "Pending"}),
        Want("order_line", "add", {"product_id": row["id"], "quantity": 1}),
        Want("order_shippingaddress", "add", place),
    )


def _solve_buy(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("order_order"):
        return _done(guide)
    step = guide.path.removeprefix("/checkout/").rstrip("/") if guide.path.startswith("/checkout/") else ""
    if step == "shipping-address":
        return guide.ship_to(notes["key"]) or guide.away()
    if step == "payment-details":
        return guide.click("link", "Continue") or guide.away()
    if step == "preview":
        if notes["line"] in "\n".join(guide.page.view.lines):
            return guide.click("button", "Place order") or guide.away()
        return guide.follow("/checkout/shipping-address/") or guide.away()
    return guide.cart() or guide.click("link", "Proceed to checkout") or guide.away()


# ------------------------------------------------------------------ the account


def _add_address(world: World, rng: np.random.Generator) -> Draft:
    first, last = _NAMES[int(rng.integers(len(_NAMES)))]
    line = f"{int(rng.integers(2, 99))} {_STREETS[int(rng.integers(len(_STREETS)))]}"
    town, code = _TOWNS[int(rng.integers(len(_TOWNS)))], str(int(rng.integers(10_000, 99_999)))
    values = {"first_name": first, "last_name": last, "line1": line, "line4": town, "postcode": code}
    goal = Goal(
        wants=(Want("address_useraddress", "add", {**values, **_LEFT_OUT, "country_id": "US", "user_id": 1}),),
        route=(Place("/accounts/addresses/", {}), Place("/accounts/addresses/add/", {})),
    )
    text = f"Add this address to my address book: {first} {last}, {line}, {town}, {code}, United States."
    form = {**values, "country": "United States"}
    return Draft(text, goal, {"form": form})


def _solve_add_address(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("address_useraddress"):
        return _done(guide)
    if guide.path == "/accounts/addresses/add/":
        return guide.fill_fields(notes["form"], "Save")
    return (
        guide.account("Address Book", "/accounts/addresses/")
        or guide.click("link", "Add a new address")
        or guide.away()
    )


def _move(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, _ADDRESSES)
    line = f"{int(rng.integers(2, 99))} {_STREETS[int(rng.integers(len(_STREETS)))]}"
    code = str(int(rng.integers(10_000, 99_999)))
    goal = Goal(
        wants=(Want("address_useraddress", "change", {"line1": line, "postcode": code}, row["id"]),),
        route=(Place("/accounts/addresses/", {}), Place(f"/accounts/addresses/{row['id']}/", {})),
    )
    text = (
        f"In my address book, change the address {row['line1']}, {row['line4']}: the first line becomes '{line}' and "
        f"the postcode {code}."
    )
    return Draft(text, goal, {"key": row["id"], "form": {"line1": line, "postcode": code}})


def _solve_move(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("address_useraddress"):
        return _done(guide)
    path = f"/accounts/addresses/{notes['key']}/"
    if guide.path == path:
        return guide.fill_fields(notes["form"], "Save")
    return guide.account("Address Book", "/accounts/addresses/") or guide.follow(path) or guide.away()


def _drop_address(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, _ADDRESSES)
    goal = Goal(
        wants=(Want("address_useraddress", "delete", {}, row["id"]),), route=(Place("/accounts/addresses/", {}),)
    )
    text = f"Delete the address {row['line1']}, {row['line4']} from my address book."
    return Draft(text, goal, {"key": row["id"]})


def _solve_drop_address(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("address_useraddress"):
        return _done(guide)
    path = f"/accounts/addresses/{notes['key']}/delete/"
    if guide.path == path:
        return guide.click("button", "Delete") or guide.away()
    return guide.account("Address Book", "/accounts/addresses/") or guide.follow(path) or guide.away()


def _rename(world: World, rng: np.random.Generator) -> Draft:
    first, last = _NAMES[int(rng.integers(len(_NAMES)))]
    goal = Goal(
        wants=(Want("auth_user", "change", {"first_name": first, "last_name": last}, 1),),
        route=(Place("/accounts/profile/", {}), Place("/accounts/profile/edit/", {})),
    )
    text = f"Change my name in my profile to {first} {last}."
    return Draft(text, goal, {"form": {"first_name": first, "last_name": last}})


def _solve_rename(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("auth_user"):
        return _done(guide)
    if guide.path == "/accounts/profile/edit/":
        return guide.fill_fields(notes["form"], "Save")
    return guide.account("Profile", "/accounts/profile/") or guide.click("link", "Edit profile") or guide.away()


# ------------------------------------------------------------------ opinions and wishes


def _wish(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, IN_STOCK)
    goal = Goal(
        wants=(Want("wishlists_line", "add", {"product_id": row["id"], "wishlist_id": 1, "quantity": 1}),),
        route=(Place(product_path(row), {}),),
    )
    text = f"Put the {row['title']} on my wish list Birthday."
    return Draft(text, goal, {"title": row["title"], "path": product_path(row)})


def _solve_wish(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("wishlists_line"):
        return _done(guide)
    there = guide.find_product(notes["title"], notes["path"])
    return there or guide.click("link", "Add to 'Birthday' wish list") or guide.away()


def _opinion(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, IN_STOCK)
    title, body = _OPINIONS[int(rng.integers(len(_OPINIONS)))]
    score = int(rng.integers(1, 6))
    values = {"product_id": row["id"], "user_id": 1, "score": score, "title": title, "body": body}
    goal = Goal(
        wants=(Want("reviews_productreview", "add", values),),
        route=(Place(product_path(row), {}), Place(f"{product_path(row)}reviews/add/", {})),
    )
    text = f"Review the {row['title']} for me: title '{title}', score {score}, text '{body}'."
    form = {"title": title, "score": str(score), "body": body}
    return Draft(text, goal, {"title": row["title"], "path": product_path(row), "form": form})


def _solve_opinion(guide: ShopGuide, notes: Notes) -> Action:
    if guide.sent("reviews_productreview"):
        return _done(guide)
    if guide.path == f"{notes['path']}reviews/add/":
        return guide.fill_fields(notes["form"], "Save review")
    return guide.find_product(notes["title"], notes["path"]) or guide.follow("/reviews/add/#addreview") or guide.away()


# ------------------------------------------------------------------ what can't be done, and what needs a word first


def _no_such(world: World, rng: np.random.Generator) -> Draft:
    title = _NOTHING[int(rng.integers(len(_NOTHING)))]
    goal = Goal(
        infeasible="not_found", evidence=("Found 0 results.",), must_see=True,
        route=(Place("/search/", {"q": title}),),
    )  # fmt: skip
    return Draft(f"Put the {title} into my cart.", goal, {"title": title})


def _solve_no_such(guide: ShopGuide, notes: Notes) -> Action:
    if guide.path == "/search/" and guide.query.get("q") == notes["title"]:
        return guide.report("not_found", f"the shop has no {notes['title']}.")
    return guide.find_product(notes["title"], "-") or guide.away()


def _not_mine(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, IN_STOCK)
    price = int(rng.integers(5, 150))
    goal = Goal(
        infeasible="not_allowed", evidence=("403 Forbidden",), must_see=True,
    )  # fmt: skip
    text = (
        f"Set the price of the {row['title']} to ${price}.00. Prices are set in the dashboard at "
        "http://shop.test/dashboard/catalogue/."
    )
    return Draft(text, goal, {})


def _solve_not_mine(guide: ShopGuide, notes: Notes) -> Action:
    if "403 Forbidden" in guide.seen:
        return guide.report("not_allowed", "the dashboard is closed to customers.")
    return Action("goto", {"url": f"{guide.home}dashboard/catalogue/"})


def _ask_buy(world: World, rng: np.random.Generator) -> Draft:
    (row,), edits = _filled(world, rng, 1)
    address = world.one(rng, _ADDRESSES)
    agrees = bool(rng.integers(2))
    goal = Goal(
        wants=_order_wants(row, address) if agrees else (),
        confirm="Yes, order it." if agrees else "No, don't order it.",
        route=(Place("/basket/", {}),),
        visited=(Place("/basket/", {}),),
    )
    text = (
        f"Look at what is in my cart and tell me in a question what you would order. If I agree, order it to "
        f"{address['line1']}, {address['line4']}; otherwise leave it in the cart. Then answer done."
    )
    notes = {"line": address["line1"], "key": address["id"], "title": row["title"], "agrees": agrees}
    return Draft(text, goal, notes, edits={"shop": edits})


def _solve_ask_buy(guide: ShopGuide, notes: Notes) -> Action:
    if not guide.asked:
        return guide.cart() or guide.answer(f"Shall I order the {notes['title']}?")
    return _solve_buy(guide, notes) if notes["agrees"] else _done(guide)


def _shop(name: str, kind: str, difficulty: float, make: Any, solve: Any, held_out: bool = False) -> Template:
    return Template(f"shop-{name}", kind, difficulty, make, solve, held_out, ("shop",), ShopGuide)


TEMPLATES = (
    _shop("add-to-cart", "create", 0.4, _add_to_cart, _solve_add_to_cart),
    _shop("take-out", "delete", 0.4, _take_out, _solve_take_out),
    _shop("buy", "create", 0.7, _buy, _solve_buy),
    _shop("add-address", "create", 0.6, _add_address, _solve_add_address),
    _shop("move", "edit", 0.5, _move, _solve_move),
    _shop("drop-address", "delete", 0.4, _drop_address, _solve_drop_address),
    _shop("rename", "edit", 0.4, _rename, _solve_rename, held_out=True),
    _shop("wish", "create", 0.3, _wish, _solve_wish),
    _shop("opinion", "create", 0.5, _opinion, _solve_opinion),
    _shop("no-such-product", "infeasible", 0.4, _no_such, _solve_no_such),
    _shop("closed-office", "infeasible", 0.4, _not_mine, _solve_not_mine),
    _shop("ask-before-buying", "confirm", 0.8, _ask_buy, _solve_ask_buy),
)
