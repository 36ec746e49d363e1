"""``agentgym/Shopping-v0``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

import numpy as np

from agentgym.core.actions import Action, clip, tool
from agentgym.core.errors import ConfigError, did_you_mean
from agentgym.core.game import Game, Observation, Outcome
from agentgym.core.seeding import digest
from agentgym.core.tasks import Task
from agentgym.environments.shopping.catalog import StoredCatalogue
from agentgym.environments.shopping.goals import RESULTS_KEPT, ROWS_PER_PAGE, Difficulty, Goal, Style
from agentgym.environments.shopping.product import Product
from agentgym.environments.shopping.shop import pages, rewards
from agentgym.environments.shopping.shop.tasks import ShoppingTasks

MAX_QUERY = 1000
"""Characters of a search."""

_SHOWN_QUERY = 80
_SHOWN_TARGET = 40


class Place(StrEnum):
    """Kind of page."""

    SEARCH = "search"
    RESULTS = "results"
    ITEM = "item"
    DETAIL = "detail"
    DONE = "done"


@dataclass(slots=True)
class Visit:
    """Everything that changes during an episode."""

    split: str
    goal: Goal
    target: int
    """Position of the goal's product."""
    place: Place = Place.SEARCH
    query: str = ""
    results: list[int] = field(default_factory=list)
    """Positions of the products found."""
    page: int = 1
    item: int | None = None
    """Position of the open product."""
    detail: str = ""
    options: dict[str, str] = field(default_factory=dict)
    potential: float = 0.0


