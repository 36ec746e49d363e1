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
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.core.registry import missing_extra
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
        ConfigError: ``spec`` has another form.
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


def sound(text: str) -> str:
    """``text`` without halves of surrogate pairs, which JSON can hold and tokenizers refuse."""
    return text.encode("utf-8", "replace").decode()


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
    """A local encoder, mean-pooled. Models of the E5 family get their ``query:`` and ``passage:`` prefixes.

    Source: E5, Wang et al. 2022, https://arxiv.org/abs/2212.03533.
    """

    def __init__(self, model: str, *, max_length: int = 256) -> None:
        self.spec = f"transformers:{model}"
        try:
            import torch
            from transformers import AutoModel, AutoTokenizer
        except ModuleNotFoundError as error:
            raise missing_extra(error, needed_by=self.spec) from error
        self._torch: Any = torch
        self._tokenizer: Any = cast(Any, AutoTokenizer).from_pretrained(model)
        self._model: Any = cast(Any, AutoModel).from_pretrained(model).eval()
        self._max_length = max_length
        prefixed = "e5" in model.rpartition("/")[2].lower()
        self._query, self._passage = ("query: ", "passage: ") if prefixed else ("", "")

    def queries(self, texts: Sequence[str]) -> Vectors:
        """See ``Embedder.queries``."""
        return self._embed([self._query + sound(text) for text in texts])

    def documents(self, texts: Sequence[str]) -> Vectors:
        """See ``Embedder.documents``."""
        return self._embed([self._passage + sound(text) for text in texts])

    def _embed(self, texts: list[str]) -> Vectors:
        found = []
        with self._torch.inference_mode():
            for batch in in_batches(texts):
                inputs = self._tokenizer(
                    batch, padding=True, truncation=True, max_length=self._max_length, return_tensors="pt"
                )
                hidden = self._model(**inputs).last_hidden_state
                mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
                found.append(((hidden * mask).sum(1) / mask.sum(1).clamp(min=1)).float().numpy())
        return unit(np.concatenate(found))


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
