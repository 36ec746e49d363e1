"""Tasks of the address book that can't be done, and tasks where one has to ask first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal, Place, Want
from agentgym.environments.web.guide import Guide
from agentgym.environments.web.template import Draft, Template, World

Notes = Mapping[str, Any]

_STRANGERS = ("Quentin Ashdown", "Odette Farley", "Ursula Penhallow", "Leopold Winter", "Henrietta Stone")
_ORDERS = (
    "SELECT orders.*, name FROM orders JOIN contact ON contact.id = orders.contact WHERE status = ? ORDER BY orders.id"
)


def _stranger(world: World, rng: np.random.Generator) -> Draft:
    name = _STRANGERS[int(rng.integers(len(_STRANGERS)))]
    what = ("phone number", "e-mail address", "company")[int(rng.integers(3))]
    goal = Goal(
        infeasible="not_found", evidence=("No contact matches.",), must_see=True, route=(Place("/contacts", {}),)
    )
    return Draft(f"What is the {what} of {name}? Answer with the {what} only.", goal, {"name": name})


def _solve_stranger(guide: Guide, notes: Notes) -> Action:
    values = {"Search": notes["name"], "City": "Any", "Category": "Any"}
    shown = guide.listed("Contacts", "/contacts", values, {"q": notes["name"], "city": "", "category": ""})
    return shown or guide.report("not_found", f"there is no contact {notes['name']}.")


def _shipped(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, _ORDERS, "shipped")
    place = Place(f"/orders/{row['id']}/cancel", {})
    goal = Goal(
        infeasible="not_allowed", evidence=("This order was shipped and can't be cancelled.",), must_see=True,
        route=(Place(f"/orders/{row['id']}", {}), place),
    )  # fmt: skip
    return Draft(f"Cancel order {row['id']} of {row['name']}.", goal, {"name": row["name"], "id": row["id"]})


def _solve_shipped(guide: Guide, notes: Notes) -> Action:
    there = guide.cancelling(notes["id"], notes["name"])
    return there or guide.report("not_allowed", "the order was shipped.")


def _has_orders(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, "SELECT * FROM contact WHERE id IN (SELECT contact FROM orders) ORDER BY id")
    place = Place(f"/contacts/{row['id']}/delete", {})
    goal = Goal(
        infeasible="not_allowed", evidence=("orders and can't be deleted.",), must_see=True,
        route=(Place(f"/contacts/{row['id']}", {}), place),
    )  # fmt: skip
    return Draft(f"Delete the contact {row['name']}.", goal, {"name": row["name"], "id": row["id"]})


def _solve_has_orders(guide: Guide, notes: Notes) -> Action:
    there = guide.contact_page(notes["name"], notes["id"], "delete")
    return there or guide.report("not_allowed", "the contact has orders.")


def _ask_cancel(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, _ORDERS, ("pending", "paid")[int(rng.integers(2))])
    agrees = bool(rng.integers(2))
    wants = (Want("orders", "change", {"status": "cancelled"}, row["id"]),) if agrees else ()
    reply = "Yes, go ahead." if agrees else "No, leave it as it is, please."
    goal = Goal(
        wants=wants,
        confirm=reply,
        route=(Place(f"/orders/{row['id']}", {}),),
        visited=(Place(f"/orders/{row['id']}", {}),),
    )
    text = (
        f"I think that order {row['id']} of {row['name']} should be cancelled. Open it first; before you cancel it, "
        "ask me whether I am sure, and do what I say. Then answer done."
    )
    return Draft(text, goal, {"name": row["name"], "id": row["id"], "agrees": agrees})


def _solve_ask_cancel(guide: Guide, notes: Notes) -> Action:
    if guide.sent("orders", notes["id"]):
        return guide.answer("done")
    if not guide.asked:
        return guide.order(notes["id"], notes["name"]) or guide.answer(f"Shall I cancel order {notes['id']}?")
    if not notes["agrees"]:
        return guide.order(notes["id"], notes["name"]) or guide.answer("done")
    return guide.cancelling(notes["id"], notes["name"]) or guide.click("button", "Cancel order") or guide.away()


TEMPLATES = (
    Template("unknown-contact", "infeasible", 0.4, _stranger, _solve_stranger),
    Template("cancel-shipped", "infeasible", 0.5, _shipped, _solve_shipped),
    Template("delete-busy-contact", "infeasible", 0.5, _has_orders, _solve_has_orders, held_out=True),
    Template("ask-before-cancelling", "confirm", 0.6, _ask_cancel, _solve_ask_cancel),
)
