import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import AgentGymError
from agentgym.tools.retriever.corpus import Corpus, Passage, Texts, read_jsonl
from agentgym.tools.retriever.stored import build_retriever


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


def test_jsonl_of_a_spreadsheet_begins_with_a_mark(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "7", "contents": "t"}\n', encoding="utf-8-sig")
    assert list(read_jsonl(path)) == [Passage("7", "t")]


@pytest.mark.parametrize("line", [b'{"id": "8", "contents": "caf\xe9"}', b"[" * 100_000, b"7", b"{}"])
def test_what_is_no_document_is_an_error_of_its_line(tmp_path, line):
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"id": "7", "contents": "t"}\n' + line + b"\n")
    with pytest.raises(AgentGymError, match=r"c\.jsonl, line 2: .*UTF-8"):
        list(read_jsonl(path))


def test_a_corpus_written_over_another_has_its_own_ids(tmp_path):
    Corpus.write(tmp_path, [Passage("a", "1"), Passage("b", "2")])
    Corpus.write(tmp_path, [Passage("0", "3"), Passage("1", "4")])
    assert list(Corpus.load(tmp_path)) == [Passage("0", "3"), Passage("1", "4")]


def test_a_folder_that_cannot_be_made_is_a_mistake_of_the_user(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(AgentGymError, match="can't be made"):
        build_retriever(tmp_path / "file" / "r", [Passage("a", "word")])