class ShoppingGame(Game):
    """A shop with search, result pages, product pages and options.

    Args:
        products: Size of the catalogue, 100 to 1,000,000; built on first use and cached.
        catalog_seed: Draws catalogue and goals.
        constraints: How many wishes for attributes and options a goal has: a number, or the fewest and the most.
        distractors: Fewest near misses of a goal's product in the catalogue.
        instructions: ``precise``, ``vague`` or ``mixed``.
        pages: A search with all the goal's words lists the first product that fits on this results page or later.
    """

    components = rewards.COMPONENTS
    schemes = rewards.SCHEMES
    tools = (
        tool("search", "look for products; only on the search page", query="words to look for"),
        tool("click", "press a button, open a product or choose an option", target="what to click, as the page has it"),
    )
    max_turns = 30
    expert = "agentgym.environments.shopping.shop.expert:ShoppingExpert"
    cheats: ClassVar[Mapping[str, str]] = {
        name: f"agentgym.environments.shopping.shop.cheats:{name}"
        for name in ("first_row", "search_spam", "option_spam", "progress_farm", "copy_instruction")
    }
    blind_guess = 0.05

    state: Visit

    def __init__(
        self,
        products: int = 1000,
        catalog_seed: int = 0,
        constraints: int | Sequence[int] = (3, 4),
        distractors: int = 2,
        instructions: Style = "precise",
        pages: int = 1,
    ) -> None:
        bounds = (constraints, constraints) if isinstance(constraints, int) else tuple(constraints)
        if len(bounds) != 2:
            raise ConfigError(f"constraints is a number or two of them (fewest, most), got {constraints!r}.")
        self._tasks = ShoppingTasks(products, catalog_seed, Difficulty(bounds, distractors, instructions, pages))

    @property
    def instructions(self) -> str:
        """See ``Game.instructions``."""
        return (
            "You shop for someone. Find a product that fits the instruction: the right kind of thing, every attribute, "
            "every option and the price. Select each wanted option, then buy. You can buy once."
        )

    def tasks(self) -> ShoppingTasks:
        """See ``Game.tasks``."""
        return self._tasks

    def start(self, task: Task, rng: np.random.Generator) -> Observation:
        """See ``Game.start``."""
        goal = Goal.from_dict(task.data["goal"])
        target = self._tasks.catalogue(task.split).position(goal.asin)
        if target is None:
            raise ConfigError(f"Task {task.task_id!r} asks for {goal.asin}, which this catalogue doesn't have.")
        self.state = Visit(task.split, goal, target)
        return Observation(self.page())

    def act(self, action: Action) -> Outcome:
        """See ``Game.act``."""
        if action.name == "search":
            problem = self._search(str(action.arguments["query"]))
        else:
            problem = self._click(str(action.arguments["target"]))
        if problem:
            return Outcome(f"{problem}\n{self.page()}", executable=False)
        return self._outcome()

    def state_key(self) -> str:
        """See ``Game.state_key``."""
        s = self.state
        return digest(s.place, s.query, s.page, s.item, s.detail, sorted(s.options.items()))

    def reject(self, problem: str) -> str:
        """See ``Game.reject``."""
        return f"{problem}\n{self.page()}"

    def render(self) -> str:
        """See ``Game.render``."""
        return self.page()

    # ------------------------------------------------------------------ what the page has

    @property
    def catalogue(self) -> StoredCatalogue:
        """What the shop sells in this episode."""
        return self._tasks.catalogue(self.state.split)

    @property
    def product(self) -> Product | None:
        """The open product."""
        return None if self.state.item is None else self.catalogue.product(self.state.item)

    @property
    def shown(self) -> list[int]:
        """Positions of the products on the open results page."""
        start = (self.state.page - 1) * ROWS_PER_PAGE
        return self.state.results[start : start + ROWS_PER_PAGE]

    @property
    def n_pages(self) -> int:
        """Pages of results."""
        return max(-(-len(self.state.results) // ROWS_PER_PAGE), 1)

    def buttons(self) -> list[str]:
        """Buttons of the page."""
        place = self.state.place
        if place is Place.RESULTS:
            middle = [pages.PREV] if self.state.page > 1 else []
            middle += [pages.NEXT] if self.state.page < self.n_pages else []
            return [pages.BACK, *middle]
        if place is Place.ITEM:
            return [pages.BACK, pages.PREV, *pages.DETAILS, pages.BUY]
        return [pages.BACK, pages.PREV] if place is Place.DETAIL else []

    def clickable(self) -> list[str]:
        """Everything that can be clicked: buttons, products, option values."""
        names = self.buttons()
        if self.state.place is Place.RESULTS:
            names += [self.catalogue.row(position).asin for position in self.shown]
        elif self.state.place is Place.ITEM and self.product is not None:
            names += [value for values in self.product.options.values() for value in values]
        return names

    def page(self) -> str:
        """The open page."""
        s = self.state
        product = self.product
        if product is None:
            if s.place is Place.SEARCH:
                return pages.search_page(s.goal.instruction)
            rows = [self.catalogue.row(position) for position in self.shown]
            return pages.results_page(
                s.goal.instruction,
                clip(s.query, _SHOWN_QUERY),
                rows,
                page=s.page,
                pages=self.n_pages,
                total=len(s.results),
                buttons=self.buttons(),
            )
        if s.place is Place.ITEM:
            return pages.item_page(s.goal.instruction, product, s.options, self.buttons())
        if s.place is Place.DETAIL:
            return pages.detail_page(s.goal.instruction, product, s.detail, self.buttons())
        return pages.done_page(product, s.options)

    # ------------------------------------------------------------------ what an action does

    def _search(self, query: str) -> str:
        """Opens results. Returns what is wrong instead, where something is."""
        words = query.strip()
        if self.state.place is not Place.SEARCH:
            return f"You can search only on the search page. Write click[{pages.BACK}] first."
        if not words:
            return "The search needs words, as in search[red mug]."
        if len(words) > MAX_QUERY:
            return f"A search has at most {MAX_QUERY} characters; this one has {len(words)}."
        s = self.state
        s.results = list(self.catalogue.search(words, RESULTS_KEPT))
        s.place, s.query, s.page = Place.RESULTS, words, 1
        return ""

    def _click(self, target: str) -> str:
        """Follows a click. Returns what is wrong instead, where something is."""
        name = target.strip().lower()
        if self.state.place is Place.SEARCH:
            return "There is nothing to click on the search page. Write search[words]."
        if name in self.buttons():
            self._press(name)
            return ""
        if self.state.place is Place.RESULTS:
            position = self.catalogue.position(name.upper())
            if position is not None and position in self.shown:
                self.state.item, self.state.options, self.state.place = position, {}, Place.ITEM
                return ""
        elif self.state.place is Place.ITEM and self.product is not None:
            for option, values in self.product.options.items():
                if name in values:
                    self.state.options[option] = name
                    return ""
        hint = did_you_mean(name[:_SHOWN_TARGET], self.clickable())
        return f"There is no {clip(target.strip(), _SHOWN_TARGET)!r} to click on this page.{hint}"

    def _press(self, name: str) -> None:
        s = self.state
        if name == pages.BACK:
            s.place, s.query, s.results, s.page = Place.SEARCH, "", [], 1
            s.item, s.options, s.detail = None, {}, ""
        elif name == pages.NEXT:
            s.page += 1
        elif name == pages.PREV and s.place is Place.RESULTS:
            s.page -= 1
        elif name == pages.PREV and s.place is Place.ITEM:
            s.place, s.item, s.options = Place.RESULTS, None, {}
        elif name == pages.PREV:
            s.place, s.detail = Place.ITEM, ""
        elif name == pages.BUY:
            s.place = Place.DONE
        else:
            s.place, s.detail = Place.DETAIL, name

    def _outcome(self) -> Outcome:
        s = self.state
        listed = s.place is Place.RESULTS and s.target in self.shown
        now = rewards.potential(s.goal, self.product, s.options, listed=listed)
        components = {"progress": now - s.potential}
        s.potential = now
        if s.place is not Place.DONE:
            return Outcome(self.page(), components)
        assert self.product is not None
        fit = rewards.matches(s.goal, self.product, s.options)
        success = rewards.succeeded(fit)
        components |= fit
        components["outcome"] = float(success)
        return Outcome(self.page(), components, terminal=True, success=success)
