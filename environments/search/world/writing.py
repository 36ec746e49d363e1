"""Turning facts into sentences, and sentences into documents that know which facts they state."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentgym.environments.search.world.dice import Dice
from agentgym.environments.search.world.facts import Base, Value
from agentgym.environments.search.world.relations import LISTS, RELATIONS

_POSSESSIVES = {"he": "his", "she": "her", "": "its"}
_THE = ("river", "event", "prize")
"""Kinds whose names take an article, which the sentences supply."""


@dataclass(slots=True)
class Document:
    """One document of the corpus."""

    title: str
    text: str
    facts: tuple[int, ...] = ()
    """Numbers of the facts that it states truly."""
    about: int = -1
    """The thing that it is the article of; -1: it is no article."""

    @property
    def contents(self) -> str:
        """Title and text as retrieval corpora hold them: the quoted title, a line feed, the text."""
        return f'"{self.title}"\n{self.text}'


@dataclass
class Writer:
    """Writes the documents of a cell."""

    base: Base
    dice: Dice
    documents: list[Document] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    """Facts that the articles leave out, for other documents to state."""

    def add(self, title: str, lines: list[str], facts: list[int], about: int = -1) -> None:
        """Takes in a document."""
        self.documents.append(Document(title, " ".join(lines), tuple(facts), about))

    def state(self, number: int, *, pronoun: bool = False, value: Value | None = None) -> str:
        """A sentence that states a fact, or with ``value`` the same with another value."""
        base, fact = self.base, self.base.facts[number]
        thing = base.things[fact.subject]
        stated = fact.value if value is None else value
        template = self.dice.pick(RELATIONS[fact.relation].sentences)
        if pronoun and template.startswith(("{s} ", "{p} ")):
            subject = thing.gender or "it"
            possessive = _POSSESSIVES[thing.gender]
        else:
            subject, possessive = thing.name, f"{thing.name}'s"
        text = template.format(
            s=subject,
            p=possessive,
            o=base.text(stated),
            y=fact.since,
            list=enumeration(self.members(number)) if fact.relation in LISTS else "",
        )
        return text[0].upper() + text[1:]

    def members(self, number: int) -> list[str]:
        """Names of what a counting fact counts."""
        fact = self.base.facts[number]
        counted: list[int] = []
        for relation in LISTS[fact.relation]:
            counted += self.base.having(fact.subject, relation)
        return [self.base.text(self.base.facts[i].subject) for i in counted]

    def stated_by_list(self, number: int) -> list[int]:
        """The facts that listing the members of a counting fact states, itself included."""
        fact = self.base.facts[number]
        found = [number]
        for relation in LISTS[fact.relation]:
            found += self.base.having(fact.subject, relation)
        return found


def enumeration(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
