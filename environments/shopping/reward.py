"""The WebShop reward of a purchase, as the official environment computes it, and a strict variant.

Source: Yao et al. 2022, "WebShop", https://arxiv.org/abs/2207.01206, section 3, and the released
``engine/goal.py``, whose behaviour (not the paper's wording) is reproduced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentgym.core.errors import ConfigError
from agentgym.environments.shopping.matching import MATCH_ABOVE, normalize_color, token_set_ratio
from agentgym.environments.shopping.nouns import title_nouns

CATEGORY_SEPARATOR = "›"
_NO_NOUNS_SCORE = 0.2

GoalOption = str | tuple[str, str]
"""An option that a goal asks for: a value, or a (name, value) pair."""


def webshop_reward(
    product: Mapping[str, Any],
    goal: Mapping[str, Any],
    price: float,
    options: Mapping[str, str],
    *,
    nouns_product: Sequence[str] | None = None,
    nouns_goal: Sequence[str] | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """Reward of buying ``product`` at ``price`` with ``options`` selected, when ``goal`` was asked for.

    ``R = r_type · (#attributes + #options + [price ≤ U]) / (|A| + |O| + 1)`` over the goal's attributes A, options O
    and price cap U.

    Args:
        product: Official keys ``name``, ``query``, ``product_category``, ``Attributes``, ``Title``, ``BulletPoints``,
            ``Description``.
        goal: Official keys ``name``, ``query``, ``product_category``, ``attributes``, ``goal_options`` (list of values
            or dict of name to value) and ``price_upper``.
        price: In dollars.
        options: Selected option name to value.
        nouns_product: Nouns of the product's name; by default ``title_nouns`` decides.
        nouns_goal: Nouns of the goal's name, duplicates kept; by default ``title_nouns`` decides.
        strict: Compare whole attributes and whole option values instead of fuzzy token sets, and let one selected
            value satisfy one goal option only. Without it "large" passes for "x-large" and "pack of 6" for
            "pack of 12", as in the official environment.

    Returns:
        ``reward``, then the official breakdown: ``r_type``, ``r_att``, ``w_att``, ``query_match``,
        ``category_match``, ``title_score``, ``r_option`` and ``w_option`` (only where the goal has options),
        ``r_price``, ``w_price``.

    Raises:
        ConfigError: ``price_upper`` is not above 0, or the goal has no attributes.
    """
    attributes = goal["attributes"]
    if not attributes:
        raise ConfigError("A goal needs at least one attribute, got none.")
    if not goal["price_upper"] > 0:
        raise ConfigError(f"A goal's price_upper must be above 0 dollars, got {goal['price_upper']!r}.")
    wanted: list[GoalOption] = _goal_options(goal["goal_options"])
    n_terms = len(attributes) + len(wanted) + 1

    kind = type_match(
        product,
        goal,
        title_nouns(product["name"]) if nouns_product is None else nouns_product,
        title_nouns(goal["name"]) if nouns_goal is None else nouns_goal,
    )
    n_attributes = sum(_has_attribute(product, attribute, strict=strict) for attribute in attributes)
    n_options = _strict_options(options, wanted) if strict else _fuzzy_options(options.values(), wanted)
    r_price = price <= goal["price_upper"]

    result: dict[str, Any] = {
        "reward": (n_attributes + n_options + r_price) / n_terms * kind["r_type"],
        "r_type": kind["r_type"],
        "r_att": n_attributes / len(attributes),
        "w_att": len(attributes) / n_terms,
        "query_match": kind["query_match"],
        "category_match": kind["category_match"],
        "title_score": kind["title_score"],
    }
    if wanted:
        result["r_option"] = n_options / len(wanted)
        result["w_option"] = len(wanted) / n_terms
    result["r_price"] = r_price
    result["w_price"] = 1 / n_terms
    return result


def type_match(
    product: Mapping[str, Any], goal: Mapping[str, Any], nouns_product: Sequence[str], nouns_goal: Sequence[str]
) -> dict[str, Any]:
    """Whether the product is the kind of thing that was asked for.

    The share of the goal's nouns that the product's name has decides; below 0.1 it overrides matching queries and
    categories. The numerator is a set, the denominator counts duplicates.

    Returns:
        ``r_type`` (0, 0.1, 0.5 or 1), ``query_match``, ``category_match``, ``title_score``.
    """
    query_match = product["query"] == goal["query"]
    shared_categories = _categories(product["product_category"]) & _categories(goal["product_category"])
    category_match = len(shared_categories) >= 2
    shared_nouns = len(set(nouns_product) & set(nouns_goal))
    title_score = shared_nouns / len(nouns_goal) if nouns_goal else _NO_NOUNS_SCORE
    if title_score == 0.0:
        r_type = 0.0
    elif title_score < 0.1:
        r_type = 0.1
    else:
        r_type = 1.0 if query_match or category_match or title_score > 0.2 else 0.5
    return {
        "r_type": r_type,
        "query_match": query_match,
        "category_match": category_match,
        "title_score": title_score,
    }


def _categories(path: str) -> set[str]:
    return {part.strip() for part in path.split(CATEGORY_SEPARATOR)}


def _goal_options(options: Mapping[str, str] | Sequence[str]) -> list[GoalOption]:
    return list(options.items()) if isinstance(options, Mapping) else list(options)


def _has_attribute(product: Mapping[str, Any], attribute: str, *, strict: bool) -> bool:
    texts = (product["Title"], " ".join(product["BulletPoints"]), product["Description"])
    if strict:
        wanted = _plain(attribute)
        if any(_plain(own) == wanted for own in product["Attributes"]):
            return True
        phrase = re.compile(rf"(?<!\w){re.escape(wanted)}(?!\w)")
        return any(phrase.search(_plain(text)) for text in texts)
    if any(token_set_ratio(own, attribute) > MATCH_ABOVE for own in product["Attributes"]):
        return True
    return any(attribute in text.lower() for text in texts)


def _fuzzy_options(selected: Iterable[str], wanted: Sequence[GoalOption]) -> int:
    values = [normalize_color(value) for value in selected]
    goals = [normalize_color(option) for option in wanted]
    return sum(any(token_set_ratio(value, goal) > MATCH_ABOVE for value in values) for goal in goals)


def _strict_options(selected: Mapping[str, str], wanted: Sequence[GoalOption]) -> int:
    left = [(_plain(name), _plain(value)) for name, value in selected.items()]
    matched = 0
    for option in wanted:
        name, value = (None, option) if isinstance(option, str) else option
        found = next((pair for pair in left if pair[1] == _plain(value) and name in (None, pair[0])), None)
        if found is not None:
            left.remove(found)
            matched += 1
    return matched


def _plain(text: str) -> str:
    """Case, runs of blanks and hyphens don't matter; words and numbers do."""
    return " ".join(re.split(r"[\s-]+", text.lower().strip()))
