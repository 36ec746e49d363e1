"""Sentence embeddings: texts to vectors of length 1, by hashing, by a local model or by a server.

An embedder is named by a text, so that an index can be opened again: ``hash:256``, ``transformers:<model>`` or the
address of a server that speaks OpenAI's embeddings protocol, ``http://host:8080/v1/embeddings#<model>``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.tools.retriever.encoders import SentenceEncoder
from agentgym.tools.retriever.http import post_json

Vectors = npt.NDArray[np.float32]
BATCH = 128
_WORD = re.compile(r"[^\W_]+")


class Embedder(Protocol):
    """Texts to vectors. Equal texts give equal vectors."""

    spec: str
    """What ``make_embedder`` makes it from."""

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, shape ``[texts, dimension]``, each of length 1 (or 0 for a text without any feature)."""
        ...

    def documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents, as ``queries``."""
        ...


def make_embedder(spec: str) -> Embedder:
    """The embedder that ``spec`` names.

    Raises:
        ConfigError: ``spec`` has another form, or there is no such local model.
        MissingExtraError: A local model, and torch or transformers isn't installed.
    """
    if spec.startswith("hash:") and spec[5:].isdecimal() and int(spec[5:]) > 0:
        return HashEmbedder(int(spec[5:]))
    if spec.startswith("transformers:") and spec != "transformers:":
        return TransformersEmbedder(spec.removeprefix("transformers:"))
    if spec.startswith(("http://", "https://")):
        return ServerEmbedder(spec)
    raise ConfigError(
        f"Unknown embedder {spec!r}. Expected 'hash:<dimension>', 'transformers:<model>' or 'http://.../v1/embeddings#<model>'."
    )


def in_batches(texts: Iterable[str], size: int = BATCH) -> Iterator[list[str]]:
    """``texts`` in lists of ``size``."""
    source = iter(texts)
    while batch := list(islice(source, size)):
        yield batch


def unit(vectors: npt.NDArray[Any]) -> Vectors:
    """Rows scaled to length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(lengths == 0, 1, lengths), dtype=np.float32)


class HashEmbedder:
    """Words and their runs of three letters, hashed to signed coordinates. Needs no model; knows no meaning, but finds
    words that are spelt a little differently.

    Source: feature hashing, Weinberger et al. 2009, https://arxiv.org/abs/0902.2206.
    """

    def __init__(self, dimension: int = 256) -> None:
        self.spec, self._dimension = f"hash:{dimension}", dimension
        self._word = lru_cache(maxsize=1 << 16)(self._features)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """See ``Embedder.queries``."""
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in _WORD.findall(text.lower()):
                places, signs = self._word(word)
                np.add.at(row, places, signs)
        return unit(vectors)

    documents = queries

    def _features(self, word: str) -> tuple[npt.NDArray[np.int64], Vectors]:
        marked = f"^{word}$"
        features = [marked, *(marked[i : i + 3] for i in range(len(marked) - 2))]
        hashed = [
            int.from_bytes(hashlib.blake2b(f.encode("utf-8", "replace"), digest_size=8).digest(), "big")
            for f in features
        ]
        weights = np.asarray([1.0, *([0.5] * (len(features) - 1))], dtype=np.float32)
        signs = np.asarray([1.0 if value & 1 else -1.0 for value in hashed], dtype=np.float32)
        return np.asarray([(value >> 1) % self._dimension for value in hashed]), signs * weights


class TransformersEmbedder:
    """A local encoder; see ``encoders``."""

    def __init__(self, model: str) -> None:
        self._encoder = SentenceEncoder(model)
        self.spec = f"transformers:{self._encoder.name}"

    def queries(self, texts: Sequence[str]) -> Vectors:
        """See ``Embedder.queries``."""
        return self._encoder.encode([self._encoder.query_prefix + text for text in texts])

    def documents(self, texts: Sequence[str]) -> Vectors:
        """See ``Embedder.documents``."""
        return self._encoder.encode([self._encoder.document_prefix + text for text in texts])


class ServerEmbedder:
    """A server that speaks OpenAI's embeddings protocol; the part after ``#`` is the name of its model."""

    def __init__(self, address: str) -> None:
        self.spec = address
        self._url, _, self._model = address.partition("#")

    def queries(self, texts: Sequence[str]) -> Vectors:
        """See ``Embedder.queries``."""
        found = []
        for batch in in_batches(texts):
            reply = post_json(self._url, {"model": self._model, "input": batch})
            try:
                rows = sorted(reply["data"], key=lambda row: row["index"])
                found.append(np.asarray([row["embedding"] for row in rows], dtype=np.float32))
            except (KeyError, TypeError, ValueError) as error:
                raise Fault(Boundary.TOOL, f"{self._url} gave no embeddings: {error!r}.") from error
        return unit(np.concatenate(found))

    documents = queries
