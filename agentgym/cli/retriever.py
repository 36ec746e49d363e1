"""``agentgym retriever``: index a corpus, serve it, ask it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentgym.tools.retriever.corpus import Passage
    from agentgym.tools.retriever.dialects import Scored

_SHOWN_EVERY = 100_000

app = typer.Typer(help="Retrievers: build an index, serve it to trainers, query it.", no_args_is_help=True)


@app.command("build")
def build(
    out: Annotated[Path, typer.Option(help="Folder of the retriever.")],
    corpus: Annotated[str, typer.Option(help="JSON Lines of documents: id and contents, or id, title, text.")] = "",
    world: Annotated[int, typer.Option(help="Without --corpus: seed of a fictional world.")] = 0,
    documents: Annotated[int, typer.Option(help="Without --corpus: about how many documents it has.")] = 10_000,
    method: Annotated[str, typer.Option(help="bm25, dense or hybrid.")] = "bm25",
    embedder: Annotated[
        str,
        typer.Option(help="For dense and hybrid: hash:256, transformers:<model> or http://.../v1/embeddings#<model>."),
    ] = "",
    structure: Annotated[str, typer.Option(help="Of the dense index: flat or hnsw.")] = "flat",
) -> None:
    """Store the documents of a corpus and index them."""
    from typing import Any, cast

    from agentgym.core.errors import ConfigError
    from agentgym.tools.retriever.corpus import read_jsonl
    from agentgym.tools.retriever.stored import build_retriever

    if corpus:
        if not Path(corpus).is_file():
            raise ConfigError(f"There is no file {corpus!r}.")
        passages = read_jsonl(Path(corpus))
    else:
        from agentgym.environments.search.world.build import open_world

        passages = iter(open_world(world, documents).corpus)
    count = build_retriever(
        out, _counted(passages), method=cast(Any, method), embedder=embedder, structure=cast(Any, structure)
    )
    print(f"{count} documents in {out}")


def _counted(passages: Iterator[Passage]) -> Iterator[Passage]:
    """The same, with a line on stderr now and then: how many there will be isn't known."""
    for number, passage in enumerate(passages, 1):
        if number % _SHOWN_EVERY == 0:
            typer.echo(f"documents: {number}", err=True)
        yield passage


@app.command("serve")
def serve(
    folder: Annotated[Path, typer.Argument(help="Folder of a retriever.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    topk: Annotated[int, typer.Option(min=1, help="Hits where a request doesn't say.")] = 3,
    reranker: Annotated[str, typer.Option(help="Cross-encoder that reorders the best hits; empty for none.")] = "",
    processes: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
) -> None:
    """Serve a retriever to search trainers: the dialects of Search-R1, SkyRL (verl) and GEM on one port."""
    from agentgym.core.errors import ConfigError
    from agentgym.tools.retriever.serve import serve_folder

    if processes > 1 and port == 0:
        raise ConfigError("Several processes share one port: name it with --port.")

    def ready(number: int) -> None:
        print(f"serving {folder} at http://{host}:{number}/retrieve", flush=True)

    serve_folder(folder, host=host, port=port, default_k=topk, reranker=reranker, processes=processes, ready=ready)


@app.command("query")
def query(
    source: Annotated[str, typer.Argument(help="Folder of a retriever, or the address of a server.")],
    text: Annotated[list[str], typer.Argument(help="One query or several.")],
    topk: Annotated[int, typer.Option(min=1, help="Hits a query.")] = 3,
    dialect: Annotated[str, typer.Option(help="Of a server: search-r1, skyrl or gem.")] = "search-r1",
    reranker: Annotated[str, typer.Option(help="Of a folder: cross-encoder that reorders the best hits.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask a retriever."""
    import json

    found = _ask(source, text, topk, dialect, reranker)
    if as_json:
        rows = [
            {"query": one, "hits": [{"id": p.id, "contents": p.contents, "score": s} for p, s in hits]}
            for one, hits in zip(text, found, strict=True)
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for one, hits in zip(text, found, strict=True):
        print(one)
        for passage, score in hits:
            print(f"  {score:8.4f}  {passage.id}  {passage.title}: {passage.text[:160]}")


def _ask(source: str, queries: list[str], k: int, dialect: str, reranker: str) -> list[list[Scored]]:
    from typing import Any, cast

    from agentgym.core.errors import ConfigError

    if source.startswith(("http://", "https://")):
        if reranker:
            raise ConfigError("A server reranks by itself: name the reranker where it is started.")
        from agentgym.tools.retriever.client import RetrieverClient

        return RetrieverClient(source, cast(Any, dialect)).search(queries, k)
    from agentgym.tools.retriever.batch import search_all
    from agentgym.tools.retriever.stored import open_retriever

    corpus, retriever = open_retriever(Path(source), reranker=reranker)
    return [
        [(corpus[i], score) for i, score in zip(hits.ids.tolist(), hits.scores.tolist(), strict=True)]
        for hits in search_all(retriever, queries, k)
    ]
