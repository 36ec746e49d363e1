"""A knowledge base: things, and dated facts about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["person", "town", "river", "mountain", "province", "company", "work", "school", "event", "prize"]
Value = int | str
"""A thing (its number in the cell) or a literal (text: a year, a number)."""

PRESENT = 1930
"""The year in which the world is described."""
FIRST_EDITION = 1925
"""The year of the oldest edition of the encyclopaedia that is in the corpus; whatever is wrong was written before."""
ALWAYS = 0
"""``since`` of a fact that has no beginning."""


@dataclass
class Thing:
    """Something that has a name."""

    kind: Kind
    name: str
    gender: str = ""
    """Of a person: ``he`` or ``she``."""
    alias: str = ""
    """Another name that some documents use; unique in the world, like the name."""
    born: int = 0
    """Year of birth, foundation or appearance."""
    died: int = PRESENT
    """Last year of a person's life."""


class Fact(NamedTuple):
    """``relation(subject) = value`` from ``since`` until before ``until``."""

    subject: int
    relation: str
    value: Value
    since: int = ALWAYS
    until: int = PRESENT + 1


@dataclass
class Base:
    """The facts about one cell of the world, which names nothing outside it."""

    cell: int
    things: list[Thing] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    _of: dict[tuple[int, str], list[int]] = field(default_factory=dict, repr=False)
    _with: dict[tuple[Value, str], list[int]] = field(default_factory=dict, repr=False)

    def add_thing(self, thing: Thing) -> int:
        """Takes in a thing and returns its number."""
        self.things.append(thing)
        return len(self.things) - 1

    def add(self, subject: int, relation: str, value: Value, since: int = ALWAYS, until: int = PRESENT + 1) -> int:
        """Takes in a fact and returns its number."""
        number = len(self.facts)
        self.facts.append(Fact(subject, relation, value, since, until))
        self._of.setdefault((subject, relation), []).append(number)
        self._with.setdefault((value, relation), []).append(number)
        return number

    def of(self, subject: Value, relation: str) -> list[int]:
        """Numbers of the facts ``relation(subject) = ?``, oldest first."""
        return self._of.get((subject, relation), []) if isinstance(subject, int) else []

    def having(self, value: Value, relation: str) -> list[int]:
        """Numbers of the facts ``relation(?) = value``."""
        return self._with.get((value, relation), [])

    def value(self, subject: int, relation: str) -> Value | None:
        """The value of a relation that has one at most."""
        found = self.of(subject, relation)
        return self.facts[found[0]].value if found else None

    def kind(self, kind: Kind) -> list[int]:
        """Numbers of the things of a kind."""
        return [i for i, thing in enumerate(self.things) if thing.kind == kind]

    def text(self, value: Value) -> str:
        """A value as it is written: a name or the literal."""
        return self.things[value].name if isinstance(value, int) else value

    def names(self, values: Iterable[Value]) -> list[str]:
        """Several values as they are written."""
        return [self.text(value) for value in values]
