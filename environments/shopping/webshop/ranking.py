"""How WebShop-v0 ranks products: a ready-made ranker by name, or the caller's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from agentgym.core.errors import unknown_name
from agentgym.environments.shopping.product import Catalogue, Product, Row
from agentgym.tools.retriever import BM25

Ranker = Callable[[str, int], Sequence[int]]
"""``(query, k) -> positions`` of at most k products, best first."""

RANKERS = ("bm25", "reference")


def ranking_text(product: Product) -> str:
    """What the recorded reference runs index: title, description and first bullet."""
    return " ".join((product.title, product.description, product.bullets[0] if product.bullets else ""))


def make_ranker(name: str, products: Sequence[Product]) -> Ranker:
    """A ranker over ``products``; both use BM25 (Lucene's variant, k1 = 1.5, b = 0.75) on words between blanks.

    ``bm25`` puts equal scores in catalogue order. ``reference`` leaves them in the order of NumPy's default
    ``argsort``, as the recorded runs of the official environment have it; that order is NumPy's and the processor's.
    """
    if name not in RANKERS:
        raise unknown_name("ranker", name, RANKERS)
    index = BM25.build(map(ranking_text, products), analyzer="blanks")
    if name == "bm25":
        return lambda query, k: index.search(query, k).ids.tolist()

    def reference(query: str, k: int) -> list[int]:
        scores = index.scores(query)
        return [int(position) for position in np.argsort(-scores)[:k] if scores[position] > 0]

    return reference


class ListCatalogue:
    """Products in memory."""

    def __init__(self, products: Sequence[Product], ranker: Ranker) -> None:
        self._products = tuple(products)
        self._rows = [Row(product.asin, product.title, product.price_tag) for product in products]
        self._positions = {product.asin: position for position, product in enumerate(products)}
        self._ranker = ranker

    def __len__(self) -> int:
        return len(self._products)

    def product(self, position: int) -> Product:
        """See ``Catalogue.product``."""
        return self._products[position]

    def row(self, position: int) -> Row:
        """See ``Catalogue.row``."""
        return self._rows[position]

    def position(self, asin: str) -> int | None:
        """See ``Catalogue.position``."""
        return self._positions.get(asin)

    def search(self, query: str, k: int) -> Sequence[int]:
        """See ``Catalogue.search``."""
        return within(self._ranker(query, k), k, len(self._products))


class Reranked:
    """Another catalogue, ranked by the caller's own ranker."""

    def __init__(self, catalogue: Catalogue, ranker: Ranker) -> None:
        self._catalogue = catalogue
        self._ranker = ranker

    def __len__(self) -> int:
        return len(self._catalogue)

    def product(self, position: int) -> Product:
        """See ``Catalogue.product``."""
        return self._catalogue.product(position)

    def row(self, position: int) -> Row:
        """See ``Catalogue.row``."""
        return self._catalogue.row(position)

    def position(self, asin: str) -> int | None:
        """See ``Catalogue.position``."""
        return self._catalogue.position(asin)

    def search(self, query: str, k: int) -> Sequence[int]:
        """See ``Catalogue.search``."""
        return within(self._ranker(query, k), k, len(self._catalogue))


def within(positions: Sequence[int], k: int, count: int) -> list[int]:
    """The first ``k`` positions, without those that a catalogue of ``count`` products doesn't have."""
    return [int(position) for position in positions[:k] if 0 <= position < count]
