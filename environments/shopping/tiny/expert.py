"""Solves any task of ShoppingTiny-v0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.shopping.tiny.game import ShoppingTinyGame
from agentgym.environments.shopping.tiny.tasks import MATERIALS, TYPES


class TinyExpert:
    """Searches for kind and material, opens the rows that look right from the top, and buys the one with the color.

    It knows no more than the pages have shown, so that a model can learn to do the same.
    """

    def __init__(self, game: ShoppingTinyGame) -> None:
        self.game = game

    def act(self) -> Action:
        """See ``Expert.act``."""
        s, product = self.game.state, self.game.product
        wish = s.shelf.wish
        if product is None:
            row = self._next_row()
            return _click(str(row)) if row else Action("search", {"words": f"{wish.type} {wish.material}"})
        if not wish.fits(product):
            return Action("back")
        return Action("buy") if s.color == wish.color else _click(wish.color)

    def mistake(self, rng: np.random.Generator) -> Action:
        """See ``Expert.mistake``: half a search, a wrong row, a wrong color, buying too early."""
        s, product = self.game.state, self.game.product
        wish = s.shelf.wish
        if product is not None:
            return Action("buy") if rng.random() < 0.5 else _click(_pick(rng, product.colors))
        if s.rows:
            return _click(str(int(rng.integers(1, len(s.rows) + 1))))
        wrong = (f"{_pick(rng, TYPES)} {wish.material}", f"{wish.type} {_pick(rng, MATERIALS)}")
        return Action("search", {"words": _pick(rng, (wish.type, wish.material, *wrong))})

    def _next_row(self) -> int:
        """The first row that looks right and wasn't opened yet, else the row that fits; 0 where there is none."""
        s = self.game.state
        wish = s.shelf.wish
        shown = [(row, number, s.shelf.products[number]) for row, number in enumerate(s.rows, 1)]
        fresh = [row for row, number, product in shown if wish.looks_right(product) and number not in s.opened]
        left_by_mistake = [row for row, _, product in shown if wish.fits(product)]
        return next(iter(fresh + left_by_mistake), 0)


def _click(target: str) -> Action:
    return Action("click", {"target": target})


def _pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]
