"""Several retrievers as one, and reranking of what they find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import ConfigError
from agentgym.tools.retriever.base import Hits, Retriever
from agentgym.tools.retriever.batch import search_all
from agentgym.tools.retriever.corpus import Corpus
from agentgym.tools.retriever.encoders import load, sound


class Hybrid:
    """Reciprocal rank fusion: ``score(d) = sum over retrievers of weight / (60 + rank(d))``, ranks from 1.

    Source: Cormack et al. 2009, https://doi.org/10.1145/1571941.1572114.

    Args:
        retrievers: Of the same collection.
        weights: One each; None: all 1.
        depth: Hits of each that take part, at least ``k`` of the search.
    """

    def __init__(
        self, retrievers: Sequence[Retriever], weights: Sequence[float] | None = None, depth: int = 50
    ) -> None:
        if not retrievers or len({len(retriever) for retriever in retrievers}) != 1:
            sizes = [len(retriever) for retriever in retrievers]
            raise ConfigError(f"A hybrid needs retrievers of one collection, got collections of {sizes} documents.")
        self._retrievers, self._depth = list(retrievers), depth
        self._weights = [1.0] * len(retrievers) if weights is None else list(weights)
        if len(self._weights) != len(self._retrievers):
            raise ConfigError(f"{len(self._weights)} weights for {len(self._retrievers)} retrievers.")

    def __len__(self) -> int:
        return len(self._retrievers[0])

    def search(self, query: str, k: int) -> Hits:
        """See ``Retriever.search``."""
        return self.search_batch([query], k)[0]

    def search_batch(self, queries: Sequence[str], k: int) -> list[Hits]:
        """See ``BatchRetriever.search_batch``."""
        found = [search_all(retriever, queries, max(k, self._depth)) for retriever in self._retrievers]
        return [self._fuse(hits, k) for hits in zip(*found, strict=True)]

    def _fuse(self, found: Sequence[Hits], k: int) -> Hits:
        scores: dict[int, float] = {}
        for hits, weight in zip(found, self._weights, strict=True):
            for rank, position in enumerate(hits.ids.tolist(), 1):
                scores[position] = scores.get(position, 0.0) + weight / (60 + rank)
        return ranked(np.asarray(list(scores), dtype=np.int64), np.asarray(list(scores.values()), dtype=np.float32), k)


def ranked(ids: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], k: int) -> Hits:
    """The best ``k`` as hits, equal scores by position."""
    order = np.lexsort((ids, -scores))[:k]
    hits = Hits(ids[order], scores[order])
    for array in hits:
        array.setflags(write=False)
    return hits


class Reranker(Protocol):
    """Says how well documents fit a query, having read both."""

    def score(self, query: str, documents: Sequence[str]) -> npt.NDArray[np.float32]:
        """One score a document, higher is better."""
        ...


class Reranked:
    """A retriever whose best ``depth`` hits a reranker puts into a new order."""

    def __init__(self, retriever: Retriever, corpus: Corpus, reranker: Reranker, depth: int = 10) -> None:
        self._retriever, self._corpus, self._reranker, self._depth = retriever, corpus, reranker, depth

    def __len__(self) -> int:
        return len(self._retriever)

    def search(self, query: str, k: int) -> Hits:
        """See ``Retriever.search``."""
        return self.search_batch([query], k)[0]

    def search_batch(self, queries: Sequence[str], k: int) -> list[Hits]:
        """See ``BatchRetriever.search_batch``."""
        found = search_all(self._retriever, queries, max(k, self._depth))
        return [self._rerank(query, hits, k) for query, hits in zip(queries, found, strict=True)]

    def _rerank(self, query: str, hits: Hits, k: int) -> Hits:
        if not len(hits.ids):
            return hits
        documents = [self._corpus[position].contents for position in hits.ids.tolist()]
        return ranked(hits.ids, np.asarray(self._reranker.score(query, documents), dtype=np.float32), k)


class CrossEncoder:
    """A local sequence classifier with one output that reads query and document together."""

    def __init__(self, model: str, *, max_length: int = 512, batch: int = 16) -> None:
        self._tokenizer, self._model = load(model, "AutoModelForSequenceClassification", f"the reranker {model!r}")
        self._max_length, self._batch = max_length, batch

    def score(self, query: str, documents: Sequence[str]) -> npt.NDArray[np.float32]:
        """See ``Reranker.score``."""
        import torch

        found = []
        with torch.inference_mode():
            for start in range(0, len(documents), self._batch):
                texts = [sound(text) for text in documents[start : start + self._batch]]
                inputs = self._tokenizer(
                    [sound(query)] * len(texts),
                    texts,
                    padding=True,
                    truncation=True,
                    max_length=self._max_length,
                    return_tensors="pt",
                )
                found.append(self._model(**inputs).logits[:, -1].float().numpy())
        return np.concatenate(found)
