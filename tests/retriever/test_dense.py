"""Embedders, dense and hybrid retrieval, reranking."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from agentgym import AgentGymError
from agentgym.tools.retriever.batch import search_all
from agentgym.tools.retriever.corpus import Corpus, Texts
from agentgym.tools.retriever.embed import HashEmbedder, TransformersEmbedder, make_embedder
from agentgym.tools.retriever.hybrid import CrossEncoder, Hybrid, Reranked
from agentgym.tools.retriever.impact import ImpactIndex
from agentgym.tools.retriever.stored import build_retriever, open_retriever

pytest.importorskip("faiss")
from agentgym.tools.retriever.dense import DenseIndex

TEXTS = ["the red mug", "a blue cup", "red wine in a red glass", "mountain railway", "railways of the mountains"]


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


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory):
    """A BERT of two layers with random weights, as a folder that transformers opens."""
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

    words = sorted({word for text in TEXTS for word in text.split()} | {"query", "passage", ":"})
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=1,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    for name, kind in (("tiny-e5", BertModel), ("tiny-cross", BertForSequenceClassification)):
        kind(config).save_pretrained(folder / name)
        wrapped.save_pretrained(folder / name)
    return folder


def test_a_local_encoder_embeds_with_the_prefixes_of_its_family(tiny_encoder):
    embedder = make_embedder(f"transformers:{tiny_encoder / 'tiny-e5'}")
    assert isinstance(embedder, TransformersEmbedder)
    query, document = embedder.queries(["red mug"]), embedder.documents(["red mug"])
    assert query.shape == (1, 32)
    assert np.allclose(np.linalg.norm(query, axis=1), 1, atol=1e-5)
    assert not np.allclose(query, document)
    together = embedder.queries(["red mug", "railways of the mountains"])
    assert np.allclose(together[0], query[0], atol=1e-5)  # padding makes no difference


def test_a_cross_encoder_scores_pairs(tiny_encoder):
    scores = CrossEncoder(str(tiny_encoder / "tiny-cross"), batch=2).score("red", TEXTS)
    assert scores.shape == (5,) and scores.dtype == np.float32
    again = CrossEncoder(str(tiny_encoder / "tiny-cross"), batch=5).score("red", TEXTS)
    assert np.allclose(scores, again, atol=1e-5)


@pytest.fixture
def embedding_server():
    """A server that speaks OpenAI's embeddings protocol, in the wrong order, as it may."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            rows = [{"index": i, "embedding": v.tolist()} for i, v in enumerate(HashEmbedder(32).queries(texts))]
            body = json.dumps({"data": rows[::-1]} if "bad" not in texts else {"error": "no"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/embeddings#tiny"
    server.shutdown()
    server.server_close()
    thread.join()


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


def test_stored_errors(tmp_path):
    with pytest.raises(AgentGymError, match="no corpus"):
        open_retriever(tmp_path)
    with pytest.raises(AgentGymError, match="needs an embedder"):
        build_retriever(tmp_path / "x", [], method="dense")
    with pytest.raises(AgentGymError, match="Unknown method"):
        build_retriever(tmp_path / "x", [], method="magic")  # type: ignore[arg-type]
    with pytest.raises(AgentGymError, match="no complete dense index"):
        DenseIndex.load(tmp_path)
