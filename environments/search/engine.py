"""What a game searches with: passages by query and by id, from this process or from a server."""

from __future__ import annotations

from typing import Protocol

from agentgym.environments.search.library import Library
from agentgym.tools.retriever.corpus import Passage


class Engine(Protocol):
    """Finds passages. Raises ``Fault("tool", ...)`` when it can't."""

    remote: bool
    """Whether it waits for a network, and passages can't be had again by their id."""

    def find(self, query: str, k: int) -> list[Passage]:
        """At most ``k`` passages, best first."""
        ...

    def fetch(self, name: str) -> Passage | None:
        """The passage of an id; None where there is none."""
        ...


class LocalEngine:
    """The retriever of a library."""

    remote = False

    def __init__(self, library: Library) -> None:
        self._corpus, self._retriever = library.corpus, library.retriever

    def find(self, query: str, k: int) -> list[Passage]:
        """See ``Engine.find``."""
        return [self._corpus[i] for i in self._retriever.search(query, k).ids.tolist()]

    def fetch(self, name: str) -> Passage | None:
        """See ``Engine.fetch``."""
        position = self._corpus.position(name)
        return None if position is None else self._corpus[position]
