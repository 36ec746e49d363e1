import copy
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from agentgym.core.errors import ConfigError, DataError, UnsupportedError
from agentgym.core.records import Segment, Span, Trajectory, Turn
from agentgym.credit import Batch
from agentgym.training import belief_engines, belief_passes, belief_vllm, beliefs
from agentgym.training.belief_engines import answer_logprobs, can
from agentgym.training.belief_passes import Branch, Context

VOCABULARY = 61
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
ENGINES = ("packed", "cached", "auto")


def _build(kind, config, dtype=torch.float64):
    torch.manual_seed(0)
    model = kind(config).to(dtype).eval()
    for parameter in model.parameters():  # the library's small initial weights would make all beliefs alike
        parameter.data.mul_(4.0)
    return model


@pytest.fixture(scope="module")
def qwen3():
    return _build(Qwen3ForCausalLM, Qwen3Config(**SIZES, **HEADS))


def _contexts(seed=0, lengths=(30, 12, 18)):
    rng = np.random.default_rng(seed)
    answers = [Branch((5, 9, 2, 7, 7, 3), 2, 5), Branch((4, 8), 0, 1), Branch((6, 1, 2), 1, 3)]
    return [
        Context(rng.integers(0, VOCABULARY, n).tolist(), sorted({1, *rng.integers(1, n + 1, 3).tolist()}), answers)
        for n in lengths
    ]


def _by_hand(model, context):
    """The definition: a plain forward over everything before the point and the branch, nothing saved."""
    result = []
    for point in context.points:
        for branch in context.branches:
            ids = torch.tensor([[*context.token_ids[:point], *branch.ids]])
            with torch.no_grad():
                logprobs = model(ids).logits[0].log_softmax(-1)
            places = range(point + branch.start, point + branch.end)
            result.append(np.mean([logprobs[place - 1, ids[0, place]].item() for place in places]))
    return np.array(result).reshape(len(context.points), len(context.branches))


@pytest.mark.parametrize("engine", [*ENGINES, "naive"])
@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (Qwen3ForCausalLM, Qwen3Config(**SIZES, **HEADS)),
        (Qwen2ForCausalLM, Qwen2Config(**SIZES, num_attention_heads=2, num_key_value_heads=2)),
        (Qwen3ForCausalLM, Qwen3Config(**SIZES, **HEADS, attn_implementation="eager")),
        (GPT2LMHeadModel, GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2, n_positions=128)),
    ],
    ids=["qwen3", "qwen2", "eager", "gpt2"],
)
def test_every_engine_is_exact_in_float64(kind, config, engine):
    model = _build(kind, config)
    contexts = _contexts()
    found = answer_logprobs(model, contexts, engine)
    for context, values in zip(contexts, found, strict=True):
        expected = _by_hand(model, context)
        assert np.ptp(expected, axis=0).min() > 1e-3  # the points differ, so that a mask too wide would show
        np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=2e-6)  # some layers work in float32 inside


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree_in_float32_and_bfloat16(qwen3, engine):
    contexts = _contexts(1)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.3)):
        model = copy.deepcopy(qwen3).to(dtype)
        for context, values in zip(contexts, answer_logprobs(model, contexts, engine), strict=True):
            np.testing.assert_allclose(values.numpy(), _by_hand(qwen3, context), rtol=0, atol=tolerance)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1000), lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5), chunk=st.integers(1, 40)
)
def test_any_shape_agrees_with_plain_passes(qwen3, seed, lengths, chunk):
    contexts = _contexts(seed, lengths)
    whole, belief_passes.LEG_TOKENS = belief_passes.LEG_TOKENS, chunk
    try:
        for engine in ("packed", "cached"):
            for got, expected in zip(
                answer_logprobs(qwen3, contexts, engine), answer_logprobs(qwen3, contexts, "naive"), strict=True
            ):
                torch.testing.assert_close(got, expected, rtol=0, atol=2e-6)
    finally:
        belief_passes.LEG_TOKENS = whole


def test_the_first_point_may_be_the_start(qwen3):
    context = Context([3, 4, 5], [0, 2], [Branch((7, 8, 9), 1, 3)])
    alone = Context([3, 4, 5], [0], [Branch((7, 8, 9), 1, 3)])
    for engine in ENGINES:
        np.testing.assert_allclose(
            answer_logprobs(qwen3, [context], engine)[0].numpy(), _by_hand(qwen3, context), atol=2e-6
        )
        np.testing.assert_allclose(
            answer_logprobs(qwen3, [alone], engine)[0].numpy(), _by_hand(qwen3, alone), atol=2e-6
        )


