"""What Shopping-v0 pays for."""

from __future__ import annotations

from collections.abc import Mapping

from agentgym.core.rewards import (
    EXECUTABLE,
    FORMAT,
    TURN_COST,
    Component,
    Condition,
    Level,
    RewardScheme,
    accumulate,
    hierarchy,
)
from agentgym.environments.shopping.goals import Goal
from agentgym.environments.shopping.product import Product

PROGRESS = Component(
    "progress", "process", -1.0, 1.0, "Change of the potential: how much of the goal the open page already fulfils."
)
MATCHES = (
    Component("match_type", "process", 0.0, 1.0, "At the purchase: 1 when it is the right kind of thing."),
    Component("match_attributes", "process", 0.0, 1.0, "At the purchase: share of the wanted attributes that it has."),
    Component("match_options", "process", 0.0, 1.0, "At the purchase: share of the wanted options that are selected."),
    Component("match_price", "process", 0.0, 1.0, "At the purchase: 1 when it costs at most the price cap."),
)
OUTCOME = Component("outcome", "outcome", 0.0, 1.0, "At the purchase: 1 when all four matches are 1, else 0.")

COMPONENTS = (FORMAT, EXECUTABLE, PROGRESS, *MATCHES, OUTCOME, TURN_COST)

_MATCH_NAMES = tuple(component.name for component in MATCHES)

SCHEMES: Mapping[str, RewardScheme] = {
    # Costs are gated too: otherwise buying anything at once would beat looking for the right thing and failing.
    "gated": RewardScheme(
        "gated",
        {"outcome": 1.0, "progress": 0.2, "turn_cost": 0.01},
        (accumulate(("progress", "turn_cost"), on="outcome", at_least=1.0, name="bought the right thing"),),
    ),
    "outcome": RewardScheme("outcome", {"outcome": 1.0}),
    # A turn that is understood and can be done still costs 0.01, so that turns can't be farmed.
    "dense": RewardScheme(
        "dense",
        {
            "outcome": 1.0,
            "progress": 0.5,
            **dict.fromkeys(_MATCH_NAMES, 0.1),
            "format": 0.01,
            "executable": 0.02,
            "turn_cost": 0.04,
        },
    ),
    "hierarchical": RewardScheme(
        "hierarchical",
        dict.fromkeys(_MATCH_NAMES, 0.25),
        hierarchy([Level((name,), (Condition(name, 1.0),)) for name in _MATCH_NAMES]),
    ),
}

SEEN = 0.1
"""Potential of a results page that lists the goal's product."""
OPENED = 0.2
"""Potential of an open product of which nothing fits."""


def matches(goal: Goal, product: Product, options: Mapping[str, str]) -> dict[str, float]:
    """How well the product with the selected options fits: ``match_*``, each 0 to 1. Whole values are compared."""
    n_attributes = sum(attribute in product.attributes for attribute in goal.attributes)
    n_options = sum(options.get(name) == value for name, value in goal.options.items())
    return {
        "match_type": float(product.query == goal.type),
        "match_attributes": n_attributes / len(goal.attributes),
        "match_options": n_options / len(goal.options),
        "match_price": float(product.price <= goal.price_cap),
    }


def potential(goal: Goal, product: Product | None, options: Mapping[str, str], *, listed: bool) -> float:
    """Potential of a page, 0 to 1, without history.

    0 for a page without the goal's product, ``SEEN`` where the results list it, and on a product's pages ``OPENED``
    plus the fulfilled share of the wishes (nothing for the wrong kind of thing). 1 means: buy now.
    """
    if product is None:
        return SEEN if listed else 0.0
    fit = matches(goal, product, options)
    wishes = len(goal.attributes) + len(goal.options) + 1
    fulfilled = (
        fit["match_attributes"] * len(goal.attributes) + fit["match_options"] * len(goal.options) + fit["match_price"]
    )
    return OPENED + (1.0 - OPENED) * fit["match_type"] * (fulfilled / wishes)


def succeeded(fit: Mapping[str, float]) -> bool:
    """Whether all four matches are full."""
    return all(fit[name] == 1.0 for name in _MATCH_NAMES)
