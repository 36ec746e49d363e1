"""Embedders, dense and hybrid retrieval, reranking."""

import json
import shutil

import numpy as np
import pytest

from agentgym import AgentGymError
from agentgym.tools.retriever.batch import search_all
from agentgym.tools.retriever.corpus import Corpus, Texts
from agentgym.tools.retriever.embed import HashEmbedder, TransformersEmbedder, make_embedder
from agentgym.tools.retriever.encoders import SentenceEncoder, _pool
from agentgym.tools.retriever.hybrid import CrossEncoder, Hybrid, Reranked
from agentgym.tools.retriever.impact import ImpactIndex
from agentgym.tools.retriever.stored import build_retriever, open_retriever

pytest.importorskip("faiss")
from agentgym.tools.retriever.dense import DenseIndex
from retriever.models import TEXTS


def test_hash_embeddings_are_unit_vectors_and_equal_everywhere():
    vectors = HashEmbedder(64).queries(["red mug", "", "red mug"])
    assert vectors.shape == (3, 64)
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1])
    assert np.array_equal(vectors[0], HashEmbedder(64).documents(["red mug"])[0])
    near, far = HashEmbedder(256).queries(["railway", "railways"]), HashEmbedder(256).queries(["railway", "cup"])
    assert near[0] @ near[1] > 0.5 > abs(far[0] @ far[1])


@pytest.mark.parametrize("structure", ["flat", "hnsw"])
def test_dense_index_finds_and_comes_back(tmp_path, structure):
    index = DenseIndex.build(HashEmbedder(256), iter(TEXTS), structure=structure)
    index.save(tmp_path)
    again = DenseIndex.load(tmp_path)
    assert len(again) == 5
    queries = ["mountain railways", "red mug", "", "cups"]
    for one in (index, again):
        batch = one.search_batch(queries, 2)
        for query, hits in zip(queries, batch, strict=True):
            single = one.search(query, 2)
            assert np.array_equal(single.ids, hits.ids)
            assert np.allclose(single.scores, hits.scores, atol=1e-6)
    assert set(index.search("mountain railways", 2).ids.tolist()) == {3, 4}
    assert index.search("red mug", 1).ids.tolist() == [0]
    assert len(index.search("", 3).ids) == 0
    assert len(index.search("red", 99).ids) == 5


def test_equal_vectors_come_in_the_order_of_the_documents():
    index = DenseIndex.build(HashEmbedder(64), ["red"] * 4)
    assert index.search("red", 4).ids.tolist() == [0, 1, 2, 3]


def test_hybrid_is_reciprocal_rank_fusion():
    words, dense = ImpactIndex.build(TEXTS), DenseIndex.build(HashEmbedder(256), TEXTS)
    hybrid = Hybrid([words, dense], weights=[2.0, 1.0])
    hits = hybrid.search("red mug", 3)
    ranks = [retriever.search("red mug", 50).ids.tolist() for retriever in (words, dense)]
    expected = {
        i: sum(w / (60 + 1 + ranks[r].index(i)) for r, w in ((0, 2.0), (1, 1.0)) if i in ranks[r]) for i in range(5)
    }
    order = sorted(expected, key=lambda i: (-expected[i], i))[:3]
    assert hits.ids.tolist() == order
    assert np.allclose(hits.scores, [expected[i] for i in order])
    both = search_all(hybrid, ["red mug", "railway"], 2)
    assert both[1].ids.tolist() == hybrid.search("railway", 2).ids.tolist()
    assert len(hybrid) == 5


def test_hybrids_of_different_collections_are_refused():
    with pytest.raises(AgentGymError, match="one collection"):
        Hybrid([ImpactIndex.build(TEXTS), ImpactIndex.build(TEXTS[:2])])
    with pytest.raises(AgentGymError, match="weights"):
        Hybrid([ImpactIndex.build(TEXTS)], weights=[1, 2])


