"""The official site as a state machine: which page a search or a click leads to.

Everything here follows the released ``SimServer`` and ``SimBrowser`` of princeton-nlp/WebShop, flaws included: search
works from any page, the page's kind is looked up in its address, and ``<r>``, ``<c>``, ``<q>`` list the catalogue.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agentgym.environments.shopping.product import Catalogue, Product
from agentgym.environments.shopping.webshop import pages
from agentgym.environments.shopping.webshop.pages import Node

SEARCH_RETURN_N = 50
PRODUCT_WINDOW = 10
BASE_URL = "http://127.0.0.1:3000"

_ACTION = re.compile(r"(.+)\[(.+)\]")
_PAGE_NAMES = ("search_results", "item_page", "item_sub_page", "done")
_SUB_PAGES = {name.lower(): name for name in (*pages.SUB_PAGES, pages.ATTRIBUTES_PAGE)}


def parse_action(action: str) -> tuple[str, str | None]:
    """``"name[argument]"`` as (name, argument); anything else as (action, None). Text after the bracket is ignored."""
    found = _ACTION.match(action)
    return (found[1], found[2]) if found else (action, None)


@dataclass
class Browser:
    """One visitor of the site, from the first page to the purchase."""

    catalogue: Catalogue
    instruction: str
    rng: np.random.Generator
    """Draws the products of ``search[<r>]``."""
    session: str = "session"
    show_attributes: bool = False
    url: str = ""
    nodes: list[Node] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    page: int = 1
    product: Product | None = None
    options: dict[str, str] = field(default_factory=dict)
    visited: set[str] = field(default_factory=set)
    results: Sequence[int] = ()
    done: bool = False
    """Whether ``product`` was bought with ``options``."""

    def __post_init__(self) -> None:
        self._open_index()

    def text(self) -> str:
        """The page in observation mode ``text``."""
        return pages.render_text(self.nodes)

    def text_rich(self) -> str:
        """The page in observation mode ``text_rich``."""
        return pages.render_text_rich(self.nodes, self.url, self.visited)

    @property
    def has_search_bar(self) -> bool:
        """Whether the page shows a search bar. The official environment doesn't ask."""
        return bool(self.nodes) and self.nodes[0].text == "WebShop"

    def clickables(self) -> list[str]:
        """What can be clicked: buttons, then products, then option values."""
        names = [node.text.lower() for node in self.nodes if node.kind is pages.Kind.BUTTON]
        names += [node.text.lower() for node in self.nodes if node.kind is pages.Kind.PRODUCT]
        if self.product is not None and self._on_item_page():
            names += [value for values in self.product.options.values() for value in values]
        return list(dict.fromkeys(names))

    def act(self, action: str) -> bool:
        """Plays an action. Returns whether it was one that the page offers; any other changes nothing."""
        name, argument = parse_action(action)
        argument = argument.lower() if argument is not None else None
        if argument is None or self.done:
            return False
        if name == "search":
            return self._search(argument.split(" "))
        if name == "click" and argument != "search" and argument in self.clickables():
            self._click(argument)
            return True
        return False

    def _search(self, keywords: list[str]) -> bool:
        if keywords[0] == "<a>" or keywords == ["<c>"]:
            return False  # the official environment crashes on these
        self._open_results(keywords, 1)
        return True

    def _click(self, name: str) -> None:
        place = self._page_name()
        if name == pages.BUY_NOW.lower():
            self._buy()
        elif name == pages.BACK_TO_SEARCH.lower():
            self._open_index()
        elif name == pages.NEXT_PAGE.lower() and place == "search_results":
            self._open_results(self.keywords, self.page + 1)
        elif name == pages.PREV_PAGE.lower() and place == "search_results":
            self._open_results(self.keywords, self.page - 1)
        elif name == pages.PREV_PAGE.lower() and place == "item_page":
            self._open_results(self.keywords, self.page)
        elif name in _SUB_PAGES and self.product is not None:
            self._open_sub_page(_SUB_PAGES[name])
        else:
            self._open_item(name)

    def _page_name(self) -> str:
        """Kind of the page, by the first page name that occurs anywhere in its address (so keywords can forge it)."""
        return next((name for name in _PAGE_NAMES if name in self.url), "")

    def _open_index(self) -> None:
        self.nodes = pages.search_page(self.instruction)
        self.url = f"{BASE_URL}/{self.session}"
        self.keywords, self.page, self.product, self.results = [], 1, None, ()
        self.options = {}
        self.visited = set()

    def _open_results(self, keywords: list[str], page: int) -> None:
        if keywords != self.keywords or keywords[0] == "<r>":
            self.results = self._find(keywords)
        self.keywords, self.page, self.product = keywords, page, None
        self.options = {}
        shown = self.results[(page - 1) * PRODUCT_WINDOW : page * PRODUCT_WINDOW]
        rows = [self.catalogue.row(position) for position in shown]
        self.nodes = pages.results_page(self.instruction, page, len(self.results), rows)
        self.url = f"{BASE_URL}/search_results/{self.session}/{'+'.join(keywords)}/{page}"

    def _find(self, keywords: list[str]) -> Sequence[int]:
        count = len(self.catalogue)
        if keywords[0] == "<r>":
            return [int(i) for i in self.rng.permutation(count)[:SEARCH_RETURN_N]]
        if keywords[0] == "<c>":
            category = keywords[1].strip()
            return [i for i in range(count) if self.catalogue.product(i).category == category]
        if keywords[0] == "<q>":
            query = " ".join(keywords[1:]).strip()
            return [i for i in range(count) if self.catalogue.product(i).query == query]
        return self.catalogue.search(" ".join(keywords), SEARCH_RETURN_N)

    def _open_item(self, clicked: str) -> None:
        if self.product is None:
            position = self.catalogue.position(clicked.upper())
            if position is None:
                position = self.catalogue.position(clicked)
            assert position is not None, f"{clicked!r} was on the page"
            self.product = self.catalogue.product(position)
            self.visited.add(self.product.asin)
        else:
            # where two options share a value, the page's last one takes the click
            owners = [name for name, values in self.product.options.items() if clicked in values]
            if owners and self._on_item_page():
                self.options[owners[-1]] = clicked
        self.nodes = pages.item_page(self.instruction, self.product, show_attributes=self.show_attributes)
        self.url = (
            f"{BASE_URL}/item_page/{self.session}/{self.product.asin}/{'+'.join(self.keywords)}/"
            f"{self.page}/{json.dumps(self.options)}"
        )

    def _on_item_page(self) -> bool:
        return self.nodes[-1].text == pages.BUY_NOW and self.nodes[-1].kind is pages.Kind.BUTTON

    def _open_sub_page(self, name: str) -> None:
        assert self.product is not None
        self.nodes = pages.sub_page(self.instruction, self.product, name)
        self.url = (
            f"{BASE_URL}/item_sub_page/{self.session}/{self.product.asin}/{'+'.join(self.keywords)}/"
            f"{self.page}/{name}/{self.options}"
        )

    def _buy(self) -> None:
        assert self.product is not None
        self.done = True
        self.url = f"{BASE_URL}/done/{self.session}/{self.product.asin}/{self.options}"

    def show_reward(self, reward: float) -> None:
        """Opens the last page, once the purchase was scored."""
        assert self.product is not None
        self.nodes = pages.done_page(self.product.asin, self.options, reward)
