"""Building the postings of an index in one pass over the texts, in bounded memory."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import ConfigError

CHUNK = 1 << 15
"""Documents that are sorted at once."""


@dataclass
class Postings:
    """For each term the documents that hold it, in ascending order, and its impact on their scores."""

    vocabulary: dict[str, int]
    documents: int
    starts: npt.NDArray[np.int64]
    """Where the postings of each term begin, shape ``[terms + 1]``."""
    ids: npt.NDArray[np.int32]
    impacts: npt.NDArray[np.float32]
    largest: npt.NDArray[np.float32]
    """Largest impact of each term, shape ``[terms]``."""


@dataclass
class _Chunk:
    """Postings of some documents, sorted by term and document."""

    terms: npt.NDArray[np.int32]
    ids: npt.NDArray[np.int32]
    counts: npt.NDArray[np.uint16]


def build_postings(texts: Iterable[str], terms_of: Callable[[str], list[str]], k1: float, b: float) -> Postings:
    """Postings of BM25's ``lucene`` variant: ``idf · tf / (tf + k1 · (1 - b + b · length / mean length))`` with
    ``idf = ln(1 + (N - df + ½) / (df + ½))``.

    Raises:
        ConfigError: No terms at all, or a parameter out of range.
    """
    if not k1 > 0 or not 0 <= b <= 1:
        raise ConfigError(f"BM25 needs k1 > 0 and b in [0, 1], got k1={k1} and b={b}.")
    vocabulary: dict[str, int] = {}
    lengths: list[npt.NDArray[np.int32]] = []
    chunks = list(_chunks(iter(texts), terms_of, vocabulary, lengths))
    if not vocabulary:
        raise ConfigError("BM25 needs at least one document with at least one term, got none.")
    length = np.concatenate(lengths).astype(np.float64)
    norms = k1 * (1 - b + b * length / length.mean())
    frequencies = np.zeros(len(vocabulary), dtype=np.int64)
    for chunk in chunks:
        frequencies += np.bincount(chunk.terms, minlength=len(vocabulary))
    idf = np.log1p((len(length) - frequencies + 0.5) / (frequencies + 0.5))
    starts = np.concatenate([[0], np.cumsum(frequencies)]).astype(np.int64)
    ids = np.empty(starts[-1], dtype=np.int32)
    impacts = np.empty(starts[-1], dtype=np.float32)
    largest = np.zeros(len(vocabulary), dtype=np.float32)
    free = starts[:-1].copy()
    while chunks:
        chunk = chunks.pop(0)
        impact = (idf[chunk.terms] * chunk.counts / (chunk.counts + norms[chunk.ids])).astype(np.float32)
        first = np.flatnonzero(np.diff(chunk.terms, prepend=-1))
        sizes = np.diff(np.append(first, len(chunk.terms)))
        present = chunk.terms[first]
        places = np.repeat(free[present] - first, sizes) + np.arange(len(chunk.terms))
        ids[places], impacts[places] = chunk.ids, impact
        largest[present] = np.maximum(largest[present], np.maximum.reduceat(impact, first))
        free[present] += sizes
    return Postings(vocabulary, len(length), starts, ids, impacts, largest)


def _chunks(
    texts: Iterator[str],
    terms_of: Callable[[str], list[str]],
    vocabulary: dict[str, int],
    lengths: list[npt.NDArray[np.int32]],
) -> Iterator[_Chunk]:
    """Postings of the next documents; fills the vocabulary and the lengths as it goes."""
    done = 0
    while batch := list(islice(texts, CHUNK)):
        terms = array("i")
        sizes = np.empty(len(batch), dtype=np.int32)
        for i, text in enumerate(batch):
            found = terms_of(text)
            terms.extend([vocabulary.setdefault(term, len(vocabulary)) for term in found])
            sizes[i] = len(found)
        lengths.append(sizes)
        if not terms:
            done += len(batch)
            continue
        documents = np.repeat(np.arange(done, done + len(batch), dtype=np.int64), sizes)
        keys = np.frombuffer(terms, dtype=np.int32).astype(np.int64) << 32 | documents
        pairs, counts = np.unique(keys, return_counts=True)
        yield _Chunk(
            (pairs >> 32).astype(np.int32),
            (pairs & 0xFFFFFFFF).astype(np.int32),
            np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16),
        )
        done += len(batch)
