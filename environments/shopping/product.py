"""A product, and what a catalogue of products can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class Product(NamedTuple):
    """One product. Prices are in dollars; options map a lower-cased name to its values, in page order."""

    asin: str
    """Ten characters that name the product on pages."""
    title: str
    price: float
    """What it costs."""
    price_tag: str
    """How the price is shown. Official products with a price range show the range."""
    query: str
    """The kind of thing it is, in a few lower-cased words ("travel mug")."""
    category: str
    """Department."""
    product_category: str
    """Path of categories, joined by " › "."""
    description: str
    bullets: tuple[str, ...]
    attributes: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]

    def official(self) -> dict[str, Any]:
        """The product under the official keys, as ``webshop_reward`` reads it."""
        return {
            "asin": self.asin,
            "name": self.title,
            "Title": self.title,
            "query": self.query,
            "category": self.category,
            "product_category": self.product_category,
            "Attributes": self.attributes,
            "BulletPoints": self.bullets,
            "Description": self.description,
        }


class Row(NamedTuple):
    """What a results page shows of a product."""

    asin: str
    title: str
    price_tag: str


class Catalogue(Protocol):
    """Products by position, with search. Positions run from 0 to ``len - 1``."""

    def __len__(self) -> int: ...

    def product(self, position: int) -> Product:
        """The product at a position."""
        ...

    def row(self, position: int) -> Row:
        """What a results page shows of it, without decoding the rest."""
        ...

    def position(self, asin: str) -> int | None:
        """Where the product of that name is; None for an unknown name."""
        ...

    def search(self, query: str, k: int) -> Sequence[int]:
        """Positions of at most ``k`` products, best first."""
        ...