class Longest:
    """A reranker for tests."""

    def score(self, query, documents):
        return np.asarray([len(text) for text in documents], dtype=np.float32)


def test_reranking_reorders_the_best_hits():
    corpus = Corpus(Texts.of(TEXTS))
    reranked = Reranked(ImpactIndex.build(TEXTS), corpus, Longest(), depth=3)
    assert reranked.search("red", 2).ids.tolist() == [2, 0]
    assert reranked.search("zzz", 2).ids.tolist() == []
    assert len(reranked) == 5


def test_a_local_encoder_embeds_with_the_prefixes_of_its_family(tiny_encoder):
    embedder = make_embedder(f"transformers:{tiny_encoder / 'tiny-e5'}")
    assert isinstance(embedder, TransformersEmbedder)
    query, document = embedder.queries(["red mug"]), embedder.documents(["red mug"])
    assert query.shape == (1, 32)
    assert np.allclose(np.linalg.norm(query, axis=1), 1, atol=1e-5)
    assert not np.allclose(query, document)
    together = embedder.queries(["red mug", "railways of the mountains"])
    assert np.allclose(together[0], query[0], atol=1e-5)  # padding makes no difference


def settings_of(folder, pooling=None, prompts=None):
    """What the sentence-transformers library writes beside a model."""
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    if prompts is not None:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts), encoding="utf-8")


MODES = {f"pooling_mode_{name}": False for name in ("cls_token", "mean_tokens", "max_tokens", "lasttoken")}


def test_a_model_says_how_its_tokens_become_one_vector(tiny_encoder, tmp_path):
    import torch

    texts = ["red mug", "railways of the mountains"]
    found = {}
    for name in ("cls_token", "mean_tokens", "lasttoken"):
        folder = tmp_path / name
        shutil.copytree(tiny_encoder / "tiny-e5", folder)
        settings_of(folder, {"word_embedding_dimension": 32, **MODES, f"pooling_mode_{name}": True})
        encoder = SentenceEncoder(str(folder))
        found[name] = encoder.encode(texts)
        assert np.allclose(found[name][:1], encoder.encode(texts[:1]), atol=1e-5)  # padding makes no difference
    tokens = encoder._tokenizer(texts[0], return_tensors="pt")
    with torch.no_grad():
        hidden = encoder._model(**tokens).last_hidden_state[0].numpy()
    for name, vector in (("cls_token", hidden[0]), ("lasttoken", hidden[-1]), ("mean_tokens", hidden.mean(0))):
        assert np.allclose(found[name][0], vector / np.linalg.norm(vector), atol=1e-5), name


def test_pooling_finds_the_tokens_on_whichever_side_the_padding_is():
    import torch

    hidden = torch.arange(8.0).reshape(2, 4, 1)
    right, left = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]]), torch.tensor([[0, 1, 1, 1], [0, 0, 0, 1]])
    for mask, cls, last, mean in ((right, [0, 4], [2, 4], [1, 4]), (left, [1, 7], [3, 7], [2, 7])):
        assert _pool(hidden, mask, "cls").flatten().tolist() == cls
        assert _pool(hidden, mask, "lasttoken").flatten().tolist() == last
        assert _pool(hidden, mask, "mean").flatten().tolist() == mean


def test_a_model_says_what_comes_before_queries_and_documents(tiny_encoder, tmp_path):
    shutil.copytree(tiny_encoder / "tiny-e5", tmp_path / "m")
    assert SentenceEncoder(str(tmp_path / "m")).query_prefix == ""
    settings_of(tmp_path / "m", prompts={"prompts": {"query": "red ", "document": "blue "}})
    encoder = SentenceEncoder(str(tmp_path / "m"))
    assert (encoder.query_prefix, encoder.document_prefix) == ("red ", "blue ")
    assert SentenceEncoder(str(tiny_encoder / "tiny-e5")).query_prefix == "query: "


