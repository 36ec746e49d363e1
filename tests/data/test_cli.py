"""``agentgym data``: what it prints, and what it says to mistakes."""

import json

import pytest
from typer.testing import CliRunner

from agentgym.cli.data import app
from agentgym.core.errors import AgentGymError
from data.test_exports import make


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return make(tmp_path_factory.mktemp("cli") / "run", 16)


def call(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_whole_round(stored, tmp_path):
    assert "episodes in" in call("filter", stored, "--out", tmp_path / "good", "--min-reward", "1").stderr
    assert "episodes in" in call("merge", stored, tmp_path / "good", "--out", tmp_path / "both").stderr
    found = json.loads(call("stats", stored, tmp_path / "both", "--verify", "--json").stdout)
    assert found[1]["episodes"] > found[0]["episodes"] == 16
    for form in ("jsonl", "sft", "dpo"):
        lines = call("export", stored, "--format", form, "--out", "-").stdout.splitlines()
        assert lines
        assert all(isinstance(json.loads(line), dict) for line in lines)
        assert not any('"reference"' in line for line in lines)
    assert '"reference"' in call("export", stored, "--out", "-", "--keep-references").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stats", "nowhere"], "is not a run"),
        (["export", "{run}", "--out", "x", "--format", "sfd"], "Did you mean 'sft'"),
        (["export", "{run}", "--out", "-", "--format", "parquet"], "stdout"),
        (["export", "{run}", "--out", "-", "--format", "dpo", "--pairs", "some"], "rule for pairs"),
        (["export", "{run}", "--out", "-", "--format", "dpo", "--margin", "-1"], "margin"),
        (["export", "{run}", "--out", "-", "--format", "sft", "--keep-references"], "no place for references"),
        (["export", "{run}", "--out", "/nowhere/x"], "can't be written"),
        (["export", "{run}", "--out", "{run}/run.json"], "--force"),
        (["filter", "{run}", "--out", "x"], "Say what to keep"),
        (["filter", "{run}", "--out", "x", "--success", "--failed"], "leave nothing"),
        (["merge", "{run}", "--out", "x"], "two or more"),
        (["merge", "{run}", "nowhere", "--out", "x"], "is not a run"),
    ],
)
def test_mistakes_are_one_line(stored, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AgentGymError) as caught:
        call(*[word.format(run=stored) for word in words])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
