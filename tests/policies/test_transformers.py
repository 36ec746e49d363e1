import asyncio
import dataclasses

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from agentgym.core.errors import ConfigError
from agentgym.core.policy import Request, Sampling
from agentgym.policies.decoding import CachedDecoder, RecomputingDecoder
from agentgym.policies.tiny import save
from agentgym.policies.transformers import TransformersPolicy

QUESTIONS = ["find a red shirt", "find a blue cotton hat under 35 dollars", "search", "[1] red cotton shirt - 15"]
REPLIES = ["[1] red cotton shirt - 15\n[2] blue shirt - 20\n", "buy"]


def _request(policy, episode, prompt, turn=0, *, seed=None, stop=(), **sampling):
    sampling = Sampling(**{"max_tokens": 8, **sampling})
    return Request(episode, turn, (), prompt, stop, 1000 * turn + 7 if seed is None else seed, sampling)


def _prompt(policy, text):
    return policy.renderer.initial([{"role": "user", "content": text}], (), "chat")


def _play(policy, questions, turns=3, **sampling):
    """Plays all conversations together. Returns, for each, its ids, and (start, logprobs) of every sampled message."""
    ids = [_prompt(policy, question) for question in questions]
    spans = [[] for _ in questions]
    for turn in range(turns):
        requests = [
            _request(policy, f"episode {row}", prompt, turn, seed=100 * row + turn, **sampling)
            for row, prompt in enumerate(ids)
        ]
        for row, completion in enumerate(policy.generate(requests)):
            spans[row].append((len(ids[row]), list(completion.logprobs)))
            closed = policy.renderer.is_closed(completion.token_ids)
            reply = [{"role": "user", "content": REPLIES[(row + turn) % 2]}]
            ids[row] = ids[row] + list(completion.token_ids) + policy.renderer.suffix(reply, "chat", closed=closed)
    return ids, spans


def _learner_logprobs(model, ids, temperature=1.0):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1] / temperature
    return logits.log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]


def _largest_gap(model, ids, spans, temperature=1.0):
    gap = 0.0
    for row, row_ids in enumerate(ids):
        learner = _learner_logprobs(model, row_ids, temperature)
        for start, logprobs in spans[row]:
            expected = learner[start - 1 : start - 1 + len(logprobs)]
            gap = max(gap, (expected - torch.tensor(logprobs)).abs().max().item())
    return gap


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_learner_gives_recorded_tokens_the_sampler_s_logprobs(tiny, temperature):
    policy = TransformersPolicy(*tiny)
    ids, spans = _play(policy, QUESTIONS, temperature=temperature)
    assert sum(len(logprobs) for row in spans for _, logprobs in row) > 40
    assert _largest_gap(policy.model, ids, spans, temperature) < 1e-4


def test_the_cache_reads_only_what_is_new(tiny, monkeypatch):
    policy = TransformersPolicy(*tiny)
    widths = []
    forward = CachedDecoder._forward
    monkeypatch.setattr(
        CachedDecoder,
        "_forward",
        lambda self, ids, positions: widths.append(ids.shape[1]) or forward(self, ids, positions),
    )
    prompt = _prompt(policy, QUESTIONS[1] * 5)
    (first,) = policy.generate([_request(policy, "e", prompt, max_tokens=3)])
    longer = prompt + list(first.token_ids) + [9, 9]
    policy.generate([_request(policy, "e", longer, 1, max_tokens=1)])
    assert widths[0] == len(prompt)
    assert widths[-1] == 3  # the last sampled token and two new ones


def test_a_rewritten_context_is_read_from_the_common_prefix_on(tiny):
    policy, fresh = TransformersPolicy(*tiny), TransformersPolicy(*tiny)
    prompt = _prompt(policy, QUESTIONS[1])
    policy.generate([_request(policy, "e", prompt)])
    rewritten = [*prompt[:4], 8, *prompt[6:]]
    (kept,) = policy.generate([_request(policy, "e", rewritten, 1)])
    (new,) = fresh.generate([_request(fresh, "other", rewritten, 1)])
    assert kept.token_ids == new.token_ids
    assert kept.logprobs == pytest.approx(new.logprobs, abs=1e-5)