@pytest.mark.parametrize(
    ("pooling", "words"),
    [
        ({**MODES, "pooling_mode_max_tokens": True}, "max_tokens"),
        ({**MODES, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls.*mean"),
        (3, "can't be read"),
    ],
)
def test_a_model_that_pools_otherwise_is_refused(tiny_encoder, tmp_path, pooling, words):
    shutil.copytree(tiny_encoder / "tiny-e5", tmp_path / "m")
    settings_of(tmp_path / "m", pooling)
    with pytest.raises(AgentGymError, match=words):
        SentenceEncoder(str(tmp_path / "m"))


def test_models_that_are_not_there(tmp_path):
    with pytest.raises(AgentGymError, match="Can't load the embedder"):
        make_embedder(f"transformers:{tmp_path}")
    with pytest.raises(AgentGymError, match="Can't load the reranker"):
        CrossEncoder(str(tmp_path))


def test_halves_of_characters_are_no_reason_to_fail(tiny_encoder):
    assert SentenceEncoder(str(tiny_encoder / "tiny-e5")).encode(["\ud800 red"]).shape == (1, 32)
    assert CrossEncoder(str(tiny_encoder / "tiny-cross")).score("\ud800", ["\udfff"]).shape == (1,)


def test_a_cross_encoder_scores_pairs(tiny_encoder):
    scores = CrossEncoder(str(tiny_encoder / "tiny-cross"), batch=2).score("red", TEXTS)
    assert scores.shape == (5,) and scores.dtype == np.float32
    again = CrossEncoder(str(tiny_encoder / "tiny-cross"), batch=5).score("red", TEXTS)
    assert np.allclose(scores, again, atol=1e-5)


def test_embeddings_of_a_server(embedding_server):
    embedder = make_embedder(embedding_server)
    assert np.allclose(embedder.queries(TEXTS), HashEmbedder(32).queries(TEXTS), atol=1e-6)
    with pytest.raises(AgentGymError, match="no embeddings"):
        embedder.documents(["bad"])


@pytest.mark.parametrize("spec", ["", "hash:", "hash:0", "hash:x", "transformers:", "bert"])
def test_unknown_embedders(spec):
    with pytest.raises(AgentGymError, match="Unknown embedder"):
        make_embedder(spec)


@pytest.mark.parametrize("method", ["bm25", "dense", "hybrid"])
def test_stored_retrievers(tmp_path, method):
    from agentgym.tools.retriever.corpus import Passage

    passages = [Passage(f"d{i}", text) for i, text in enumerate(TEXTS)]
    assert build_retriever(tmp_path / "r", passages, method=method, embedder="hash:128") == 5
    corpus, retriever = open_retriever(tmp_path / "r")
    assert corpus[retriever.search("red mug", 1).ids[0]].id == "d0"
    with pytest.raises(AgentGymError, match="already"):
        build_retriever(tmp_path / "r", passages)


def test_a_build_that_was_cut_off_is_no_retriever(tmp_path):
    from agentgym.tools.retriever.corpus import Passage

    passages = [Passage(str(i), text) for i, text in enumerate(TEXTS)]
    build_retriever(tmp_path, passages, method="hybrid", embedder="hash:64")
    (tmp_path / "retriever.json").unlink()
    with pytest.raises(AgentGymError, match="no complete retriever"):
        open_retriever(tmp_path)
    assert build_retriever(tmp_path, passages, method="hybrid", embedder="hash:64") == 5
    assert len(open_retriever(tmp_path)[1]) == 5


def test_stored_errors(tmp_path):
    with pytest.raises(AgentGymError, match="no corpus"):
        open_retriever(tmp_path)
    with pytest.raises(AgentGymError, match="needs an embedder"):
        build_retriever(tmp_path / "x", [], method="dense")
    with pytest.raises(AgentGymError, match="Unknown method"):
        build_retriever(tmp_path / "x", [], method="magic")  # type: ignore[arg-type]
    with pytest.raises(AgentGymError, match="no complete dense index"):
        DenseIndex.load(tmp_path)
