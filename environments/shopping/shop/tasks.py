"""Tasks of Shopping-v0: generated goals, a catalogue of its own for every split."""

from __future__ import annotations

from functools import lru_cache

from agentgym.core.tasks import GeneratedTasks, Task
from agentgym.environments.shopping.catalog import CatalogSpec, StoredCatalogue, open_catalogue
from agentgym.environments.shopping.goals import Difficulty, draw_goal

_REMEMBERED = 1024
"""Drawn tasks that are kept, since the episodes of a group share theirs."""


class ShoppingTasks(GeneratedTasks):
    """Goals by number. Catalogues are opened when a split is first used.

    Args:
        size: Products of each split's catalogue.
        seed: Of catalogues and goals.
        difficulty: Knobs of the goals.
    """

    def __init__(self, size: int, seed: int, difficulty: Difficulty) -> None:
        super().__init__(lru_cache(maxsize=_REMEMBERED)(self._draw))
        self._spec = CatalogSpec(size, seed)
        self._difficulty = difficulty
        self._opened: dict[str, StoredCatalogue] = {}

    def catalogue(self, split: str) -> StoredCatalogue:
        """What the shop sells to tasks of ``split``."""
        if split not in self._opened:
            self._opened[split] = open_catalogue(CatalogSpec(self._spec.size, self._spec.seed, split))
        return self._opened[split]

    def _draw(self, split: str, number: int) -> Task:
        drawn = draw_goal(self.catalogue(split), split, self._spec.seed, number, self._difficulty)
        data = drawn.goal.to_dict()
        return Task(
            task_id=f"{split}/{number}",
            split=split,
            data={"goal": data},
            reference={"goal": data},
            difficulty=drawn.difficulty,
        )