def test_what_comes_later_does_not_matter(qwen3):
    context = _contexts(2)[0]
    point = context.points[1]
    changed = context._replace(token_ids=[*context.token_ids[:point], *[1] * (len(context.token_ids) - point)])
    before, after = (answer_logprobs(qwen3, [c], "packed")[0] for c in (context, changed))
    torch.testing.assert_close(before[:2], after[:2])
    assert (before[2:] - after[2:]).abs().max() > 1e-6


def test_flex_attention_sees_what_the_dense_mask_shows():
    pieces = [belief_passes._trunk_and_legs(context) for context in _contexts(3, (9, 5))]
    legs = [leg for piece in pieces for leg in piece]
    ids, positions, _ = belief_passes._layout(legs, torch.device("cpu"))
    stand_in = SimpleNamespace(dtype=torch.float32, device=torch.device("cpu"))
    dense = belief_passes._dense_mask(pieces, len(ids), stand_in) == 0
    index = torch.arange(len(ids))
    sees = belief_passes.visibility(pieces, positions)
    assert torch.equal(sees(index[:, None], index[None, :]), dense)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_is_exact(qwen3, monkeypatch):
    import transformers.integrations.flex_attention as flex

    # Compiled, as a GPU runs it, the kernel takes half a minute to build; as plain code it computes the same.
    monkeypatch.setattr(
        flex,
        "compile_friendly_flex_attention",
        lambda query, key, value, training, **rest: flex.flex_attention(query, key, value, **rest),
    )
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(belief_passes, "FLEX_LENGTH", 128)
    model = copy.deepcopy(qwen3)
    contexts = _contexts(4)
    expected = [_by_hand(model, context) for context in contexts]
    with belief_engines._flex_attention(model):
        assert belief_passes.implementation(model) == "flex_attention"
        found = answer_logprobs(model, contexts, "packed")
    assert belief_passes.implementation(model) == "sdpa"
    for values, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(values.numpy(), wanted, atol=2e-6)


def test_models_that_take_no_mask_fall_back():
    mamba = _build(
        MambaForCausalLM,
        MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=1, state_size=4, use_mambapy=False),
        torch.float32,
    )
    windows = _build(MistralForCausalLM, MistralConfig(**SIZES, **HEADS, sliding_window=4))
    context = _contexts(5, (10,))[0]
    for model, tolerance in ((mamba, 1e-4), (windows, 2e-6)):
        assert not can(model, "packed")
        assert not can(model, "cached")
        np.testing.assert_allclose(
            answer_logprobs(model, [context])[0].numpy(), _by_hand(model, context), atol=tolerance
        )
        with pytest.raises(UnsupportedError, match="naive"):
            answer_logprobs(model, [context], "packed")


def test_a_model_that_ignores_the_mask_is_found_out(qwen3):
    class Deaf(Qwen3ForCausalLM):
        def forward(self, *args, attention_mask=None, **kwargs):
            return super().forward(*args, **kwargs)

    model = _build(Deaf, qwen3.config)
    assert not can(model, "packed")
    assert not can(model, "cached")


def test_the_model_is_left_as_it_was(qwen3):
    model = copy.deepcopy(qwen3).train()
    answer_logprobs(model, _contexts())
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_first_and_likeliest_answer(qwen3):
    contexts = _contexts()
    every = [_by_hand(qwen3, context) for context in contexts]
    for found, values in zip(beliefs.turn_beliefs(qwen3, contexts), every, strict=True):
        np.testing.assert_allclose(found, values[:, 0], atol=2e-6)
        assert found.dtype == np.float64
    for found, values in zip(beliefs.turn_beliefs(qwen3, contexts, accepted="max"), every, strict=True):
        np.testing.assert_allclose(found, values.max(1), atol=2e-6)
    assert beliefs.turn_beliefs(qwen3, []) == []


# --- tokens of answers


class _Renderer:
    """A tokenizer without offsets: one token a character."""

    def encode(self, text):
        return [ord(character) for character in text]


