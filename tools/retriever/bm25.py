"""BM25 over a memory-mapped index.

bm25s builds, stores and scores; the choice of the best k is ours, because the library leaves the order of equal scores
open. Indexing runs in one thread, so an index is the same from build to build.

Source of the scores: Lu 2024, "BM25S", https://arxiv.org/abs/2407.03618; method ``lucene`` is the variant of Kamphuis
et al. 2020 that Apache Lucene computes: ``idf · tf / (tf + k1 · (1 - b + b · length / mean length))`` with
``idf = ln(1 + (N - df + ½) / (df + ½))``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import bm25s
import numpy as np
import numpy.typing as npt

from agentgym.core.errors import ConfigError, DataError
from agentgym.tools.retriever.base import Hits

Analyzer = Literal["words", "blanks"]
"""How text becomes terms, after lower-casing. ``words``: runs of letters and digits. ``blanks``: split on blanks."""

MAX_QUERY_TERMS = 256
"""Terms of a query that count; a longer one is cut, so that no query takes long."""

CACHED_QUERIES = 4096

_WORD = re.compile(r"[^\W_]+")
_ANALYZERS: dict[Analyzer, Callable[[str], list[str]]] = {
    "words": lambda text: _WORD.findall(text.lower()),
    "blanks": lambda text: text.lower().split(),
}
_SETTINGS = "agentgym.json"
_BLOCK = 256


def analyze(analyzer: Analyzer) -> Callable[[str], list[str]]:
    """The function that turns text into terms. Raises ConfigError for an unknown analyzer."""
    if analyzer not in _ANALYZERS:
        raise ConfigError(f"Unknown analyzer {analyzer!r}. Known: {', '.join(_ANALYZERS)}.")
    return _ANALYZERS[analyzer]


class BM25:
    """A BM25 index. Make one with ``build`` or ``load``."""

    def __init__(self, index: Any, analyzer: Analyzer) -> None:
        self._index = index
        self._terms = _ANALYZERS[analyzer]
        self.analyzer = analyzer
        self._vocabulary: dict[str, int] = index.vocab_dict
        self._count = int(index.scores["num_docs"])
        self._cached = lru_cache(maxsize=CACHED_QUERIES)(self._search)

    @classmethod
    def build(cls, texts: Iterable[str], *, analyzer: Analyzer = "words", k1: float = 1.5, b: float = 0.75) -> BM25:
        """Indexes ``texts``; document i is the i-th text.

        Args:
            texts: At least one document.
            analyzer: How text becomes terms, for documents and queries.
            k1: Saturation of the term frequency, above 0.
            b: How much long documents are held back, in [0, 1].

        Raises:
            ConfigError: No texts, or a parameter out of range.
        """
        if analyzer not in _ANALYZERS:
            raise ConfigError(f"Unknown analyzer {analyzer!r}. Known: {', '.join(_ANALYZERS)}.")
        if not k1 > 0 or not 0 <= b <= 1:
            raise ConfigError(f"BM25 needs k1 > 0 and b in [0, 1], got k1={k1} and b={b}.")
        terms = _ANALYZERS[analyzer]
        vocabulary: dict[str, int] = {}
        documents = [[vocabulary.setdefault(term, len(vocabulary)) for term in terms(text)] for text in texts]
        if not vocabulary:
            raise ConfigError("BM25 needs at least one document with at least one term, got none.")
        index = bm25s.BM25(k1=k1, b=b, method="lucene", backend="numpy", csc_backend="numpy")
        index.index((documents, vocabulary), show_progress=False)
        return cls(index, analyzer)

    def save(self, folder: Path) -> None:
        """Writes the index: bm25s' own files, and one that names the analyzer."""
        self._index.save(folder, show_progress=False)
        (folder / _SETTINGS).write_text(json.dumps({"analyzer": self.analyzer}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> BM25:
        """Opens a saved index. Its arrays stay in the file and are shared by all processes that open it.

        Raises:
            DataError: No complete index there.
        """
        try:
            settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
            index = bm25s.BM25.load(folder, mmap=True, backend="numpy")
            for name in ("data", "indices", "indptr"):  # plain views: slicing a memmap object costs microseconds
                index.scores[name] = np.asarray(index.scores[name])
            return cls(index, cast(Analyzer, settings["analyzer"]))
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"There is no complete BM25 index in {str(folder)!r}: {error}") from error

    def __len__(self) -> int:
        return self._count

    def search(self, query: str, k: int) -> Hits:
        """See ``Retriever.search``. Documents without any term of the query are no hits."""
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}.")
        return self._cached(query, k)

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        """The score of every document, shape ``[documents]``; 0 without a shared term. Repeated terms count again."""
        found = (self._vocabulary.get(term) for term in self._terms(query)[:MAX_QUERY_TERMS])
        terms = [term for term in found if term is not None]
        if not terms:
            return np.zeros(self._count, dtype=np.float32)
        return cast("npt.NDArray[np.float32]", self._index.get_scores_from_ids(terms))

    def _search(self, query: str, k: int) -> Hits:
        scores = self.scores(query)
        ids = best(scores, k)
        hits = Hits(ids, scores[ids])
        for array in hits:
            array.setflags(write=False)
        return hits


def best(scores: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """Positions of the ``k`` highest scores above 0, best first, equal scores in order of position.

    Only what reaches a lower bound of the k-th largest score is sorted: in a large collection the k-th largest of the
    maxima of blocks, else the k-th largest score itself.
    """
    blocks = len(scores) // _BLOCK
    peaks = scores[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1) if blocks > k else scores
    bound = np.partition(peaks, len(peaks) - k)[len(peaks) - k] if len(peaks) > k else 0.0
    candidates = np.flatnonzero(scores >= bound) if bound > 0 else np.flatnonzero(scores > 0)
    order = np.argsort(-scores[candidates], kind="stable")[:k]
    return candidates[order]
