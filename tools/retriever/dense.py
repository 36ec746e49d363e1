"""Dense retrieval: inner products of unit vectors, by FAISS.

Source: Johnson et al. 2017, https://arxiv.org/abs/1702.08734.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.registry import missing_extra
from agentgym.tools.retriever.base import Hits
from agentgym.tools.retriever.embed import Embedder, in_batches, make_embedder

Structure = Literal["flat", "hnsw"]
"""``flat``: exact, looks at every vector. ``hnsw``: a graph, approximate and quick."""
_NEIGHBOURS = 32
_VECTORS, _SETTINGS = "vectors.faiss", "settings.json"


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise missing_extra(error, needed_by="dense retrieval") from error
    return faiss


class DenseIndex:
    """Vectors of a collection. Make one with ``build`` or ``load``."""

    def __init__(self, index: Any, embedder: Embedder) -> None:
        self._index, self._embedder = index, embedder

    @classmethod
    def build(cls, embedder: Embedder, texts: Iterable[str], *, structure: Structure = "flat") -> DenseIndex:
        """Embeds and indexes ``texts``; document i is the i-th text.

        Raises:
            ConfigError: No texts, or an unknown structure.
            MissingExtraError: FAISS isn't installed.
        """
        faiss, index = _faiss(), None
        if structure not in ("flat", "hnsw"):
            raise ConfigError(f"Unknown structure {structure!r} of a dense index. Known: flat, hnsw.")
        for batch in in_batches(texts):
            vectors = embedder.documents(batch)
            if index is None:
                width = vectors.shape[1]
                index = (
                    faiss.IndexFlatIP(width)
                    if structure == "flat"
                    else faiss.IndexHNSWFlat(width, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
                )
            index.add(vectors)
        if index is None:
            raise ConfigError("A dense index needs at least one document, got none.")
        return cls(index, embedder)

    def save(self, folder: Path) -> None:
        """Writes the vectors, and the name of the embedder."""
        folder.mkdir(parents=True, exist_ok=True)
        _faiss().write_index(self._index, str(folder / _VECTORS))
        (folder / _SETTINGS).write_text(
            json.dumps({"kind": "dense", "embedder": self._embedder.spec}), encoding="utf-8"
        )

    @classmethod
    def load(cls, folder: Path, embedder: Embedder | None = None) -> DenseIndex:
        """Opens a saved index; its vectors stay in the file. ``embedder``: None makes the one that it was built with.

        Raises:
            DataError: No complete index there.
        """
        faiss = _faiss()
        try:
            spec = str(json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))["embedder"])
            index = faiss.read_index(str(folder / _VECTORS), faiss.IO_FLAG_MMAP_IFC)
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise DataError(f"There is no complete dense index in {str(folder)!r}: {error}") from error
        return cls(index, embedder or make_embedder(spec))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, query: str, k: int) -> Hits:
        """See ``Retriever.search``. Every document fits a query that has a vector."""
        return self.search_batch([query], k)[0]

    def search_batch(self, queries: Sequence[str], k: int) -> list[Hits]:
        """See ``BatchRetriever.search_batch``."""
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}.")
        if not queries:
            return []
        vectors = self._embedder.queries(queries)
        scores, ids = self._index.search(vectors, min(k, len(self)))
        return [_hits(i, s, usable=bool(v.any())) for i, s, v in zip(ids, scores, vectors, strict=True)]


def _hits(ids: Any, scores: Any, *, usable: bool) -> Hits:
    """Hits in the order that is promised: equal scores by position."""
    found = ids >= 0 if usable else np.zeros(len(ids), dtype=bool)
    ids, scores = cast(Any, ids[found].astype(np.int64)), cast(Any, scores[found].astype(np.float32))
    order = np.lexsort((ids, -scores))
    hits = Hits(ids[order], scores[order])
    for array in hits:
        array.setflags(write=False)
    return hits
