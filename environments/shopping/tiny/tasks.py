"""Tasks of ShoppingTiny-v0: a shelf of products of its own for every task."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentgym.core.errors import ConfigError
from agentgym.core.seeding import derive_seed
from agentgym.core.tasks import GeneratedTasks, Task
from agentgym.environments.shopping.catalog.generate import in_split

TYPES = ("mug", "lamp", "rug", "vase", "chair", "clock", "bowl", "shelf", "tray", "stool", "frame", "basket")
MATERIALS = ("steel", "glass", "oak", "clay", "wool", "brass", "stone", "cork")
COLORS = ("red", "blue", "green", "black", "white", "pink", "gray", "gold")
PRICES = tuple(range(10, 100, 10))
COLORS_EACH = 3
MAX_TRAPS = 2


@dataclass(frozen=True, slots=True)
class TinyProduct:
    """A product on the shelf."""

    type: str
    material: str
    price: int
    colors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be bought: a kind of thing of a material, in a color, for at most a price."""

    type: str
    material: str
    color: str
    cap: int

    def looks_right(self, product: TinyProduct) -> bool:
        """Whether a row of the results could be it; colors show only on the product's own page."""
        return product.type == self.type and product.material == self.material and product.price <= self.cap

    def fits(self, product: TinyProduct) -> bool:
        """Whether it can be bought as wished."""
        return self.looks_right(product) and self.color in product.colors


@dataclass(frozen=True, slots=True)
class Shelf:
    """A wish, and everything that is on sale."""

    wish: Wish
    products: tuple[TinyProduct, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "wish": [self.wish.type, self.wish.material, self.wish.color, self.wish.cap],
            "products": [[p.type, p.material, p.price, list(p.colors)] for p in self.products],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Shelf:
        """Inverse of ``to_dict``."""
        products = (TinyProduct(kind, material, price, tuple(c)) for kind, material, price, c in data["products"])
        return cls(Wish(*data["wish"]), tuple(products))


class TinyTasks(GeneratedTasks):
    """Shelves by number. No wish and no product occurs in two splits.

    Args:
        seed: Draws everything.
        traps: How many products look right in the results and lack the color, 0 to 2.
    """

    def __init__(self, seed: int, traps: int = 0) -> None:
        if not 0 <= traps <= MAX_TRAPS:
            raise ConfigError(f"traps must be 0 to {MAX_TRAPS}, got {traps}.")
        super().__init__(self._draw)
        self._seed = seed
        self._traps = traps

    def _draw(self, split: str, number: int) -> Task:
        rng = random.Random(derive_seed("tiny shelf", self._seed, split, number))
        shelf = draw_shelf(rng, split, self._traps)
        wish = shelf.wish
        data = shelf.to_dict()
        # the closer the cap to the cheapest price that breaks it, the easier it is to take the wrong row
        dearest = min((p.price - wish.cap for p in shelf.products if p.price > wish.cap), default=PRICES[-1])
        return Task(f"{split}/{number}", split, data, {"wish": data["wish"]}, difficulty=10 / max(dearest, 10))


def draw_shelf(rng: random.Random, split: str, traps: int) -> Shelf:
    """A shelf for one wish.

    One product fits. Of three more of its kind and material, ``traps`` look right in the results and lack the color,
    and the rest cost too much; the others are of another material or kind. A search for kind and material finds all
    four.
    """
    while True:
        wish = Wish(rng.choice(TYPES), rng.choice(MATERIALS), rng.choice(COLORS), rng.choice(PRICES[1:-1]))
        if in_split(split, _number(wish.type, wish.material, wish.color, wish.cap)):
            break
    affordable = [price for price in PRICES if price <= wish.cap]
    dear = [price for price in PRICES if price > wish.cap]
    other_colors = [color for color in COLORS if color != wish.color]
    products = [_product(rng, split, wish.type, wish.material, affordable, other_colors, wish.color)]
    for number in range(3):
        if number < traps:
            products.append(_product(rng, split, wish.type, wish.material, affordable, other_colors))
        else:
            products.append(_product(rng, split, wish.type, wish.material, dear, other_colors, wish.color))
    for _ in range(4):
        material = _another(rng, MATERIALS, wish.material)
        products.append(_product(rng, split, wish.type, material, PRICES, other_colors, wish.color))
    for _ in range(3):
        kind = _another(rng, TYPES, wish.type)
        products.append(_product(rng, split, kind, wish.material, PRICES, other_colors, wish.color))
    rng.shuffle(products)
    return Shelf(wish, tuple(products))


def _product(
    rng: random.Random,
    split: str,
    kind: str,
    material: str,
    prices: Sequence[int],
    other_colors: Sequence[str],
    color: str | None = None,
) -> TinyProduct:
    """A product of the split with some of ``other_colors``, and ``color`` where one is given."""
    while True:
        colors = rng.sample(other_colors, COLORS_EACH - (color is not None)) + ([] if color is None else [color])
        rng.shuffle(colors)
        found = TinyProduct(kind, material, rng.choice(prices), tuple(colors))
        if in_split(split, _number(kind, material, found.price, *colors)):
            return found


def _another(rng: random.Random, words: Sequence[str], word: str) -> str:
    return rng.choice([other for other in words if other != word])


def _number(*parts: str | int) -> int:
    return zlib.crc32(" ".join(map(str, parts)).encode())
