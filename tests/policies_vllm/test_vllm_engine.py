import asyncio

import numpy as np
import pytest
import torch
from chat_templates import TEMPLATES
from playing import ENGINE_ARGS, STRATEGIES, build, canonical, gap, logprobs, play, request, with_template

from agentgym.core.errors import ConfigError, Fault
from agentgym.core.policy import Sampling
from agentgym.policies.sampling import truncate
from agentgym.policies.tiny import save
from agentgym.policies.transformers import TransformersPolicy
from agentgym.policies.vllm import vllm_policy, weights
from agentgym.policies.vllm.engine import EnginePolicy
from agentgym.policies.vllm.probe import WeightsError


@pytest.mark.parametrize("context", STRATEGIES)
@pytest.mark.parametrize("template", list(TEMPLATES))
def test_the_learner_gives_recorded_tokens_the_engine_s_logprobs(engine, learner, template, context):
    with with_template(engine, template):
        records = play(engine, context)
    assert all(record.token_faithful for record in records)
    assert gap(learner[0], records) < 1e-4
    if context.startswith("window:2"):
        assert all(record.drift.forked for record in records)


def test_logprobs_are_those_of_the_distribution_that_was_drawn_from(engine, learner):
    assert gap(learner[0], play(engine, sampling=Sampling(0.7, max_tokens=8)), 0.7) < 1e-4
    asked = request(engine, temperature=0.8, top_k=5, top_p=0.9)
    answer = asyncio.run(engine.act(asked))
    with torch.no_grad():
        logits = learner[0](torch.tensor([[*asked.prompt_ids, *answer.token_ids]])).logits[0] / 0.8
    places = range(len(asked.prompt_ids) - 1, len(asked.prompt_ids) - 1 + len(answer.token_ids))
    kept = truncate(logits[list(places)], [asked.sampling] * len(answer.token_ids)).log_softmax(-1)
    expected = [kept[i, token].item() for i, token in enumerate(answer.token_ids)]
    assert answer.logprobs == pytest.approx(expected, abs=1e-4)


def test_greedy_episodes_are_those_of_the_transformers_policy(engine, learner):
    greedy = Sampling(0.0, max_tokens=8)
    ours, theirs = play(engine, sampling=greedy), play(TransformersPolicy(*learner), sampling=greedy)
    for record in (*ours, *theirs):
        record.policy = ""
    assert canonical(ours) == canonical(theirs)


def test_seeds_decide_and_repeat(engine):
    async def ask():
        requests = [request(engine, seed=seed, episode=str(i)) for i, seed in enumerate((1, 1, 2, 2**64 - 1))]
        return await asyncio.gather(*map(engine.act, requests))

    first, same, other, large = asyncio.run(ask())
    assert first.token_ids == same.token_ids
    assert first.token_ids != other.token_ids
    assert large.token_ids


def test_concurrency_changes_nothing(engine):
    assert canonical(play(engine, concurrency=1)) == canonical(play(engine, concurrency=64))


@pytest.mark.parametrize("stop", ["e", "th", "room"])
def test_a_stop_string_ends_with_the_token_that_completes_it(engine, stop):
    found = 0
    for seed in range(40):
        answer = asyncio.run(engine.act(request(engine, seed=seed, stop=[stop], max_tokens=24)))
        text = engine.renderer.decode(answer.token_ids)
        assert answer.text == text
        assert len(answer.logprobs) == len(answer.token_ids)
        if stop in text:
            found += 1
            assert answer.finish_reason == "stop"
            assert stop not in engine.renderer.decode(answer.token_ids[:-1])
    assert found


def test_messages_end_at_the_end_token_and_at_their_limit(engine):
    answers = [asyncio.run(engine.act(request(engine, seed=seed, max_tokens=64))) for seed in range(30)]
    ends = engine.renderer.final_ids
    for answer in answers:
        assert (answer.token_ids[-1] in ends) == (answer.finish_reason == "stop")
        assert not ends & set(answer.token_ids[:-1])
        assert answer.finish_reason == "stop" or len(answer.token_ids) == 64
    assert {answer.finish_reason for answer in answers} == {"stop", "length"}


def test_a_full_context_has_no_room(engine):
    asked = request(engine)
    full = asked.__class__(**{**{f: getattr(asked, f) for f in asked.__slots__}, "prompt_ids": [1] * engine.context})
    assert asyncio.run(engine.act(full)).finish_reason == "length"


def test_what_the_engine_refuses_is_a_fault_of_one_episode(engine):
    asked = request(engine)
    wrong = asked.__class__(**{**{f: getattr(asked, f) for f in asked.__slots__}, "prompt_ids": [10**7]})
    with pytest.raises(Fault, match="refuses"):
        asyncio.run(engine.act(wrong))
    assert asyncio.run(engine.act(asked)).token_ids


def test_a_turn_reads_only_what_is_new(engine):
    prompt = request(engine, "find the lamp " * 60).prompt_ids
    params = engine._vllm.SamplingParams(max_tokens=1, temperature=0.0)
    engine._loop.run(engine._final(prompt, params))
    again = engine._loop.run(engine._final([*prompt, 5, 6], params))
    assert again.num_cached_tokens >= len(prompt) - 130  # whole blocks


# Weights


@pytest.fixture
def restored(engine, learner):
    yield
    engine.update_weights(learner[0], 0)


def test_new_weights_are_checked_and_stamped(engine, learner, other, restored):
    assert engine.probe(learner[0]) < 1e-4
    assert engine.update_weights(other, 3) < 1e-4
    records = play(engine)
    assert gap(other, records) < 1e-4
    versions = {version for record in records for segment in record.segments for version in segment.versions}
    assert versions == {-1, 3}


