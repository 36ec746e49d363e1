"""BM25: known scores, order of equal scores, storage, odd queries."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.core.errors import ConfigError, DataError
from agentgym.tools.retriever import BM25
from agentgym.tools.retriever.bm25 import best

TEXTS = ["red mug", "blue mug mug", "red rug with a long tail of words", "Green Lamp"]


def test_scores_are_lucenes_formula() -> None:
    index = BM25.build(TEXTS)
    lengths = [2, 3, 8, 2]
    mean = sum(lengths) / 4
    idf = math.log(1 + (4 - 2 + 0.5) / (2 + 0.5))  # "mug" is in two of four documents
    want = [idf * tf / (tf + 1.5 * (0.25 + 0.75 * n / mean)) for tf, n in zip((1, 2, 0, 0), lengths, strict=True)]
    np.testing.assert_allclose(index.scores("Mug!"), want, rtol=1e-6)


def test_only_documents_that_share_a_term_are_hits() -> None:
    hits = BM25.build(TEXTS).search("red", 10)
    assert hits.ids.tolist() == [0, 2]
    assert (np.diff(hits.scores) < 0).all()


@pytest.mark.parametrize("query", ["", "[](){}", "\x00", "🙂", "unheard of", "x" * 100_000, "mug " * 50_000])
def test_any_text_is_a_query(query: str) -> None:
    hits = BM25.build(TEXTS).search(query, 3)
    assert len(hits.ids) == len(hits.scores) <= 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=3000), st.integers(1, 60))
def test_best_equals_a_full_stable_sort(values: list[int], k: int) -> None:
    scores = np.array(values, dtype=np.float32)
    order = np.argsort(-scores, kind="stable")
    assert best(scores, k).tolist() == order[scores[order] > 0][:k].tolist()


def test_best_with_many_blocks() -> None:
    scores = np.random.default_rng(0).integers(0, 40, 100_000).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    assert best(scores, 50).tolist() == order[:50].tolist()


def test_a_saved_index_is_the_same_and_mapped(tmp_path: Path) -> None:
    built = BM25.build(TEXTS, analyzer="blanks")
    built.save(tmp_path)
    opened = BM25.load(tmp_path)
    assert len(opened) == 4
    assert isinstance(opened._index.scores["data"].base, np.memmap)
    for query in ("red", "mug", "Lamp"):
        for mine, theirs in zip(built.search(query, 5), opened.search(query, 5), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_ranking_is_the_same_in_another_process(tmp_path: Path) -> None:
    texts = [f"{'red' if i % 3 else 'blue'} thing {i % 7}" for i in range(500)]
    BM25.build(texts).save(tmp_path)
    code = (
        "import sys, pathlib; from agentgym.tools.retriever import BM25;"
        "print(BM25.load(pathlib.Path(sys.argv[1])).search('red thing 3', 50).ids.tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(BM25.build(texts).search("red thing 3", 50).ids.tolist())


def test_hits_cannot_be_changed_by_a_caller() -> None:
    hits = BM25.build(TEXTS).search("red", 2)
    with pytest.raises(ValueError, match="read-only"):
        hits.ids[0] = 3


def test_errors_say_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one document"):
        BM25.build([])
    with pytest.raises(ConfigError, match="b in"):
        BM25.build(TEXTS, b=2)
    with pytest.raises(ConfigError, match="k must be"):
        BM25.build(TEXTS).search("red", 0)
    with pytest.raises(DataError, match="no complete BM25 index"):
        BM25.load(tmp_path / "nothing")
