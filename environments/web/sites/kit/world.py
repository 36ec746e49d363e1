"""What the sites of one world have in common: owner, day and people, who live in the address book."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TypeVar

import numpy as np

from agentgym.environments.web.sites.book.world import golden as book

T = TypeVar("T")


@dataclass(frozen=True)
class Person:
    """Somebody that the owner knows."""

    name: str
    email: str
    company: str
    city: str

    @property
    def first(self) -> str:
        """First name."""
        return self.name.split()[0]


@dataclass(frozen=True)
class Shared:
    """Facts that every site of a world agrees on."""

    owner: str
    today: date
    people: tuple[Person, ...]
    """Contacts of the address book, by key."""

    @property
    def email(self) -> str:
        """The owner's address."""
        return f"{self.owner.lower().replace(' ', '.')}@home.example"


@lru_cache(maxsize=256)
def shared(world: int) -> Shared:
    """Facts of a world."""
    db = sqlite3.connect(":memory:")
    db.deserialize(book(world))
    owner, today = db.execute("SELECT owner, today FROM setting").fetchone()
    people = db.execute("SELECT name, email, company, city FROM contact ORDER BY id").fetchall()
    db.close()
    return Shared(owner, date.fromisoformat(today), tuple(Person(*row) for row in people))


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """One of them."""
    return items[int(rng.integers(len(items)))]


def sample(rng: np.random.Generator, items: Sequence[T], count: int) -> list[T]:
    """Different ones of them, in random order."""
    return [items[int(i)] for i in rng.choice(len(items), size=count, replace=False)]