def test_a_prefix_that_old_weights_computed_is_not_used(engine, learner, other, restored):
    asked = request(engine, "find the lamp " * 60)
    asyncio.run(engine.act(asked))
    engine.update_weights(other, 1)
    answer = asyncio.run(engine.act(asked))
    assert answer.logprobs == pytest.approx(logprobs(other, asked.prompt_ids, answer.token_ids), abs=1e-4)


def test_a_message_that_an_update_interrupts_has_both_versions(engine, learner, other, restored):
    asked = [request(engine, episode=str(i), seed=i, max_tokens=600) for i in range(8)]
    engine.update_weights(learner[0], 4)

    async def interrupted():
        tasks = [asyncio.create_task(engine.act(one)) for one in asked]
        await asyncio.sleep(0.3)
        await asyncio.to_thread(engine.update_weights, other, 5)
        return await asyncio.gather(*tasks)

    both = 0
    for one, answer in zip(asked, asyncio.run(interrupted()), strict=True):
        versions = list(answer.versions or [answer.weight_version] * len(answer.token_ids))
        assert versions == sorted(versions)
        assert set(versions) <= {4, 5}
        both += len(set(versions)) == 2
        by_version = {
            version: logprobs(model, one.prompt_ids, answer.token_ids)
            for version, model in ((4, learner[0]), (5, other))
        }
        expected = [by_version[version][i] for i, version in enumerate(versions)]
        assert answer.logprobs == pytest.approx(expected, abs=1e-4)
    assert both


def test_an_engine_without_the_learner_s_weights_is_found_out(engine, learner, other, restored):
    with pytest.raises(WeightsError, match="differ by"):
        engine.probe(other)


def test_a_small_update_that_did_not_arrive_is_found_out(engine, learner, monkeypatch, restored):
    near = build(1)[0]
    with torch.no_grad():
        for parameter in near.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)) * 1e-5)
    engine.update_weights(learner[0], 1)

    async def lost(weights, version):
        pass

    monkeypatch.setattr(engine, "_hand_over", lost)
    with pytest.raises(WeightsError, match="weights before"):
        engine.update_weights(near, 2)


@pytest.fixture(scope="module")
def tied_model(tmp_path_factory):
    model, tokenizer = build(3, tie_word_embeddings=True)
    target = tmp_path_factory.mktemp("tied")
    save(model, tokenizer, target)
    assert weights.tied(target)
    newer = build(4, tie_word_embeddings=True)[0]
    return str(target), model, newer


def test_tied_embeddings_are_untied_before_they_are_served(tied_model):
    path, model, newer = tied_model
    policy = vllm_policy(path, engine_args=ENGINE_ARGS)
    try:
        assert policy.probe(model) < 1e-4
        assert policy.update_weights(newer, 1) < 1e-4
        assert gap(newer, play(policy)) < 1e-4
    finally:
        policy.close()


def test_a_head_that_stays_behind_is_found_out(tied_model, monkeypatch):
    """vLLM 0.32 on a CPU keeps the old output layer of a tied model, whose files don't hold one: silently."""
    path, model, newer = tied_model
    named = weights._named
    monkeypatch.setattr(weights, "_named", lambda *a: [(name, t) for name, t in named(*a) if name != weights.HEAD])

    class Careless(EnginePolicy):
        def _served(self, model):
            return model

    policy = Careless(path, engine_args=ENGINE_ARGS)
    try:
        assert policy.probe(model) < 1e-4
        with pytest.raises(WeightsError, match="untied"):
            policy.update_weights(newer, 1)
    finally:
        policy.close()


@pytest.fixture(scope="module")
def adapted(folder, adapter):
    """An engine with an adapter."""
    policy = vllm_policy(
        folder, adapters={"lively": adapter[0]}, adapter="lively", engine_args={**ENGINE_ARGS, "max_lora_rank": 8}
    )
    yield policy
    policy.close()


def test_an_adapter_is_asked_for_by_name(adapted, learner, adapter):
    asked = request(adapted)
    answer = asyncio.run(adapted.act(asked))
    adapted._adapter = ""
    bare = asyncio.run(adapted.act(asked))
    adapted._adapter = "lively"
    assert answer.logprobs == pytest.approx(logprobs(adapter[1], asked.prompt_ids, answer.token_ids), abs=1e-4)
    assert bare.logprobs == pytest.approx(logprobs(learner[0], asked.prompt_ids, bare.token_ids), abs=1e-4)
    assert answer.token_ids != bare.token_ids
    assert gap(adapter[1], play(adapted)) < 1e-4


def test_merged_adapters_are_handed_over(engine, adapter, restored):
    model = adapter[1]
    assert engine.update_weights(model, 6) < 1e-4
    asked = request(engine)
    answer = asyncio.run(engine.act(asked))
    assert answer.logprobs == pytest.approx(logprobs(model, asked.prompt_ids, answer.token_ids), abs=1e-4)


def test_weights_are_written_whole(learner, tmp_path):
    from safetensors.torch import load_file

    weights.save(learner[0], tmp_path)
    stored = load_file(str(tmp_path / "model.safetensors"))
    for name, tensor in learner[0].state_dict().items():
        assert np.array_equal(stored[name].numpy(), tensor.numpy())


def test_mistakes_are_explained(folder):
    with pytest.raises(ConfigError, match="needs a model"):
        vllm_policy()
    with pytest.raises(ConfigError, match="Unknown adapter 'x'"):
        vllm_policy(folder, adapter="x")
    with pytest.raises(ConfigError, match="transfer"):
        vllm_policy(folder, transfer="pigeon")
    with pytest.raises(ConfigError, match="tokenizer"):
        vllm_policy("/no/such/folder")
    with pytest.raises(ConfigError, match="can't serve"):
        vllm_policy(folder, engine_args={"no_such_argument": 1})
