"""What a template of tasks is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal
from agentgym.environments.web.guide import Guide
from agentgym.environments.web.sites import SITES
from agentgym.environments.web.sites.world import World

__all__ = ["Draft", "Template", "World"]


@dataclass(frozen=True)
class Draft:
    """One task as a template makes it."""

    text: str
    goal: Goal
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the expert needs to know."""
    start: str = ""
    """Address of the first page; empty for the home of the template's first site."""
    edits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Site -> SQL that prepares its database for this task. What it does is no change."""
    closed: tuple[str, ...] = ()
    """Patterns of addresses (``host/path?query``, shell wildcards) that may not be opened: ways round the task."""


@dataclass(frozen=True)
class Template:
    """A kind of task: how it is drawn from a world, and how it is solved."""

    name: str
    kind: str
    """look up, compare, navigate, create, edit, delete, infeasible or confirm."""
    difficulty: float
    make: Callable[[Any, np.random.Generator], Draft]
    """Draws a task: from the World of its site, or from a mapping of site -> World where it has several."""
    solve: Callable[[Any, Mapping[str, Any]], Action]
    """The next action from wherever the episode stands, by a ``guide`` and the draft's notes."""
    held_out: bool = False
    sites: tuple[str, ...] = ("book",)
    """Names of the sites that a task runs on, and that can be reached during it."""
    guide: Callable[..., Guide] = Guide
    """What the expert sees through; of the site that it mostly works on."""

    def draw(self, world: int, rng: np.random.Generator) -> Draft:
        """A task in a world."""
        worlds = {name: SITES[name].world(world) for name in self.sites}
        return self.make(worlds[self.sites[0]] if len(worlds) == 1 else worlds, rng)