def test_answers_are_encoded_inside_the_template(tokenizer):
    template = beliefs.Template("w0 w1 ", " w2")
    (branch,) = beliefs.encode_answers(tokenizer, ["w3 w4"], template)
    answer = tokenizer.decode(branch.ids[branch.start : branch.end])
    assert answer.split() == ["w3", "w4"]
    assert 0 < branch.start < branch.end < len(branch.ids)
    plain = beliefs.encode_answers(_Renderer(), ["ab", "c"], beliefs.Template("<", ">"))
    assert plain == [Branch((60, 97, 98, 62), 1, 3), Branch((60, 99, 62), 1, 2)]


def test_the_default_template_is_the_release_s(tokenizer):
    (branch,) = beliefs.encode_answers(tokenizer, ["w5"])
    assert (
        tokenizer.decode(branch.ids)
        == "\nNow there's enough information to answer\n</think>\n<answer>\nw5\n</answer><|im_end|>"
    )


@pytest.mark.parametrize("make", [lambda tokenizer: tokenizer, lambda _: _Renderer()])
def test_an_empty_answer_is_refused(tokenizer, make):
    with pytest.raises(DataError, match="no token"):
        beliefs.encode_answers(make(tokenizer), [""])


# --- engines outside


def _oracle(model):
    """What an engine with ``prompt_logprobs`` returns."""

    def prompt_logprobs(prompts, firsts):
        result = []
        for ids in prompts:
            with torch.no_grad():
                logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            result.append([None, *(logprobs[i - 1, ids[i]].item() for i in range(1, len(ids)))])
        return result

    return prompt_logprobs


@pytest.mark.parametrize("accepted", ["first", "max"])
def test_prompt_logprobs_give_the_same_beliefs(qwen3, accepted):
    contexts = _contexts(6)
    found = beliefs.prompt_logprob_beliefs(contexts, _oracle(qwen3), accepted=accepted)
    expected = beliefs.turn_beliefs(qwen3, contexts, accepted=accepted, engine="naive")
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=2e-6)


def test_an_engine_that_leaves_values_out_is_found_out(qwen3):
    with pytest.raises(DataError, match="log-probabilities"):
        beliefs.prompt_logprob_beliefs(_contexts(), lambda prompts, _: [[None] * len(ids) for ids in prompts])
    with pytest.raises(DataError, match="log-probabilities"):
        beliefs.prompt_logprob_beliefs(_contexts(), lambda prompts, _: [[-1.0] for _ in prompts])


class _VLLM:
    """What ``vllm.LLM`` does: cached tokens get no log-probability, but numbers that nobody computed."""

    def __init__(self, model, cached):
        self.oracle, self.cached, self.requests = _oracle(model), cached, []

    def generate(self, prompts, params, use_tqdm):
        self.requests.append((len(prompts), params))
        ids = [prompt["prompt_token_ids"] for prompt in prompts]
        cached = 0 if params["skip_reading_prefix_cache"] else self.cached
        return [
            SimpleNamespace(
                num_cached_tokens=cached,
                prompt_logprobs=[
                    None if i == 0 else {token: SimpleNamespace(logprob=-7e15 if i <= cached else value)}
                    for i, (token, value) in enumerate(zip(row, values, strict=True))
                ],
            )
            for row, values in zip(ids, self.oracle(ids, None), strict=True)
        ]


@pytest.mark.parametrize(
    ("prefix_cache", "cached", "requests"),
    [(True, 0, [2]), (True, 4, [2]), (True, 5, [2, 1]), (True, 9, [2, 2]), (False, 9, [2])],
)
def test_the_interface_to_vllm(qwen3, monkeypatch, prefix_cache, cached, requests):
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=lambda **options: options))
    context = Context([3, 4, 5, 6, 7, 8, 9], [3, 6], [Branch((5, 9, 2), 2, 3)])
    engine = _VLLM(qwen3, cached)
    found = beliefs.prompt_logprob_beliefs(
        [context], belief_vllm.vllm_prompt_logprobs(engine, prefix_cache=prefix_cache)
    )
    np.testing.assert_allclose(found[0], _by_hand(qwen3, context)[:, 0], atol=2e-6)
    assert [count for count, _ in engine.requests] == requests
    assert all(params["prompt_logprobs"] == 0 for _, params in engine.requests)


# --- records and batches


def _record(segments, spans, **reference):
    turns = [Turn(i, "", "", "", {}, 0.0, policy_span=Span(*span) if span else None) for i, span in enumerate(spans)]
    return Trajectory(
        "t",
        "g",
        "e",
        "k",
        "train",
        0,
        "p",
        "",
        turns=turns,
        segments=[Segment(ids) for ids in segments],
        reference=reference,
    )


