"""``agentgym/ShoppingTiny-v0``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

import numpy as np

from agentgym.core.actions import Action, clip, tool
from agentgym.core.formats import ActionFormat, BracketFormat, Tools
from agentgym.core.game import Game, Observation, Outcome
from agentgym.core.rewards import EXECUTABLE, FORMAT, TURN_COST, Component, RewardScheme, accumulate
from agentgym.core.seeding import digest
from agentgym.core.tasks import Task
from agentgym.environments.shopping.tiny.tasks import Shelf, TinyProduct, TinyTasks

ROWS = 5
"""Products that a search shows."""

_SEEN, _OPENED = 0.1, 0.2
_SHOWN_TARGET = 20
_MATCHES = ("match_product", "match_option", "match_price")


class TerseFormat(BracketFormat):
    """The bracket grammar without its explanation, which would be longer than an episode."""

    name = "terse"

    def instructions(self, tools: Tools) -> str:
        """See ``ActionFormat.instructions``."""
        return ""


class Place(StrEnum):
    """Kind of page."""

    SEARCH = "search"
    RESULTS = "results"
    ITEM = "item"
    DONE = "done"


@dataclass(slots=True)
class Visit:
    """Everything that changes during an episode."""

    shelf: Shelf
    place: Place = Place.SEARCH
    rows: list[int] = field(default_factory=list)
    """Numbers of the shown products; row 1 comes first."""
    item: int | None = None
    """Number of the open product."""
    color: str = ""
    opened: list[int] = field(default_factory=list)
    """Products opened so far; for the expert."""
    potential: float = 0.0


class ShoppingTinyGame(Game):
    """Find the row, check the color, buy: a few dozen words a page.

    Args:
        seed: Draws the tasks.
        traps: How many products look right in the results and lack the color (0 to 2): with them an open product must
            be checked and left again, which models of this size learn last.
    """

    components = (
        FORMAT,
        EXECUTABLE,
        Component("progress", "process", -1.0, 1.0, "Change of the potential: how much of the wish the page fulfils."),
        Component("match_product", "process", 0.0, 1.0, "At the purchase: 1 when kind and material are right."),
        Component("match_option", "process", 0.0, 1.0, "At the purchase: 1 when the wished color is chosen."),
        Component("match_price", "process", 0.0, 1.0, "At the purchase: 1 when it costs at most the wished price."),
        Component("outcome", "outcome", 0.0, 1.0, "At the purchase: 1 when all three matches are 1, else 0."),
        TURN_COST,
    )
    schemes: ClassVar[Mapping[str, RewardScheme]] = {
        # Costs are gated too: otherwise buying anything at once would beat looking for the right thing and failing.
        "gated": RewardScheme(
            "gated",
            {"outcome": 1.0, "progress": 0.2, "turn_cost": 0.01},
            (accumulate(("progress", "turn_cost"), on="outcome", at_least=1.0, name="bought the right thing"),),
        ),
        "outcome": RewardScheme("outcome", {"outcome": 1.0}),
        # A turn that is understood and can be done still costs 0.01, so that turns can't be farmed.
        "dense": RewardScheme(
            "dense",
            {
                "outcome": 1.0,
                "progress": 0.5,
                **dict.fromkeys(_MATCHES, 0.1),
                "format": 0.01,
                "executable": 0.02,
                "turn_cost": 0.04,
            },
        ),
    }
    tools = (
        tool("search", "look for products by kind and material", words="words to look for"),
        tool("click", "open the product of a row, or choose a color", target="a row's number or a color"),
        tool("back", "go back to the rows, or from there to a new search"),
        tool("buy", "buy the open product in the chosen color"),
    )
    formats: ClassVar[tuple[str | ActionFormat, ...]] = (TerseFormat(), "bracket", "json", "xml", "react")
    max_turns = 10
    max_observation = 1024
    expert = "agentgym.environments.shopping.tiny.expert:TinyExpert"
    cheats: ClassVar[Mapping[str, str]] = {
        name: f"agentgym.environments.shopping.tiny.cheats:{name}"
        for name in ("first_row", "search_spam", "color_spam", "progress_farm", "copy_wish")
    }
    blind_guess = 0.2  # one row of five, and the color can be copied from the wish

    state: Visit

    def __init__(self, seed: int = 0, traps: int = 0) -> None:
        self._tasks = TinyTasks(seed, traps)

    def tasks(self) -> TinyTasks:
        """See ``Game.tasks``."""
        return self._tasks

    def start(self, task: Task, rng: np.random.Generator) -> Observation:
        """See ``Game.start``."""
        self.state = Visit(Shelf.from_dict(task.data))
        return Observation(self.page())

    def act(self, action: Action) -> Outcome:
        """See ``Game.act``."""
        if action.name == "search":
            problem = self._search(str(action.arguments["words"]))
        elif action.name == "click":
            problem = self._click(str(action.arguments["target"]).strip().lower())
        else:
            problem = self._back() if action.name == "back" else self._buy()
        if problem:
            return Outcome(f"{problem}\n{self.page()}", executable=False)
        return self._outcome()

    def state_key(self) -> str:
        """See ``Game.state_key``."""
        s = self.state
        return digest(s.place, tuple(s.rows), s.item, s.color)

    def reject(self, problem: str) -> str:
        """See ``Game.reject``."""
        return f"no such action\n{self.page()}"

    def render(self) -> str:
        """See ``Game.render``."""
        return self.page()

    @property
    def product(self) -> TinyProduct | None:
        """The open product."""
        return None if self.state.item is None else self.state.shelf.products[self.state.item]

    def page(self) -> str:
        """The open page."""
        s, product = self.state, self.product
        if s.place is Place.SEARCH:
            wish = s.shelf.wish
            return f"want {wish.type} {wish.material} {wish.color} max {wish.cap}"
        if product is None:
            if not s.rows:
                return "nothing found"
            shown = (s.shelf.products[number] for number in s.rows)
            return "\n".join(f"{row} {p.type} {p.material} {p.price}" for row, p in enumerate(shown, 1))
        if s.place is Place.DONE:
            return "bought"
        chosen = f"\nchosen {s.color}" if s.color else ""
        return f"{product.type} {product.material} {product.price}\ncolors {' '.join(product.colors)}{chosen}"

    # ------------------------------------------------------------------ what an action does

    def _search(self, words: str) -> str:
        if self.state.place not in (Place.SEARCH, Place.RESULTS):
            return "go back first"
        wanted = set(words.lower().split())
        products = self.state.shelf.products
        found = [(-len(wanted & {p.type, p.material}), number) for number, p in enumerate(products)]
        self.state.rows = [number for score, number in sorted(found) if score < 0][:ROWS]
        self.state.place = Place.RESULTS
        return ""

    def _click(self, target: str) -> str:
        s, product = self.state, self.product
        if s.place is Place.RESULTS and target in {str(row) for row in range(1, len(s.rows) + 1)}:
            s.item, s.color, s.place = s.rows[int(target) - 1], "", Place.ITEM
            s.opened.append(s.item)
            return ""
        if product is not None and target in product.colors:
            s.color = target
            return ""
        return f"no {clip(target, _SHOWN_TARGET)} here" if target else "click what"

    def _back(self) -> str:
        s = self.state
        if s.place is Place.SEARCH:
            return "nothing to go back to"
        if s.place is Place.ITEM:
            s.place, s.item, s.color = Place.RESULTS, None, ""
        else:
            s.place, s.rows = Place.SEARCH, []
        return ""

    def _buy(self) -> str:
        if self.state.place is not Place.ITEM:
            return "open a product first"
        self.state.place = Place.DONE
        return ""

    def _outcome(self) -> Outcome:
        s, product = self.state, self.product
        matches = self._matches(product) if product is not None else {}
        now = self._potential(matches)
        components = {"progress": now - s.potential}
        s.potential = now
        if s.place is not Place.DONE:
            return Outcome(self.page(), components)
        success = all(matches.values())
        components |= matches
        components["outcome"] = float(success)
        return Outcome(self.page(), components, terminal=True, success=success)

    def _matches(self, product: TinyProduct) -> dict[str, float]:
        wish = self.state.shelf.wish
        return {
            "match_product": float(product.type == wish.type and product.material == wish.material),
            "match_option": float(self.state.color == wish.color),
            "match_price": float(product.price <= wish.cap),
        }

    def _potential(self, matches: Mapping[str, float]) -> float:
        """0 to 1, without history: how much of the wish the page fulfils, as in Shopping-v0."""
        if matches:
            return _OPENED + (1.0 - _OPENED) * matches["match_product"] * sum(matches.values()) / len(matches)
        shelf = self.state.shelf
        return _SEEN if any(shelf.wish.fits(shelf.products[number]) for number in self.state.rows) else 0.0
