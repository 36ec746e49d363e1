"""``agentgym/SearchTiny-v0``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from agentgym.core.formats import BracketFormat, Tools
from agentgym.core.game import Observation
from agentgym.core.rewards import RewardScheme, accumulate
from agentgym.core.tasks import Task, TaskSource
from agentgym.environments.search.engine import Engine, LocalEngine
from agentgym.environments.search.game import TOOLS, SearchGame
from agentgym.environments.search.grammar import TagsFormat
from agentgym.environments.search.library import Library
from agentgym.environments.search.rewards import SCHEMES
from agentgym.environments.search.tiny.world import BELIEF, tiny_library, tiny_tasks

_WEIGHTS = {"answer_em": 1.0, "retrieval_recall": 0.2, "format": 0.005, "executable": 0.005, "search_cost": 0.01}


class TerseFormat(BracketFormat):
    """The bracket grammar without its explanation, which would be longer than an episode."""

    name = "terse"

    def instructions(self, tools: Tools) -> str:
        """See ``ActionFormat.instructions``."""
        return ""


class SearchTinyGame(SearchGame):
    """Search, read, answer: a question, a dozen words a document, one document a search.

    Args:
        world: Seed of the world.
    """

    tools = (TOOLS[0], TOOLS[3])
    formats = (TerseFormat(), TagsFormat(), "json", "react")
    schemes: ClassVar[Mapping[str, RewardScheme]] = {
        **SCHEMES,
        "gated": RewardScheme(
            "gated",
            _WEIGHTS,
            (accumulate(("retrieval_recall", "format", "executable"), on="answer_em", at_least=1.0),),
        ),
        "dense": RewardScheme("dense", _WEIGHTS),
    }
    max_turns = 6
    max_observation = 512
    cheats: ClassVar[Mapping[str, str]] = {
        name: f"agentgym.environments.search.tiny.cheats:{name.replace('-', '_')}"
        for name in ("echo", "paste-question", "first-words", "search-forever", "fake-result")
    }
    blind_guess = 0.0

    def __init__(self, world: int = 0) -> None:
        super().__init__(Library.empty(), top_k=1, style="plain", belief=BELIEF)
        self._world = world
        self._tasks = tiny_tasks(world)

    @property
    def instructions(self) -> str:
        """Nothing: a model of this size learns its job from episodes."""
        return ""

    def tasks(self) -> TaskSource:
        """Generated without end."""
        return self._tasks

    def _library_at(self, task_id: str) -> Library:
        return tiny_library(self._world, task_id)

    def _engine_now(self) -> Engine:
        return LocalEngine(tiny_library(self._world, self.state.task_id))

    def start(self, task: Task, rng: np.random.Generator) -> Observation:
        """The bare question."""
        super().start(task, rng)
        return Observation(str(task.data["question"]))