def test_the_scorer_fills_the_column(qwen3):
    first, second = [3, 4, 5, 6, 7, 8], [9, 10, 11, 12]
    records = [
        _record([first, second], [(0, 1, 2), (0, 4, 5), (1, 2, 4)], answers=["ab", "c"]),
        _record([second], [(0, 1, 2)]),
        _record([first], [(0, 2, 3)], answer="c"),
    ]
    batch = Batch.build(
        [0, 1, 2],
        [[0.0, 0.0, 0.0], [0.0], [0.0]],
        spans=[[(1, 2), (4, 5), (8, 10)], [(1, 2)], [(2, 3)]],
        masks=[[0, 1, 0, 0, 1, 0, 0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 1, 0, 0, 0]],
    )
    letters = SimpleNamespace(encode=lambda text: [ord(character) % VOCABULARY for character in text])
    scorer = beliefs.BeliefScorer(letters, records, beliefs.Template("(", ")"))
    column = scorer(batch, qwen3)["belief"]
    branches = beliefs.encode_answers(letters, ["ab", "c"], beliefs.Template("(", ")"))
    expected = [
        _by_hand(qwen3, Context(first, [1], branches[:1])),
        _by_hand(qwen3, Context(first, [4], branches[:1])),
        _by_hand(qwen3, Context(second, [2], branches[:1])),  # of its own segment, not of all that was stored before
        [np.nan],
        _by_hand(qwen3, Context(first, [2], branches[1:])),
    ]
    np.testing.assert_allclose(column, np.concatenate([np.ravel(value) for value in expected]), atol=2e-6)
    np.testing.assert_array_equal(batch.with_columns({"belief": column}).extra["belief"], column)


def test_a_scorer_with_other_records_is_refused(qwen3):
    batch = Batch.build([0], [[0.0, 0.0]])
    record = _record([[3, 4, 5]], [(0, 1, 2)], answer="x")
    with pytest.raises(DataError, match="numbers of turns"):
        beliefs.BeliefScorer(_Renderer(), [record])(batch, qwen3)
    with pytest.raises(ConfigError, match="model"):
        beliefs.BeliefScorer(_Renderer(), [record])(batch)
    with pytest.raises(DataError, match="no tokens"):
        beliefs.segment_contexts(_record([[3]], [None]), [])


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (Context([1, 2], [], [Branch((3, 4), 1, 2)]), "0 points"),
        (Context([1, 2], [1], []), "0 answers"),
        (Context([1, 2], [3], [Branch((3, 4), 1, 2)]), r"point 3 must be in \[0, 2\]"),
        (Context([1, 2], [0], [Branch((3, 4), 0, 2)]), r"point 0 must be in \[1, 2\]"),
        (Context([1, 2], [1], [Branch((3, 4), 1, 3)]), "answer tokens"),
    ],
)
def test_bad_contexts_are_refused(qwen3, context, message):
    with pytest.raises(DataError, match=message):
        beliefs.turn_beliefs(qwen3, [context])
    with pytest.raises(DataError, match=message):
        beliefs.prompt_logprob_beliefs([context], _oracle(qwen3))


def test_unknown_choices_are_refused(qwen3):
    with pytest.raises(ConfigError, match="accepted"):
        beliefs.turn_beliefs(qwen3, _contexts(), accepted="mean")
    with pytest.raises(ConfigError, match="engine"):
        beliefs.turn_beliefs(qwen3, _contexts(), engine="fast")


def test_gains_of_the_golden_beliefs():
    """K beliefs of the golden file are what ``prompt_logprob_beliefs`` makes of the same log-probabilities."""
    golden = json.loads((Path(__file__).parents[1] / "golden" / "igpo_turn_reward.json").read_text())["cases"][0]
    rows = golden["inputs"]["gt_token_logprobs_per_turn_start"]
    context = Context([0] * 8, [2, 4, 6, 8], [Branch((1, 1, 1, 1), 1, 4)])
    replies = [[None, *[-9.0] * point, *row] for point, row in zip(context.points, rows, strict=True)]
    (found,) = beliefs.prompt_logprob_beliefs([context], lambda *_: replies)
    np.testing.assert_allclose(np.exp(found), golden["outputs"]["length_normalised_prob"], atol=1e-6)
