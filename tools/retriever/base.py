"""What a retriever is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class Hits(NamedTuple):
    """Documents that fit a query, best first; equal scores in the order of the documents. Read-only."""

    ids: npt.NDArray[np.int64]
    """Positions of the documents in the collection, shape ``[n]``."""
    scores: npt.NDArray[np.float32]
    """Higher is better, shape ``[n]``. The scale is the retriever's own."""


class Retriever(Protocol):
    """Ranks the documents of one collection. Equal queries give equal hits, in every process."""

    def __len__(self) -> int:
        """Number of documents."""
        ...

    def search(self, query: str, k: int) -> Hits:
        """At most ``k`` documents that fit ``query`` at all. Any text is a query; an unusable one has no hits."""
        ...