def test_a_completion_does_not_depend_on_what_else_is_in_the_batch(tiny):
    together, alone = TransformersPolicy(*tiny), TransformersPolicy(*tiny)
    requests = [_request(together, f"e{row}", _prompt(together, q), seed=row) for row, q in enumerate(QUESTIONS)]
    batch = together.generate(requests)
    for request, completion in zip(requests, batch, strict=True):
        (single,) = alone.generate([request])
        assert single.token_ids == completion.token_ids
        assert single.logprobs == pytest.approx(completion.logprobs, abs=1e-5)
    shuffled = together.generate([requests[2], requests[0]])
    assert [row.token_ids for row in shuffled] == [batch[2].token_ids, batch[0].token_ids]


def test_seeds_decide_and_repeat(tiny):
    policy = TransformersPolicy(*tiny)
    prompt = _prompt(policy, QUESTIONS[0])
    first, same, other = policy.generate([_request(policy, "same episode", prompt, seed=seed) for seed in (1, 1, 2)])
    assert first.token_ids == same.token_ids
    assert first.token_ids != other.token_ids


def test_more_episodes_than_cache_rows_only_cost_time(tiny):
    small, large = (TransformersPolicy(*tiny, cache_rows=rows, max_batch=2) for rows in (2, 64))
    prompts = [_prompt(small, question) for question in QUESTIONS]
    results = []
    for policy in (small, large):
        texts = []
        for turn in range(2):
            for begin in (0, 2):
                requests = [_request(policy, f"e{row}", prompts[row] + [9] * turn, turn) for row in (begin, begin + 1)]
                texts += [completion.token_ids for completion in policy.generate(requests)]
        results.append(texts)
    assert results[0] == results[1]


def test_rows_that_end_early_leave_the_others_as_they_are(tiny):
    policy, alone = TransformersPolicy(*tiny), TransformersPolicy(*tiny)
    limits = [1, 12, 2, 1, 30, 1, 3]
    requests = [
        _request(policy, f"e{row}", _prompt(policy, QUESTIONS[row % 4]), seed=row, max_tokens=limit)
        for row, limit in enumerate(limits)
    ]
    for turn in range(2):
        completions = policy.generate(requests)
        for request, completion in zip(requests, completions, strict=True):
            (single,) = alone.generate([request])
            assert completion.token_ids == single.token_ids
        requests = [
            dataclasses.replace(
                request,
                turn=turn + 1,
                prompt_ids=[*request.prompt_ids, *completion.token_ids, 5],
                seed=request.seed + 50,
            )
            for request, completion in zip(requests, completions, strict=True)
        ]


def test_greedy_takes_the_likeliest_token_with_certainty(tiny):
    policy = TransformersPolicy(*tiny)
    prompt = _prompt(policy, QUESTIONS[0])
    (completion,) = policy.generate([_request(policy, "e", prompt, temperature=0.0, max_tokens=4)])
    with torch.no_grad():
        expected = policy.model(torch.tensor([prompt])).logits[0, -1].argmax().item()
    assert completion.token_ids[0] == expected
    assert list(completion.logprobs) == [0.0] * len(completion.token_ids)


def test_stop_strings_stay_in_the_output(tiny):
    policy = TransformersPolicy(*tiny)
    prompt = _prompt(policy, QUESTIONS[0])
    (free,) = policy.generate([_request(policy, "e", prompt, max_tokens=20)])
    tokens = list(free.token_ids)
    stop = policy.renderer.decode(tokens[:5])[-2:]
    (stopped,) = policy.generate([_request(policy, "f", prompt, stop=(stop,), max_tokens=20)])
    assert stopped.finish_reason == "stop"
    assert stop in stopped.text
    assert list(stopped.token_ids) == tokens[: len(stopped.token_ids)]
    assert stop not in policy.renderer.decode(stopped.token_ids[:-1])


def test_the_end_token_ends_the_message_and_is_recorded(tiny):
    policy = TransformersPolicy(*tiny)
    end = policy.renderer.end_message()[0]
    prompt = _prompt(policy, QUESTIONS[0])
    found = None
    for seed in range(400):
        (completion,) = policy.generate([_request(policy, f"e{seed}", prompt, seed=seed, max_tokens=3)])
        if end in completion.token_ids:
            found = completion
            break
    assert found is not None
    assert found.token_ids[-1] == end
    assert found.finish_reason == "stop"
    assert "<|im_end|>" not in found.text


def test_the_length_limit_is_named(tiny):
    policy = TransformersPolicy(*tiny)
    (completion,) = policy.generate([_request(policy, "e", _prompt(policy, QUESTIONS[0]), max_tokens=2)])
    assert completion.finish_reason == "length"
    assert len(completion.token_ids) == 2


