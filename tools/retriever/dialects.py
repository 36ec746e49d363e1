"""The three ways in which search trainers ask a retriever, and how each wants its answer.

==========  ==========================================================  =========================================
dialect     request                                                     answer
==========  ==========================================================  =========================================
search-r1   JSON ``{"queries": [str], "topk", "return_scores"}``        ``{"result": [[{"document", "score"}]]}``
skyrl       JSON ``{"query": str, "topk", "return_scores"}`` (and verl)  the same, with one inner list
gem         msgpack ``{"query": str, "topk", "return_scores"}``         msgpack ``{"result": [{"document", "score"}]}``
==========  ==========================================================  =========================================

Without ``return_scores`` a result is the bare document. Search-R1's rerank server takes ``topk_retrieval`` and
``topk_rerank`` in place of ``topk``. A document is ``{"id", "contents"}``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.registry import missing_extra
from agentgym.tools.retriever.corpus import Passage

Dialect = Literal["search-r1", "skyrl", "gem"]
DIALECTS: tuple[Dialect, ...] = ("search-r1", "skyrl", "gem")
JSON, MSGPACK = "application/json", "application/msgpack"
MOST_HITS = 1000
MOST_QUERIES = 1024
Scored = tuple[Passage, float]


@dataclass(frozen=True)
class Request:
    """What a client wants."""

    dialect: Dialect
    queries: tuple[str, ...]
    k: int
    scores: bool


def _msgpack() -> Any:
    try:
        import msgpack
    except ModuleNotFoundError as error:
        raise missing_extra(error, needed_by="the msgpack dialect") from error
    return msgpack


def read_request(body: bytes, default_k: int) -> Request:
    """Reads a request of any dialect: a JSON object begins with a brace, which no msgpack map does.

    Raises:
        DataError: It is none of them; says what is wrong.
    """
    is_json = body.lstrip()[:1] == b"{"
    try:
        data = json.loads(body) if is_json else _msgpack().unpackb(body)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"The request is neither a JSON object nor a msgpack map ({error}).") from error
    if not isinstance(data, dict):
        raise DataError(f"The request must be an object, got {type(data).__name__}.")
    queries = data.get("queries", data.get("query"))
    if isinstance(queries, str):
        queries = [queries]
    if not isinstance(queries, list) or not all(isinstance(query, str) for query in queries):
        raise DataError("The request needs 'queries', a list of texts, or 'query', one text.")
    if len(queries) > MOST_QUERIES:
        raise DataError(f"A request holds at most {MOST_QUERIES} queries, got {len(queries)}.")
    k = data.get("topk_rerank") or data.get("topk") or default_k
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST_HITS:
        raise DataError(f"'topk' must be an integer from 1 to {MOST_HITS}, got {k!r}.")
    dialect: Dialect = "gem" if not is_json else "search-r1" if "queries" in data else "skyrl"
    return Request(dialect, tuple(queries), k, bool(data.get("return_scores", dialect != "search-r1")))


def write_reply(request: Request, found: Sequence[Sequence[Scored]]) -> tuple[bytes, str]:
    """Body and content type of the answer."""
    lists = [[_item(passage, score, request.scores) for passage, score in hits] for hits in found]
    if request.dialect == "gem":
        flat = [item for hits in lists for item in hits]
        return _msgpack().packb({"result": flat}, unicode_errors="replace"), MSGPACK
    return json.dumps({"result": lists}, ensure_ascii=False).encode("utf-8", "replace"), JSON


def _item(passage: Passage, score: float, with_score: bool) -> dict[str, Any]:
    document = {"id": passage.id, "contents": passage.contents}
    return {"document": document, "score": score} if with_score else document


def write_request(dialect: Dialect, queries: Sequence[str], k: int) -> tuple[bytes, str]:
    """Body and content type of a request. Only ``search-r1`` takes several queries at once.

    Raises:
        ConfigError: Several queries for another dialect, or an unknown one.
    """
    if dialect not in DIALECTS:
        raise ConfigError(f"Unknown dialect {dialect!r} of a retriever. Known: {', '.join(DIALECTS)}.")
    common = {"topk": k, "return_scores": True}
    if dialect == "search-r1":
        return json.dumps({"queries": list(queries), **common}).encode(), JSON
    if len(queries) != 1:
        raise ConfigError(f"The dialect {dialect!r} asks one query at a time, got {len(queries)}.")
    data = {"query": queries[0], **common}
    return (
        (_msgpack().packb(data, unicode_errors="replace"), MSGPACK)
        if dialect == "gem"
        else (json.dumps(data).encode(), JSON)
    )


def read_reply(dialect: Dialect, body: bytes) -> list[list[Scored]]:
    """The hits of each query.

    Raises:
        DataError: The answer has another form.
    """
    try:
        result = (_msgpack().unpackb(body) if dialect == "gem" else json.loads(body))["result"]
        lists = [result] if dialect == "gem" else result
        return [[_scored(item) for item in hits] for hits in lists]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise DataError(
            f"The retriever answered in another form than the dialect {dialect!r} has ({error!r})."
        ) from error


def _scored(item: Any) -> Scored:
    document = item.get("document", item)
    contents = str(document["contents"])
    return Passage(str(document.get("id", "")), contents), float(item.get("score", 0.0))
