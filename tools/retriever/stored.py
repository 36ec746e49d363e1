"""A corpus and its index in one folder, made once and opened by servers and environments.

``corpus/`` holds the documents, ``index/`` the BM25 index, ``dense/`` vectors where there are any; which of them answer
queries stands in ``retriever.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from agentgym.core.errors import ConfigError, DataError
from agentgym.tools.retriever.base import Retriever
from agentgym.tools.retriever.corpus import Corpus, Passage
from agentgym.tools.retriever.dense import DenseIndex, Structure
from agentgym.tools.retriever.embed import make_embedder
from agentgym.tools.retriever.hybrid import CrossEncoder, Hybrid, Reranked
from agentgym.tools.retriever.impact import ImpactIndex

Method = Literal["bm25", "dense", "hybrid"]
METHODS: tuple[Method, ...] = ("bm25", "dense", "hybrid")
_SETTINGS = "retriever.json"
_WORLD = "splits.npy"
"""A world of the search environment has questions, and no settings."""


def build_retriever(
    folder: Path,
    passages: Iterable[Passage],
    *,
    method: Method = "bm25",
    embedder: str = "",
    structure: Structure = "flat",
) -> int:
    """Stores documents and indexes them; returns how many.

    Args:
        folder: Where to; must not hold a retriever.
        passages: The documents.
        method: ``bm25``, ``dense`` or both (``hybrid``).
        embedder: For ``dense`` and ``hybrid``: see ``embed.make_embedder``.
        structure: Of the dense index.

    Raises:
        ConfigError: An option is wrong, or the folder holds a retriever.
    """
    if method not in METHODS:
        raise ConfigError(f"Unknown method {method!r} of retrieval. Known: {', '.join(METHODS)}.")
    if (folder / _SETTINGS).exists():
        raise ConfigError(f"{str(folder)!r} holds a retriever already. Choose another folder, or remove this one.")
    if method != "bm25" and not embedder:
        raise ConfigError(f"{method!r} retrieval needs an embedder, for example transformers:intfloat/e5-base-v2.")
    model = make_embedder(embedder) if method != "bm25" else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{str(folder)!r} can't be made: {error.strerror}. Choose another folder.") from error
    Corpus.write(folder / "corpus", passages)
    corpus = Corpus.load(folder / "corpus")
    if method != "dense":
        ImpactIndex.build(corpus.contents()).save(folder / "index")
    if model is not None:
        DenseIndex.build(model, corpus.contents(), structure=structure).save(folder / "dense")
    (folder / _SETTINGS).write_text(json.dumps({"method": method}), encoding="utf-8")
    return len(corpus)


def open_retriever(folder: Path, *, reranker: str = "") -> tuple[Corpus, Retriever]:
    """Opens what ``build_retriever`` made, or a world of the search environment.

    Args:
        folder: Where.
        reranker: Name of a cross-encoder that puts the best hits into a new order. Empty: none.

    Raises:
        DataError: No complete retriever there.
    """
    corpus = Corpus.load(folder / "corpus")
    try:
        world = (folder / _WORLD).exists()
        method = "bm25" if world else json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))["method"]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"There is no complete retriever in {str(folder)!r}: {error}. Build it again.") from error
    parts: list[Retriever] = []
    if method != "dense":
        parts.append(ImpactIndex.load(folder / "index"))
    if method != "bm25":
        parts.append(DenseIndex.load(folder / "dense"))
    found = parts[0] if len(parts) == 1 else Hybrid(parts)
    return corpus, Reranked(found, corpus, CrossEncoder(reranker)) if reranker else found
