"""Solves any task of Shopping-v0."""

from __future__ import annotations

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.shopping.catalog.vocabulary import families
from agentgym.environments.shopping.goals import ROWS_PER_PAGE
from agentgym.environments.shopping.shop import pages
from agentgym.environments.shopping.shop.game import Place, ShoppingGame


class ShoppingExpert:
    """Searches with the goal's own words, opens the first product that fits, selects the options and buys.

    It knows which products fit; every word that it searches for could be had from the instruction.
    """

    def __init__(self, game: ShoppingGame) -> None:
        self.game = game

    def act(self) -> Action:
        """See ``Expert.act``."""
        state, product = self.game.state, self.game.product
        if state.place is Place.SEARCH:
            return _search(state.goal.query())
        if product is None:
            return _click(self._from_results())
        if state.place is Place.DETAIL or not state.goal.fits(product):
            return _click(pages.PREV)
        missing = [value for name, value in state.goal.options.items() if state.options.get(name) != value]
        return _click(missing[0] if missing else pages.BUY)

    def mistake(self, rng: np.random.Generator) -> Action:
        """See ``Expert.mistake``: poor searches, wrong products, wrong options, buying too early."""
        state, product = self.game.state, self.game.product
        if state.place is Place.SEARCH:
            kinds = [state.goal.type, families()[int(rng.integers(len(families())))].type]
            return _search(kinds[int(rng.integers(2))])
        names = self.game.clickable()
        if product is not None and state.place is Place.ITEM:
            values = [value for values in product.options.values() for value in values]
            names = [pages.BUY, pages.PREV, "features", values[int(rng.integers(len(values)))]]
        elif product is None and self.game.shown and rng.random() < 0.7:
            names = [self.game.catalogue.row(position).asin for position in self.game.shown]
        return _click(names[int(rng.integers(len(names)))])

    def _from_results(self) -> str:
        game, state = self.game, self.game.state
        for position in game.shown:
            if state.goal.fits(game.catalogue.product(position)):
                return game.catalogue.row(position).asin
        if state.target not in state.results:
            return pages.BACK
        return pages.NEXT if state.results.index(state.target) >= state.page * ROWS_PER_PAGE else pages.PREV


def _search(query: str) -> Action:
    return Action("search", {"query": query})


def _click(target: str) -> Action:
    return Action("click", {"target": target})
