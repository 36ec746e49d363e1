import json
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from agentgym.cli.main import app
from agentgym.tools.retriever.client import RetrieverClient

pytest.importorskip("msgpack")


@pytest.fixture
def folder(tmp_path):
    corpus = tmp_path / "c.jsonl"
    corpus.write_text(
        "\n".join(json.dumps({"id": i, "contents": f'"T{i}"\n{t}'}) for i, t in enumerate(("red mug", "blue cup")))
    )
    result = CliRunner().invoke(app, ["retriever", "build", "--corpus", str(corpus), "--out", str(tmp_path / "r")])
    assert result.exit_code == 0 and "2 documents" in result.output
    return tmp_path / "r"


def test_build_and_query(folder):
    result = CliRunner().invoke(app, ["retriever", "query", str(folder), "blue", "mug", "--json"])
    rows = json.loads(result.output)
    assert [row["hits"][0]["id"] for row in rows] == ["1", "0"]
    assert "T1: blue cup" in CliRunner().invoke(app, ["retriever", "query", str(folder), "blue"]).output


def test_user_errors(tmp_path):
    from agentgym import AgentGymError

    for arguments in (
        ["build", "--corpus", "none.jsonl", "--out", str(tmp_path / "r")],
        ["query", str(tmp_path), "x"],
        ["serve", str(tmp_path), "--port", "0", "--processes", "2"],
    ):
        result = CliRunner().invoke(app, ["retriever", *arguments])
        assert isinstance(result.exception, AgentGymError), arguments


@pytest.mark.parametrize("processes", [1, 2])
def test_serve(folder, processes):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "agentgym",
        "retriever",
        "serve",
        str(folder),
        "--port",
        str(port),
        "--processes",
        str(processes),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        line = server.stdout.readline()
        assert f":{port}/retrieve" in line
        found = RetrieverClient(f"http://127.0.0.1:{port}/retrieve").search(["cup"], 1)
        assert found[0][0][0].id == "1"
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        server.stdout.close()
