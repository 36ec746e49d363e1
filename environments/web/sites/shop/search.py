"""Search for the shop without an index: what Oscar's pages ask of a search, from the database. Only the worker
imports this."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Q

_RANGE = re.compile(r"\[(\d+) TO (\d+|\*)\]")
_ORDERS = {
    "price": "least_price",
    "title_exact": "title",
    "date_created": "date_created",
    "rating": "rating",
}


@dataclass(frozen=True)
class Hit:
    """A product as results have it."""

    object: Any


class Found:
    """A search that is refined step by step, as Haystack's query sets are."""

    query = SimpleNamespace(backend=SimpleNamespace(include_spelling=False), clean=str)

    def __init__(self, products: Any = None) -> None:
        from oscar.core.loading import get_model

        if products is None:
            products = get_model("catalogue", "Product").objects.browsable().base_queryset()
            products = products.annotate(least_price=Min("stockrecords__price")).order_by("id")
        self._products = products
        self._facets: dict[str, Any] | None = None

    # ------------------------------------------------------------------ refining

    def auto_query(self, words: str) -> Found:
        """Products whose title or description has all of the words."""
        products = self._products
        for word in words.split():
            products = products.filter(Q(title__icontains=word) | Q(description__icontains=word) | Q(upc=word))
        return Found(products)

    def filter(self, category__in: Iterable[int]) -> Found:
        """Products of categories."""
        return Found(self._products.filter(categories__in=list(category__in)).distinct())

    def narrow(self, expression: str) -> Found:
        """Products in a range of prices: ``price:([0 TO 25] OR [25 TO 50])``."""
        wanted = Q()
        for low, high in _RANGE.findall(expression):
            wanted |= _between(low, high)
        return Found(self._products.filter(wanted))

    def order_by(self, field: str) -> Found:
        """Products in another order; equal ones by key."""
        down = "-" if field.startswith("-") else ""
        return Found(self._products.order_by(down + _ORDERS[field.lstrip("-")], "id"))

    def load_all(self) -> Found:
        """Nothing is left to load."""
        return self

    all = load_all

    def facet_counts(self) -> dict[str, Any]:
        """How many products each range of prices holds. Pages ask twice."""
        if self._facets is None:
            self._facets = self._counted()
        return self._facets

    def _counted(self) -> dict[str, Any]:
        ranges = [query for _, query in settings.OSCAR_SEARCH_FACETS["queries"]["price_range"]["queries"]]
        counts = self._products.order_by().aggregate(
            **{f"n{i}": Count("id", filter=_in(query), distinct=True) for i, query in enumerate(ranges)}
        )
        return {"fields": {}, "queries": {f"price:{query}": counts[f"n{i}"] for i, query in enumerate(ranges)}}

    # ------------------------------------------------------------------ reading

    def count(self) -> int:
        """How many there are."""
        number: int = self._products.count()
        return number

    __len__ = count

    def __getitem__(self, place: Any) -> Any:
        found = self._products[place]
        return [Hit(item) for item in found] if isinstance(place, slice) else Hit(found)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self[:])


def _in(query: str) -> Q:
    match = _RANGE.fullmatch(query)
    assert match is not None
    return _between(*match.groups())


def _between(low: str, high: str) -> Q:
    wanted = Q(least_price__gte=int(low))
    return wanted if high == "*" else wanted & Q(least_price__lt=int(high))