def test_a_full_context_is_a_length_limit(tiny):
    policy = TransformersPolicy(*tiny)
    full, almost = policy.generate(
        [_request(policy, "full", [5] * policy.context), _request(policy, "almost", [5] * (policy.context - 2))]
    )
    assert (full.text, full.finish_reason, list(full.token_ids)) == ("", "length", [])
    assert len(almost.token_ids) <= 2


def test_new_weights_are_used_after_updated(tiny):
    model, tokenizer = tiny
    policy = TransformersPolicy(model, tokenizer)
    prompt = _prompt(policy, QUESTIONS[1])
    policy.generate([_request(policy, "e", prompt, max_tokens=4)])
    weight = model.model.embed_tokens.weight
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.mul_(3.0)
        policy.updated(7)
        (completion,) = policy.generate([_request(policy, "e", prompt, 1, max_tokens=4)])
        expected = _learner_logprobs(model, prompt + list(completion.token_ids))[len(prompt) - 1 :]
        assert torch.tensor(completion.logprobs).sub(expected).abs().max() < 1e-4
        assert completion.weight_version == 7
    finally:
        with torch.no_grad():
            weight.copy_(before)


def test_episodes_that_wait_together_are_answered_together(tiny):
    policy = TransformersPolicy(*tiny)
    sizes = []
    generate = policy.generate
    policy.generate = lambda requests: sizes.append(len(requests)) or generate(requests)

    async def ask():
        requests = [_request(policy, f"e{row}", _prompt(policy, q)) for row, q in enumerate(QUESTIONS)]
        return await asyncio.gather(*(policy.act(request) for request in requests))

    completions = asyncio.run(ask())
    assert sizes == [len(QUESTIONS)]
    assert all(completion.token_ids for completion in completions)


def test_a_local_path_loads(tiny, tmp_path):
    model, tokenizer = tiny
    save(model, tokenizer, tmp_path)
    from_path, from_object = TransformersPolicy(str(tmp_path), device="cpu"), TransformersPolicy(model, tokenizer)
    prompt = _prompt(from_object, QUESTIONS[0])
    (a,) = from_path.generate([_request(from_path, "e", prompt)])
    (b,) = from_object.generate([_request(from_object, "e", prompt)])
    assert a.token_ids == b.token_ids


def test_a_missing_model_is_explained(tmp_path):
    with pytest.raises(ConfigError, match="folder with weights"):
        TransformersPolicy(str(tmp_path))


SMALL = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2}
HEADS = {"intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}


def _other_models():
    torch.manual_seed(0)
    yield LlamaForCausalLM(LlamaConfig(**SMALL, **HEADS)), CachedDecoder
    yield MistralForCausalLM(MistralConfig(**SMALL, **HEADS, sliding_window=6)), CachedDecoder
    yield (
        Gemma3ForCausalLM(Gemma3TextConfig(**SMALL, **HEADS, sliding_window=6, sliding_window_pattern=2)),
        CachedDecoder,
    )
    yield GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=2)), CachedDecoder
    yield MambaForCausalLM(MambaConfig(**SMALL, state_size=4)), RecomputingDecoder


@pytest.mark.parametrize(("model", "decoder"), list(_other_models()), ids=lambda value: type(value).__name__)
def test_other_architectures_agree_with_their_learner(tiny, model, decoder, caplog):
    policy = TransformersPolicy(model.eval(), tiny[1])
    assert type(policy._decoder) is decoder
    ids, spans = _play(policy, QUESTIONS[:2], turns=2)
    assert _largest_gap(model, ids, spans) < 1e-4


def test_autocast_computes_in_another_type_and_keeps_the_weights(tiny):
    exact, coarse = TransformersPolicy(*tiny), TransformersPolicy(*tiny, autocast="bfloat16")
    prompt = _prompt(exact, QUESTIONS[1])
    (a,), (b,) = (policy.generate([_request(policy, "e", prompt, max_tokens=1)]) for policy in (exact, coarse))
    assert coarse.model.lm_head.weight.dtype == torch.float32
    assert a.logprobs != b.logprobs
    assert a.logprobs == pytest.approx(b.logprobs, abs=0.2)
    with pytest.raises(ConfigError, match="bfloat16"):
        TransformersPolicy(*tiny, autocast="bfloat17")
