"""What a game searches with: passages by query and by id, from this process or from a server."""

from __future__ import annotations

from typing import Protocol

from agentgym.core.seeding import digest
from agentgym.environments.search.library import Library
from agentgym.tools.retriever.client import RetrieverClient
from agentgym.tools.retriever.corpus import Passage
from agentgym.tools.retriever.dialects import Dialect
from agentgym.tools.retriever.http import Patience


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

    def close(self) -> None:
        """Frees what can be had again."""
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

    def close(self) -> None:
        """Nothing to free: the library is shared."""


class RemoteEngine:
    """A retriever behind a network.

    Args:
        url: Its address.
        dialect: What it understands.
        patience: How long to wait for it.
    """

    remote = True

    def __init__(self, url: str, dialect: Dialect = "search-r1", patience: Patience | None = None) -> None:
        self._client = RetrieverClient(url, dialect, patience)

    def find(self, query: str, k: int) -> list[Passage]:
        """See ``Engine.find``. A document without id gets one from its contents."""
        found = self._client.search([query], k)[0]
        return [Passage(passage.id or digest(passage.contents), passage.contents) for passage, _ in found]

    def fetch(self, name: str) -> Passage | None:
        """None: servers give documents for queries alone."""
        return None

    def close(self) -> None:
        """Closes the connections; the next search opens new ones."""
        self._client.close()
