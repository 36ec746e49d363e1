"""Plays WebShop-v0 for the goal's own product."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.shopping.matching import MATCH_ABOVE, normalize_color, token_set_ratio
from agentgym.environments.shopping.product import Product
from agentgym.environments.shopping.webshop.game import WebShopGame
from agentgym.environments.shopping.webshop.site import PRODUCT_WINDOW, Place


class WebShopExpert:
    """Searches for the goal's product, opens it, selects the wanted options and buys.

    It earns the whole reward wherever the goal's own product can; goals of the official files may ask for options that
    their product doesn't have.
    """

    def __init__(self, game: WebShopGame) -> None:
        self.game = game

    def act(self) -> Action:
        """See ``Expert.act``."""
        visit, goal = self.game.state.visit, self.game.state.goal
        catalogue = self.game.site.catalogue
        target = catalogue.position(goal["asin"])
        if visit.place is Place.INDEX:
            return _search(self._queries()[0])
        if visit.place is Place.RESULTS:
            if target is None or target not in visit.results:
                return _search(self._next_query())
            page = list(visit.results).index(target) // PRODUCT_WINDOW + 1
            if page == visit.page:
                return _click(goal["asin"].lower())
            return _click("next >" if page > visit.page else "< prev")
        if visit.item != target:
            return _click("back to search")
        if visit.place is Place.SUB_PAGE:
            return _click("< prev")
        for name, value in wanted_options(self.game.site.product(visit), goal["goal_options"]).items():
            if visit.options.get(name) != value:
                return _click(value)
        return _click("buy now")

    def mistake(self, rng: np.random.Generator) -> Action:
        """See ``Expert.mistake``: poor searches, and clicks on anything that the page has."""
        visit = self.game.state.visit
        if visit.place is Place.INDEX:
            return _search(self.game.state.goal["query"])
        names = self.game.site.clickables(visit)
        return _click(names[int(rng.integers(len(names)))])

    def _queries(self) -> list[str]:
        """Searches from the most natural to the surest."""
        goal = self.game.state.goal
        options = goal["goal_options"]
        values = options.values() if isinstance(options, Mapping) else options
        words = " ".join((goal["query"], *goal["attributes"], *values))
        return [words.lower(), goal["name"].lower(), f"<q> {goal['query']}"]

    def _next_query(self) -> str:
        queries = self._queries()
        last = " ".join(self.game.state.visit.keywords)
        return queries[(queries.index(last) + 1) % len(queries)] if last in queries else queries[0]


def wanted_options(product: Product, wanted: Mapping[str, str] | list[str]) -> dict[str, str]:
    """Option name to value: for every wanted option the product's value that the reward takes for it, best first."""
    chosen: dict[str, str] = {}
    items = wanted.items() if isinstance(wanted, Mapping) else [(None, value) for value in wanted]
    for wanted_name, wanted_value in items:
        best: tuple[int, str, str] | None = None
        for name, values in product.options.items():
            if name in chosen or wanted_name not in (None, name):
                continue
            for value in values:
                ratio = 101 if value == wanted_value else _ratio(value, wanted_value)
                if ratio > MATCH_ABOVE and (best is None or ratio > best[0]):
                    best = ratio, name, value
        if best is not None:
            chosen[best[1]] = best[2]
    return chosen


def _ratio(value: str, wanted: str) -> int:
    return token_set_ratio(normalize_color(value), normalize_color(wanted))


def _search(keywords: str) -> Action:
    return Action("search", {"keywords": keywords})


def _click(value: str) -> Action:
    return Action("click", {"value": value})
