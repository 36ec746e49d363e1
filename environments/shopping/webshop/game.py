"""``agentgym/WebShop-v0``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from agentgym.core.actions import Action, Tool, tool
from agentgym.core.errors import ConfigError, unknown_name
from agentgym.core.formats import ActionFormat, Parsed, Tools
from agentgym.core.game import Game, Observation, Outcome
from agentgym.core.rewards import EXECUTABLE, FORMAT, Component, RewardScheme
from agentgym.core.seeding import digest
from agentgym.core.tasks import Task
from agentgym.environments.shopping.reward import webshop_reward
from agentgym.environments.shopping.webshop.official import Goal
from agentgym.environments.shopping.webshop.ranking import Ranker
from agentgym.environments.shopping.webshop.site import Place, Site, Visit, parse_action
from agentgym.environments.shopping.webshop.tasks import GeneratedGoals, OfficialTasks, WebShopTasks

ObservationMode = Literal["text", "text_rich"]
MODES: tuple[ObservationMode, ...] = ("text", "text_rich")

DEFAULT_PRODUCTS = 1000
"""Of the procedural catalogue."""


class WebShopFormat(ActionFormat):
    """The official grammar: ``search[words]`` or ``click[value]`` at the very beginning; the rest is ignored."""

    name = "webshop"

    def parse(self, message: str, tools: Tools) -> Parsed:
        """See ``ActionFormat.parse``."""
        name, argument = parse_action(message)
        if argument is None or name not in tools:
            return Parsed(error="A message begins with search[words] or click[value].")
        return Parsed((Action(name, {_parameter(tools[name]): argument}),))

    def render(self, actions: Sequence[Action], tools: Tools, thought: str = "") -> str:
        """See ``ActionFormat.render``. There is no place for a thought."""
        return "".join(f"{action.name}[{next(iter(action.arguments.values()))}]" for action in actions)

    def instructions(self, tools: Tools) -> str:
        """See ``ActionFormat.instructions``."""
        lines = [f"  {name}[{_parameter(tool)}]  {tool.description}" for name, tool in tools.items()]
        return "Write one action and nothing else:\n" + "\n".join(lines)


def _parameter(tool: Tool) -> str:
    return next(iter(tool.properties))


@dataclass(slots=True)
class Session:
    """Everything that changes during an episode."""

    split: str
    goal: Goal
    visit: Visit


class WebShopGame(Game):
    """The official WebShop text environment, flaws included.

    Args:
        data_dir: Folder with the official data files; None uses the procedural catalogue in their form.
        num_products: How many products: the first so many of the official file (None: all), or the size of the
            procedural catalogue (None: 1,000).
        observation_mode: ``text`` or ``text_rich``.
        human_goals: Goals as people wrote them, or one for each combination of options.
        show_attrs: Give product pages an ``Attributes`` button.
        ranker: How searches are ranked: a function ``(query, k) -> positions``; for official files also
            ``"reference"`` (default; equal scores in the order of the recorded reference runs) or ``"bm25"`` (equal
            scores in file order).
        seed: Draws price caps and, for the procedural catalogue, products.
    """

    components = (
        FORMAT,
        EXECUTABLE,
        Component("match_type", "process", 0.0, 1.0, "Official r_type of the purchase."),
        Component("match_attributes", "process", 0.0, 1.0, "Official r_att of the purchase."),
        Component("match_options", "process", 0.0, 1.0, "Official r_option of the purchase; absent without options."),
        Component("match_price", "process", 0.0, 1.0, "Official r_price of the purchase."),
        Component("outcome", "outcome", 0.0, 1.0, "The official reward of the purchase."),
    )
    schemes: ClassVar[Mapping[str, RewardScheme]] = {
        # the official reward comes once and is all there is, so there is nothing to gate
        "gated": RewardScheme("gated", {"outcome": 1.0}),
        "outcome": RewardScheme("outcome", {"outcome": 1.0}),
        "dense": RewardScheme(
            "dense",
            {
                "outcome": 1.0,
                **dict.fromkeys(("match_type", "match_attributes", "match_options", "match_price"), 0.1),
            },
        ),
    }
    tools = (
        tool("search", "look for products", keywords="words to look for"),
        tool("click", "press a button, open a product or choose an option", value="what to click"),
    )
    formats: ClassVar[tuple[str | ActionFormat, ...]] = (WebShopFormat(), "bracket", "json", "xml", "react")
    max_turns = 50
    max_observation = 1 << 15
    expert = "agentgym.environments.shopping.webshop.expert:WebShopExpert"
    known_exploits: ClassVar[Mapping[str, str]] = {
        "partial credit": "Buying the first result of a search for the instruction earns about half of the reward.",
        "search from anywhere": "search[...] works on every page, not only where there is a search bar.",
        "list the catalogue": "search[<c> category] and search[<q> query] list everything of a category or query.",
        "fuzzy options": "'large' counts as 'x-large', 'pack of 6' as 'pack of 12', 'dark red' as 'dark green'.",
        "fuzzy attributes": "A product attribute 'proof' counts as 'leak proof'.",
        "one for all": "One selected value may satisfy several wanted options.",
    }

    state: Session

    def __init__(
        self,
        data_dir: str | Path | None = None,
        num_products: int | None = None,
        observation_mode: ObservationMode = "text",
        human_goals: bool = True,
        show_attrs: bool = False,
        ranker: str | Ranker | None = None,
        seed: int = 0,
    ) -> None:
        if observation_mode not in MODES:
            raise unknown_name("observation_mode", observation_mode, MODES)
        self.observation_mode = observation_mode
        self.show_attrs = show_attrs
        self._tasks: WebShopTasks
        if data_dir is not None:
            self._tasks = OfficialTasks(Path(data_dir), num_products, human_goals, seed, ranker or "reference")
        elif isinstance(ranker, str):
            raise ConfigError(
                "A ranker's name needs official files (data_dir); give a function (query, k) -> positions."
            )
        else:
            self._tasks = GeneratedGoals(num_products or DEFAULT_PRODUCTS, human_goals, seed, ranker)
        self._sites: dict[str, Site] = {}

    @property
    def instructions(self) -> str:
        """See ``Game.instructions``."""
        return "You are shopping on a website. Follow the instruction: find the right product, choose options, buy."

    def tasks(self) -> WebShopTasks:
        """See ``Game.tasks``."""
        return self._tasks

    def start(self, task: Task, rng: np.random.Generator) -> Observation:
        """See ``Game.start``."""
        goal = task.data["goal"]
        self.state = Session(task.split, goal, Visit(goal["instruction_text"]))
        return Observation(self.page())

    def act(self, action: Action) -> Outcome:
        """See ``Game.act``. What the page doesn't offer does nothing and is not commented, as in the original."""
        visit = self.state.visit
        argument = str(next(iter(action.arguments.values())))
        if not self.site.act(visit, action.name, argument, self.rng):
            return Outcome(self.page(), executable=False)
        if visit.place is not Place.DONE:
            return Outcome(self.page())
        return self._bought()

    def state_key(self) -> str:
        """See ``Game.state_key``."""
        visit = self.state.visit
        place = (visit.place, visit.keywords, visit.page, visit.item, visit.sub_page)
        drawn = tuple(visit.results) if visit.keywords[:1] == ["<r>"] else ()  # other results follow from the keywords
        return digest(*place, sorted(visit.options.items()), sorted(visit.visited), drawn)

    def reject(self, problem: str) -> str:
        """See ``Game.reject``: the page again, without a word."""
        return self.page()

    def render(self) -> str:
        """See ``Game.render``."""
        return self.site.text_rich(self.state.visit)

    @property
    def site(self) -> Site:
        """The shop of this episode."""
        split = self.state.split
        if split not in self._sites:
            self._sites[split] = Site(self._tasks.catalogue(split), show_attributes=self.show_attrs)
        return self._sites[split]

    def page(self) -> str:
        """The open page in the chosen observation mode."""
        if self.observation_mode == "text_rich":
            return self.site.text_rich(self.state.visit)
        return self.site.text(self.state.visit)

    def available_actions(self) -> dict[str, Any]:
        """What the page offers, as the official ``get_available_actions`` reports it."""
        visit = self.state.visit
        return {"has_search_bar": visit.place is Place.INDEX, "clickables": self.site.clickables(visit)}

    def _bought(self) -> Outcome:
        visit = self.state.visit
        product = self.site.product(visit)
        scored = webshop_reward(product.official(), self.state.goal, product.price, visit.options)
        visit.reward = scored["reward"]
        components = {
            "outcome": scored["reward"],
            "match_type": scored["r_type"],
            "match_attributes": scored["r_att"],
            "match_price": float(scored["r_price"]),
        }
        if "r_option" in scored:
            components["match_options"] = scored["r_option"]
        return Outcome(self.page(), components, terminal=True, success=scored["reward"] == 1.0)
