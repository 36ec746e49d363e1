import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym import AgentGymError
from agentgym.tools.retriever import BM25
from agentgym.tools.retriever import impact as impact_module
from agentgym.tools.retriever.impact import ImpactIndex


def texts_of(rng, count, words=60):
    """Documents with Zipf-like words, so that common and rare terms occur."""
    weights = 1 / np.arange(1, words + 1)
    weights /= weights.sum()
    return [
        " ".join(f"w{i}" for i in rng.choice(words, size=rng.integers(0, 12), p=weights)) or "w0" for _ in range(count)
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 65), min_size=0, max_size=8), st.integers(1, 12))
def test_pruned_and_full_search_agree_with_bm25(seed, query, k):
    texts = texts_of(np.random.default_rng(seed), 120)
    text = " ".join(f"w{i}" for i in query)
    reference = BM25.build(texts).search(text, k)
    index = ImpactIndex.build(texts)
    dense = index.search(text, k)
    was, impact_module.DENSE = impact_module.DENSE, 0
    try:
        pruned = ImpactIndex.build(texts).search(text, k)
    finally:
        impact_module.DENSE = was
    assert dense.ids.tolist() == pruned.ids.tolist()
    assert dense.scores.tolist() == pruned.scores.tolist()
    assert np.allclose(dense.scores, reference.scores, rtol=1e-5)
    if len(set(np.round(reference.scores, 4))) == len(reference.scores):
        assert dense.ids.tolist() == reference.ids.tolist()


def test_chunks_make_no_difference(monkeypatch):
    texts = texts_of(np.random.default_rng(0), 100)
    whole = ImpactIndex.build(texts)
    monkeypatch.setattr("agentgym.tools.retriever.postings.CHUNK", 7)
    pieces = ImpactIndex.build(iter(texts))
    for name in ("starts", "ids", "impacts", "largest"):
        assert np.array_equal(getattr(whole._postings, name), getattr(pieces._postings, name)), name


def test_save_and_load(tmp_path):
    texts = texts_of(np.random.default_rng(1), 50)
    index = ImpactIndex.build(texts)
    index.save(tmp_path / "index")
    again = ImpactIndex.load(tmp_path / "index")
    assert len(again) == 50
    for query in ("w1 w7 w7", "w3", "nothing"):
        assert again.search(query, 5).ids.tolist() == index.search(query, 5).ids.tolist()


def test_errors(tmp_path):
    with pytest.raises(AgentGymError, match="no complete index"):
        ImpactIndex.load(tmp_path)
    with pytest.raises(AgentGymError, match="at least one document"):
        ImpactIndex.build([])
    with pytest.raises(AgentGymError, match="k1 > 0"):
        ImpactIndex.build(["a"], k1=0)
    with pytest.raises(AgentGymError, match="k must be"):
        ImpactIndex.build(["a"]).search("a", 0)


def test_unusable_queries_have_no_hits():
    index = ImpactIndex.build(["red mug", "blue cup"])
    assert len(index.search("", 3).ids) == len(index.search("zzz !!", 3).ids) == 0
