"""Many queries at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from agentgym.tools.retriever.base import Hits, Retriever


@runtime_checkable
class BatchRetriever(Protocol):
    """A retriever that answers several queries in less time than one after the other."""

    def search_batch(self, queries: Sequence[str], k: int) -> list[Hits]:
        """The hits of each query; equal to searching one by one."""
        ...


def search_all(retriever: Retriever, queries: Sequence[str], k: int) -> list[Hits]:
    """The hits of each query, in one go where the retriever can."""
    if isinstance(retriever, BatchRetriever):
        return retriever.search_batch(queries, k)
    return [retriever.search(query, k) for query in queries]
