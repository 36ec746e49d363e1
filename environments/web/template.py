"""What a template of tasks is, and the worlds that templates draw from."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal
from agentgym.environments.web.sites.book.world import golden

if TYPE_CHECKING:
    from agentgym.environments.web.guide import Guide

Row = dict[str, Any]


@dataclass(frozen=True)
class Draft:
    """One task as a template makes it."""

    text: str
    goal: Goal
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the expert needs to know."""
    start: str = "http://book.test/"


@dataclass(frozen=True)
class Template:
    """A kind of task: how it is drawn from a world, and how it is solved."""

    name: str
    kind: str
    """look up, compare, navigate, create, edit, delete, infeasible or confirm."""
    difficulty: float
    make: Callable[[World, np.random.Generator], Draft]
    solve: Callable[[Guide, Mapping[str, Any]], Action]
    """The next action from wherever the episode stands."""
    held_out: bool = False


class World:
    """A golden database to draw tasks from."""

    def __init__(self, world: int) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.deserialize(golden(world))
        self._known: dict[tuple[str, tuple[Any, ...]], list[Row]] = {}

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """All rows of a query, as dicts. Asked once: the database never changes."""
        found = self._known.get((sql, values))
        if found is None:
            cursor = self._db.execute(sql, values)
            names = [item[0] for item in cursor.description]
            found = self._known[sql, values] = [dict(zip(names, row, strict=True)) for row in cursor]
        return found

    def one(self, rng: np.random.Generator, sql: str, *values: Any) -> Row:
        """A random row of a query."""
        found = self.rows(sql, *values)
        return found[int(rng.integers(len(found)))]


@lru_cache(maxsize=512)
def world_of(number: int) -> World:
    """The world of a number, opened once."""
    return World(number)
