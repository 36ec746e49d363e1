"""Dense and hybrid retrieval with a reranker, from the command line to a client: build, query, serve, ask, play."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from agentgym import AgentGymError
from agentgym.cli.main import app
from agentgym.tools.retriever.client import RetrieverClient
from agentgym.tools.retriever.dialects import DIALECTS
from agentgym.tools.retriever.stored import open_retriever
from retriever.models import TEXTS

pytest.importorskip("faiss")
pytest.importorskip("msgpack")


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    rows = [{"id": f"d{i}", "contents": f'"T{i}"\n{text}'} for i, text in enumerate(TEXTS)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["retriever", *map(str, arguments)], catch_exceptions=True)


def ids(result):
    assert result.exit_code == 0, (result.output, result.exception)
    return [[hit["id"] for hit in row["hits"]] for row in json.loads(result.stdout)]


@contextmanager
def served(folder, *options):
    command = [sys.executable, "-m", "agentgym", "retriever", "serve", str(folder), "--port", "0", *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield server.stdout.readline().split(" at ")[1].strip()
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        server.stdout.close()


@pytest.mark.parametrize(("method", "embedder"), [("dense", "model"), ("dense", "server"), ("hybrid", "server")])
def test_what_is_built_is_queried_and_served(tmp_path, corpus, tiny_encoder, embedding_server, method, embedder):
    folder = tmp_path / "r"
    named = f"transformers:{tiny_encoder / 'tiny-e5'}" if embedder == "model" else embedding_server
    structure = "hnsw" if method == "hybrid" else "flat"
    built = run(
        "build", "--corpus", corpus, "--out", folder, "--method", method, "--embedder", named, "--structure", structure
    )
    assert built.exit_code == 0 and "5 documents" in built.output, built.exception
    queries = ["the red mug", "railways of the mountains"]
    found = ids(run("query", folder, *queries, "--topk", 3, "--json"))
    if embedder == "server":  # its vectors know words
        assert [hits[0] for hits in found] == ["d0", "d4"]
    assert all(len(set(hits)) == 3 for hits in found)
    documents, retriever = open_retriever(folder)
    assert found == [[documents[i].id for i in retriever.search(query, 3).ids] for query in queries]
    if embedder == "model":  # served below, with a reranker
        return
    with served(folder) as url:
        for dialect in DIALECTS:
            asked = RetrieverClient(url, dialect).search(queries, 3)
            assert [[passage.id for passage, _ in hits] for hits in asked] == found


def test_a_reranker_orders_what_is_served_and_queried(tmp_path, corpus, tiny_encoder):
    folder, reranker, named = tmp_path / "r", tiny_encoder / "tiny-cross", f"transformers:{tiny_encoder / 'tiny-e5'}"
    assert run("build", "--corpus", corpus, "--out", folder, "--method", "hybrid", "--embedder", named).exit_code == 0
    plain = ids(run("query", folder, "red railway", "--topk", 5, "--json"))
    found = ids(run("query", folder, "red railway", "--topk", 5, "--reranker", reranker, "--json"))
    assert sorted(found[0]) == sorted(plain[0])
    _, retriever = open_retriever(folder, reranker=str(reranker))
    scores = retriever.search("red railway", 5).scores.tolist()
    assert scores == sorted(scores, reverse=True)
    with served(folder, "--reranker", reranker) as url:
        assert [[p.id for p, _ in hits] for hits in RetrieverClient(url).search(["red railway"], 5)] == found
        assert run("query", url, "red", "--reranker", reranker).exception.args[0].startswith("A server reranks")


def test_a_relative_model_is_found_from_other_folders(tmp_path, corpus, tiny_encoder, monkeypatch):
    monkeypatch.chdir(tiny_encoder)
    arguments = ("--method", "dense", "--embedder", "transformers:tiny-e5")
    assert run("build", "--corpus", corpus, "--out", tmp_path / "r", *arguments).exit_code == 0
    monkeypatch.chdir(tmp_path)
    assert len(ids(run("query", "r", "red", "--json"))[0]) == 3


def test_an_embedding_server_that_goes_away(tmp_path, corpus, embedding_server):
    """Queries fail with its name, in the command and through a server; an index can't be built without it."""
    away = embedding_server.replace("127.0.0.1", "127.0.0.9")
    failed = run("build", "--corpus", corpus, "--out", tmp_path / "x", "--method", "dense", "--embedder", away)
    assert isinstance(failed.exception, AgentGymError) and "127.0.0.9" in str(failed.exception)
    assert isinstance(run("query", tmp_path / "x", "red").exception, AgentGymError)
    folder = tmp_path / "r"
    assert (
        run("build", "--corpus", corpus, "--out", folder, "--method", "dense", "--embedder", embedding_server).exit_code
        == 0
    )
    settings = folder / "dense" / "settings.json"
    settings.write_text(settings.read_text(encoding="utf-8").replace("127.0.0.1", "127.0.0.9"), encoding="utf-8")
    assert "127.0.0.9" in str(run("query", folder, "red").exception)
    with served(folder) as url, pytest.raises(AgentGymError, match=r"500.*127\.0\.0\.9"):
        RetrieverClient(url).search(["red"], 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "dense"], "needs an embedder"),
        (["--method", "magic", "--embedder", "hash:8"], "Unknown method"),
        (["--method", "dense", "--embedder", "hash:8", "--structure", "tree"], "Unknown structure"),
        (["--method", "dense", "--embedder", "word2vec"], "Unknown embedder"),
        (["--method", "dense", "--embedder", "transformers:."], "Can't load"),
    ],
)
def test_options_that_make_no_sense(tmp_path, corpus, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    failed = run("build", "--corpus", corpus, "--out", tmp_path / "r", *arguments)
    assert isinstance(failed.exception, AgentGymError) and words in str(failed.exception)
