"""The official site as a state machine: which page a search or a click leads to.

Everything here follows the released ``SimServer`` and ``SimBrowser`` of princeton-nlp/WebShop, flaws included: search
works from any page, the kind of a page is looked up in its address, and ``<r>``, ``<c>``, ``<q>`` list the catalogue.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from agentgym.environments.shopping.product import Catalogue, Product
from agentgym.environments.shopping.webshop import pages
from agentgym.environments.shopping.webshop.pages import Node

SEARCH_RETURN_N = 50
PRODUCT_WINDOW = 10
BASE_URL = "http://127.0.0.1:3000"

_PREPARED_PAGES = 64
"""Product pages that are kept: an episode comes back to the few that it opened."""

_ACTION = re.compile(r"(.+)\[(.+)\]")
_SUB_PAGES = {name.lower(): name for name in (*pages.SUB_PAGES, pages.ATTRIBUTES_PAGE)}


class Place(StrEnum):
    """Kind of page; the values are what the site's addresses hold, in the order in which it looks for them."""

    RESULTS = "search_results"
    ITEM = "item_page"
    SUB_PAGE = "item_sub_page"
    DONE = "done"
    INDEX = ""


def parse_action(action: str) -> tuple[str, str | None]:
    """``"name[argument]"`` as (name, argument); anything else as (action, None). Text after the bracket is ignored."""
    found = _ACTION.match(action)
    return (found[1], found[2]) if found else (action, None)


@dataclass(slots=True)
class Visit:
    """Where a visitor stands. Plain data."""

    instruction: str
    place: Place = Place.INDEX
    keywords: list[str] = field(default_factory=list)
    page: int = 1
    results: Sequence[int] = ()
    """Positions of the products that the search found."""
    item: int | None = None
    """Position of the open product."""
    sub_page: str = ""
    options: dict[str, str] = field(default_factory=dict)
    visited: dict[str, None] = field(default_factory=dict)
    """Products opened since the last search page, as an ordered set of names."""
    reward: float = 0.0
    """Shown on the last page."""


class _Prepared(NamedTuple):
    """What a product's page has in every episode."""

    nodes: tuple[Node, ...]
    text: str
    """In observation mode ``text``."""
    clickables: tuple[str, ...]
    """Buttons, then option values."""


