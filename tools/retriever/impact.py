"""BM25 for large collections: scores are stored, and most of them are never looked at.

The index keeps for each term the documents that hold it with the term's share of their score ("impact"), and the
largest impact of the term. A query adds up its rare terms first; as soon as the k-th best document so far beats what
all remaining terms together could give, documents that hold only those can't be among the best, and the remaining
terms are looked up for the candidates alone. The result is exact and equal to adding up everything.

Source: MaxScore, Turtle and Flood 1995, https://doi.org/10.1016/0306-4573(95)00020-H. Scores are those of ``BM25`` (the
``lucene`` variant); ties are settled by position.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import ConfigError, DataError
from agentgym.tools.retriever.base import Hits
from agentgym.tools.retriever.bm25 import CACHED_QUERIES, MAX_QUERY_TERMS, Analyzer, analyze, best
from agentgym.tools.retriever.postings import Postings, build_postings

DENSE = 1 << 15
"""Collections up to this size add up everything: that is quicker than being clever."""
_PROMISING = 8
"""Documents a wanted hit whose full score is worked out early, for a high bar."""
_SLACK = np.float32(1e-5)
"""Relative tolerance of pruning, above the rounding of sums in another order."""
_ARRAYS = ("starts", "ids", "impacts", "largest")

_Floats = npt.NDArray[np.float32]
_Ids = npt.NDArray[np.int32]


class _Term(NamedTuple):
    """One term of a query."""

    ids: _Ids
    impacts: _Floats
    times: np.float32
    """How often the query says it."""
    bound: float
    """The most that it can add to a score."""


class ImpactIndex:
    """A BM25 index. Make one with ``build`` or ``load``."""

    def __init__(self, postings: Postings, analyzer: Analyzer) -> None:
        self.analyzer = analyzer
        self._postings = postings
        self._terms = analyze(analyzer)
        self._local = threading.local()
        self._cached = lru_cache(maxsize=CACHED_QUERIES)(self._search)

    @classmethod
    def build(
        cls, texts: Iterable[str], *, analyzer: Analyzer = "words", k1: float = 1.5, b: float = 0.75
    ) -> ImpactIndex:
        """Indexes ``texts``; document i is the i-th text. Parameters as in ``BM25.build``.

        Raises:
            ConfigError: No texts, or a parameter out of range.
        """
        return cls(build_postings(texts, analyze(analyzer), k1, b), analyzer)

    def save(self, folder: Path) -> None:
        """Writes the index: one ``.npy`` file an array, the vocabulary and the settings as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self._postings, name))
        (folder / "vocabulary.json").write_text(json.dumps(list(self._postings.vocabulary)), encoding="utf-8")
        settings = {"kind": "impact", "analyzer": self.analyzer, "documents": self._postings.documents}
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ImpactIndex:
        """Opens a saved index. Its arrays stay in the files and are shared by all processes that open it.

        Raises:
            DataError: No complete index there.
        """
        try:
            settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
            terms = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
            analyzer, documents = cast(Analyzer, settings["analyzer"]), int(settings["documents"])
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"There is no complete index in {str(folder)!r}: {error}") from error
        # plain views: every access to a memmap object costs ten times as much
        plain = {name: np.asarray(array) for name, array in arrays.items()}
        return cls(Postings({term: i for i, term in enumerate(terms)}, documents, **plain), analyzer)

    def __len__(self) -> int:
        return self._postings.documents

    def search(self, query: str, k: int) -> Hits:
        """See ``Retriever.search``. Documents without any term of the query are no hits."""
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}.")
        return self._cached(query, k)

    def _search(self, query: str, k: int) -> Hits:
        terms = self._look_up(query)
        if len(self) <= DENSE:
            scores = np.zeros(len(self), dtype=np.float32)
            for term in terms:
                scores[term.ids] += term.impacts * term.times
            ids = best(scores, k)
            hits = Hits(ids, scores[ids])
        else:
            candidates = self._candidates(sorted(terms, key=lambda term: -term.bound), k)
            scores = _exact(candidates, terms)
            order = np.lexsort((candidates, -scores))[:k]
            hits = Hits(candidates[order].astype(np.int64), scores[order])
        for array in hits:
            array.setflags(write=False)
        return hits

    def _look_up(self, query: str) -> list[_Term]:
        """The terms of the query that the collection holds, in the order in which they first occur."""
        postings, times = self._postings, dict[int, int]()
        for text in self._terms(query)[:MAX_QUERY_TERMS]:
            term = postings.vocabulary.get(text)
            if term is not None:
                times[term] = times.get(term, 0) + 1
        found = []
        for term, count in times.items():
            span = slice(postings.starts[term], postings.starts[term + 1])
            found.append(
                _Term(
                    postings.ids[span], postings.impacts[span], np.float32(count), float(postings.largest[term]) * count
                )
            )
        return found

    def _candidates(self, terms: list[_Term], k: int) -> _Ids:
        """Documents that may be among the best ``k``, the strongest terms being given first."""
        rest = np.append(np.cumsum([term.bound for term in terms][::-1], dtype=np.float64)[::-1], 0.0)
        scores = self._scratch()
        touched: list[_Ids] = []
        candidates = np.empty(0, dtype=np.int32)
        threshold = 0.0
        essential = 0
        try:
            while essential < len(terms) and threshold <= rest[essential] * (1 + _SLACK):
                term = terms[essential]
                touched.append(term.ids[scores[term.ids] == 0])
                scores[term.ids] += term.impacts * term.times
                essential += 1
                candidates = np.concatenate(touched)
                threshold = max(threshold, self._reached(candidates, scores[candidates], terms, k))
            partial = scores[candidates]
            for i in range(essential, len(terms)):
                keep = partial + rest[i] >= threshold * (1 - _SLACK)
                candidates, partial = candidates[keep], partial[keep]
                partial += _impacts_of(candidates, terms[i])
                threshold = max(threshold, _kth(partial, k))
            return candidates[partial >= threshold * (1 - _SLACK)]
        finally:
            for ids in touched:
                scores[ids] = 0

    @staticmethod
    def _reached(candidates: _Ids, partial: _Floats, terms: list[_Term], k: int) -> float:
        """A score that at least ``k`` documents reach: the k-th of the full scores of the most promising ones."""
        few = _PROMISING * k
        if len(candidates) > few:
            candidates = candidates[np.argpartition(partial, len(partial) - few)[-few:]]
        return _kth(_exact(candidates, terms), k)

    def _scratch(self) -> _Floats:
        """Zeros, one a document, kept from query to query; a thread's own."""
        found: _Floats | None = getattr(self._local, "scores", None)
        if found is None:
            found = self._local.scores = np.zeros(len(self), dtype=np.float32)
        return found


def _kth(scores: _Floats, k: int) -> float:
    """The k-th largest score; 0 where there are fewer."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if len(scores) >= k else 0.0


def _impacts_of(ids: _Ids, term: _Term) -> _Floats:
    """What a term adds to each of some documents."""
    places = np.searchsorted(term.ids, ids)
    places[places == len(term.ids)] = 0
    return np.where(term.ids[places] == ids, term.impacts[places] * term.times, np.float32(0))


def _exact(ids: _Ids, terms: list[_Term]) -> _Floats:
    """Scores of some documents, added up in the order of the query, so that ties fall as in a full sum."""
    scores = np.zeros(len(ids), dtype=np.float32)
    for term in terms:
        scores += _impacts_of(ids, term)
    return scores
