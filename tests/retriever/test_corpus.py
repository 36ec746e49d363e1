import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import AgentGymError
from agentgym.tools.retriever.corpus import Corpus, Passage, Texts, read_jsonl


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(codec=None), max_size=20), max_size=8))
def test_texts_come_back_as_they_were(texts):
    stored = Texts.of(texts)
    assert [stored[i] for i in range(len(stored))] == texts


def test_write_and_load(tmp_path):
    passages = [Passage("a", '"Velm"\nOn the Sorga.'), Passage("b", ""), Passage("ü", "漢字\nx")]
    Corpus.write(tmp_path, passages)
    corpus = Corpus.load(tmp_path)
    assert list(corpus) == passages
    assert corpus[0].title == "Velm" and corpus[0].text == "On the Sorga."
    assert [corpus.position(name) for name in ("b", "ü", "z")] == [1, 2, None]
    with pytest.raises(IndexError):
        corpus[3]


def test_positions_as_ids(tmp_path):
    Corpus.write(tmp_path, [Passage(str(i), f"t{i}") for i in range(3)])
    assert not (tmp_path / "ids.npy").exists()
    corpus = Corpus.load(tmp_path)
    assert [corpus.position(name) for name in ("2", "3", "02", "x", "-1", "9" * 30, "²")] == [2] + [None] * 6


def test_errors(tmp_path):
    with pytest.raises(AgentGymError, match="no corpus"):
        Corpus.load(tmp_path)
    with pytest.raises(AgentGymError, match="unique"):
        Corpus.write(tmp_path / "x", [Passage("a", "1"), Passage("a", "2")])
    Corpus.write(tmp_path / "empty", [])
    assert len(Corpus.load(tmp_path / "empty")) == 0


def test_jsonl(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text(
        '{"id": 7, "contents": "\\"T\\"\\ntext"}\n\n{"id": "8", "title": "U", "text": "more"}\n', encoding="utf-8"
    )
    assert list(read_jsonl(path)) == [Passage("7", '"T"\ntext'), Passage("8", '"U"\nmore')]