class Site:
    """The shop over one catalogue.

    Args:
        catalogue: What it sells.
        show_attributes: Whether item pages have an ``Attributes`` button.
        session: Name of the visitor in addresses.
    """

    def __init__(self, catalogue: Catalogue, *, show_attributes: bool = False, session: str = "session") -> None:
        self.catalogue = catalogue
        self.show_attributes = show_attributes
        self.session = session
        self._prepared = lru_cache(maxsize=_PREPARED_PAGES)(self._prepare)

    # ------------------------------------------------------------------ what a visitor sees

    def nodes(self, visit: Visit) -> list[Node]:
        """The page as text nodes."""
        if visit.place is Place.INDEX:
            return pages.search_page(visit.instruction)
        if visit.place is Place.RESULTS:
            rows = [self.catalogue.row(position) for position in self._shown(visit)]
            return pages.results_page(visit.instruction, visit.page, len(visit.results), rows)
        product = self.product(visit)
        if visit.place is Place.ITEM:
            return [*pages.item_head(visit.instruction), *self._prepared(visit.item).nodes]
        if visit.place is Place.SUB_PAGE:
            return pages.sub_page(visit.instruction, product, visit.sub_page)
        return pages.done_page(product.asin, visit.options, visit.reward)

    def text(self, visit: Visit) -> str:
        """The page in observation mode ``text``."""
        if visit.place is Place.ITEM:
            head = pages.render_text(pages.item_head(visit.instruction))
            return head + pages.SEPARATOR + self._prepared(visit.item).text
        return pages.render_text(self.nodes(visit))

    def text_rich(self, visit: Visit) -> str:
        """The page in observation mode ``text_rich``."""
        return pages.render_text_rich(self.nodes(visit), self.url(visit), visit.visited)

    def url(self, visit: Visit) -> str:
        """The page's address."""
        keywords = "+".join(visit.keywords)
        if visit.place is Place.INDEX:
            return f"{BASE_URL}/{self.session}"
        if visit.place is Place.RESULTS:
            return f"{BASE_URL}/{visit.place}/{self.session}/{keywords}/{visit.page}"
        start = f"{BASE_URL}/{visit.place}/{self.session}/{self.product(visit).asin}"
        if visit.place is Place.ITEM:
            return f"{start}/{keywords}/{visit.page}/{json.dumps(visit.options)}"
        if visit.place is Place.SUB_PAGE:
            return f"{start}/{keywords}/{visit.page}/{visit.sub_page}/{visit.options}"
        return f"{start}/{visit.options}"

    def clickables(self, visit: Visit) -> list[str]:
        """What can be clicked, lower-cased: buttons, then products, then option values."""
        if visit.place is Place.INDEX:
            return ["search"]
        if visit.place is Place.DONE:
            return []
        names = [pages.BACK_TO_SEARCH.lower()]
        if visit.place is not Place.RESULTS or visit.page > 1:
            names.append(pages.PREV_PAGE.lower())
        if visit.place is Place.RESULTS:
            names.append(pages.NEXT_PAGE.lower())
            names += [self.catalogue.row(position).asin.lower() for position in self._shown(visit)]
        elif visit.place is Place.ITEM:
            names += self._prepared(visit.item).clickables
        return list(dict.fromkeys(names))

    def product(self, visit: Visit) -> Product:
        """The open product."""
        assert visit.item is not None
        return self.catalogue.product(visit.item)

    def _prepare(self, position: int | None) -> _Prepared:
        assert position is not None
        product = self.catalogue.product(position)
        nodes = pages.product_nodes(product, show_attributes=self.show_attributes)
        buttons = [node.text.lower() for node in nodes if node.kind is pages.Kind.BUTTON]
        values = [value for values in product.options.values() for value in values]
        return _Prepared(nodes, pages.render_text(nodes), (*buttons, *values))

    def _shown(self, visit: Visit) -> Sequence[int]:
        return visit.results[(visit.page - 1) * PRODUCT_WINDOW : visit.page * PRODUCT_WINDOW]

    # ------------------------------------------------------------------ what a visitor does

    def act(self, visit: Visit, name: str, argument: str, rng: np.random.Generator) -> bool:
        """Plays ``name[argument]``. Returns whether the page offers that; if not, nothing has changed."""
        argument = argument.lower()
        if visit.place is Place.DONE:
            return False
        if name == "search":
            return self._search(visit, argument.split(" "), rng)
        if name == "click" and argument != "search" and argument in self.clickables(visit):
            self._click(visit, argument, rng)
            return True
        return False

    def _search(self, visit: Visit, keywords: list[str], rng: np.random.Generator) -> bool:
        if keywords[0] == "<a>" or keywords == ["<c>"]:
            return False  # the official environment crashes on these
        self._open_results(visit, keywords, 1, rng)
        return True

    def _click(self, visit: Visit, name: str, rng: np.random.Generator) -> None:
        place = self._looked_up(visit)
        if name == pages.BUY_NOW.lower():
            visit.place = Place.DONE
        elif name == pages.BACK_TO_SEARCH.lower():
            self._open_index(visit)
        elif name == pages.NEXT_PAGE.lower() and place is Place.RESULTS:
            self._open_results(visit, visit.keywords, visit.page + 1, rng)
        elif name == pages.PREV_PAGE.lower() and place is Place.RESULTS:
            self._open_results(visit, visit.keywords, visit.page - 1, rng)
        elif name == pages.PREV_PAGE.lower() and place is Place.ITEM:
            self._open_results(visit, visit.keywords, visit.page, rng)
        elif name in _SUB_PAGES and visit.item is not None:
            visit.place, visit.sub_page = Place.SUB_PAGE, _SUB_PAGES[name]
        else:
            self._open_item(visit, name)

    def _looked_up(self, visit: Visit) -> Place:
        """Kind of the page by its address, in which keywords and options stand too and can forge another kind."""
        if "_" not in "".join((*visit.keywords, *visit.options, *visit.options.values())):
            return visit.place  # every name that could be forged has an underscore
        address = self.url(visit)
        return next(place for place in Place if place in address)

    def _open_index(self, visit: Visit) -> None:
        visit.place, visit.keywords, visit.page, visit.results = Place.INDEX, [], 1, ()
        visit.item = None
        visit.options, visit.visited = {}, {}

    def _open_results(self, visit: Visit, keywords: list[str], page: int, rng: np.random.Generator) -> None:
        if keywords != visit.keywords or keywords[0] == "<r>":
            visit.results = self._find(keywords, rng)
        visit.place, visit.keywords, visit.page = Place.RESULTS, keywords, page
        visit.item = None
        visit.options = {}

    def _find(self, keywords: list[str], rng: np.random.Generator) -> Sequence[int]:
        count = len(self.catalogue)
        if keywords[0] == "<r>":
            return [int(position) for position in rng.permutation(count)[:SEARCH_RETURN_N]]
        if keywords[0] == "<c>":
            category = keywords[1].strip()
            return [i for i in range(count) if self.catalogue.product(i).category == category]
        if keywords[0] == "<q>":
            query = " ".join(keywords[1:]).strip()
            return [i for i in range(count) if self.catalogue.product(i).query == query]
        return self.catalogue.search(" ".join(keywords), SEARCH_RETURN_N)

    def _open_item(self, visit: Visit, clicked: str) -> None:
        """Opens the clicked product, selects the clicked option, or goes back from a sub-page."""
        if visit.place is Place.RESULTS:
            visit.item = next(
                position for position in self._shown(visit) if self.catalogue.row(position).asin.lower() == clicked
            )
            visit.visited[self.product(visit).asin] = None
        elif visit.place is Place.ITEM:
            # where two options share a value, the page's last one takes the click
            owners = [name for name, values in self.product(visit).options.items() if clicked in values]
            if owners:
                visit.options[owners[-1]] = clicked
        visit.place = Place.ITEM
