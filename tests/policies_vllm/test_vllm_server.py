import asyncio
import json

import pytest
from playing import canonical, gap, logprobs, play, request

import agentgym
from agentgym.core.errors import ConfigError
from agentgym.core.policy import PolicySpec, Request, Sampling
from agentgym.policies.openai import OpenAIPolicy
from agentgym.policies.vllm import vllm_policy
from agentgym.policies.vllm.probe import WeightsError
from agentgym.policies.vllm.server import COMPLETIONS, GENERATE
from agentgym.rollout.run import RunConfig, run
from agentgym.rollout.storage import read_run


@pytest.fixture
def served(server):
    policy = vllm_policy(base_url=server, tolerance=1e-3)
    yield policy
    policy.close()


def test_a_server_names_its_model_and_its_limits(served, folder):
    assert served.model == folder
    assert served.context == 1024
    assert served._processed


@pytest.mark.parametrize("sampling", [Sampling(0.0, max_tokens=8), Sampling(max_tokens=8), Sampling(0.7, 0.9, 40, 8)])
@pytest.mark.parametrize("path", [GENERATE, COMPLETIONS])
def test_engine_and_server_give_one_record(engine, served, sampling, path):
    served._path = path
    ours, theirs = play(engine, sampling=sampling), play(served, sampling=sampling)
    assert [r.turns for r in ours] == [r.turns for r in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for mine, its in zip(one.segments, other.segments, strict=True):
            assert mine.token_ids == its.token_ids
            assert mine.logprobs == pytest.approx(its.logprobs, abs=1e-5)
    alone, again = (play(policy, sampling=sampling, concurrency=1, episodes=2) for policy in (engine, served))
    assert canonical(alone) == canonical(again)  # to the byte where nothing else is in the batch


def test_a_stop_string_stays(served):
    for path in (GENERATE, COMPLETIONS):
        served._path = path
        texts = [asyncio.run(served.act(request(served, seed=seed, stop=["e"], max_tokens=24))) for seed in range(10)]
        assert any(completion.text.count("e") for completion in texts)
        for completion in texts:
            assert completion.text == served.renderer.decode(completion.token_ids)
            assert "e" not in served.renderer.decode(completion.token_ids[:-1])


def test_the_learner_agrees_with_the_server(served, learner):
    records = play(served, "window:2")
    assert gap(learner[0], records) < 1e-4
    assert served.probe(learner[0]) < 1e-4


def test_weights_reach_a_server_under_way(served, learner, other):
    asked = [request(served, episode=str(i), seed=i, max_tokens=600) for i in range(4)]
    assert served.update_weights(learner[0], 4) < 1e-4

    async def interrupted():
        tasks = [asyncio.create_task(served.act(one)) for one in asked]
        await asyncio.sleep(0.3)
        await asyncio.to_thread(served.update_weights, other, 5)
        return await asyncio.gather(*tasks)

    try:
        for one, answer in zip(asked, asyncio.run(interrupted()), strict=True):
            versions = list(answer.versions or [answer.weight_version] * len(answer.token_ids))
            found = {
                4: logprobs(learner[0], one.prompt_ids, answer.token_ids),
                5: logprobs(other, one.prompt_ids, answer.token_ids),
            }
            assert answer.logprobs == pytest.approx([found[v][i] for i, v in enumerate(versions)], abs=1e-4)
        with pytest.raises(WeightsError):
            served.probe(learner[0])
    finally:
        served.update_weights(learner[0], 0)


def test_a_replica_that_is_gone_is_gone_around(server, learner):
    policy = vllm_policy(base_url=server, attempts=1)
    dead = "http://127.0.0.1:9"
    client = policy._clients[server]
    policy._clients = {dead: type(client)(dead, retry=client._retry, service=client.service), server: client}
    try:
        orders = {tuple(policy.order(f"e{i}")) for i in range(20)}
        assert len(orders) == 2
        assert gap(learner[0], play(policy, episodes=8)) < 1e-4
    finally:
        policy.close()


def test_the_chat_endpoint_is_token_faithful(server, learner, folder):
    policy = OpenAIPolicy(folder, server + "/v1", context=1024)
    try:
        records = play(policy, max_turns=4)
        assert all(record.token_faithful for record in records)
        assert gap(learner[0], records) < 1e-4
        assert all(record.usage.completion_tokens for record in records)
        several = [record for record in records if len(record.turns) > 1]
        assert several
        for record in several:
            tally = record.drift
            assert tally.clean + tally.realigned + tally.forked == len(record.turns) - 1
            assert len(record.segments) == 1 + tally.realigned + tally.forked
    finally:
        policy.close()


def test_the_chat_endpoint_calls_tools(server, folder):
    """A random model calls nothing, so the schema makes it: what comes back is a structured call."""
    env = agentgym.make("toy/Rooms-v0", action_format="json")
    env.reset(seed=1)
    choice = {"type": "function", "function": {"name": "look"}}
    policy = OpenAIPolicy(folder, server + "/v1", extra={"tool_choice": choice}, tokens="never")
    asked = Request(
        "e", 0, [{"role": "user", "content": "look"}], None, (), 1, Sampling(0.0, max_tokens=200), env.tools
    )
    try:
        answer = asyncio.run(policy.act(asked))
        if answer.finish_reason != "length":
            assert json.loads(answer.text.split("\n")[1])["name"] == "look"
    finally:
        policy.close()


def test_a_run_by_name(server, tmp_path):
    spec = PolicySpec("vllm", {"base_url": server})
    config = RunConfig("toy/Rooms-v0", spec, 4, sampling=Sampling(max_tokens=8), context="window:2")
    tally = asyncio.run(run(config, tmp_path / "run"))
    assert tally.faithful == 4
    assert tally.summary()["contexts"]["forked"] > 0
    assert all(record.drift.forked == len(record.segments) - 1 for record in read_run(tmp_path / "run"))


def test_mistakes_are_explained(server):
    with pytest.raises(ConfigError, match="doesn't serve 'x'"):
        vllm_policy("x", server)
    with pytest.raises(ConfigError, match="No vLLM server answers"):
        vllm_policy(base_url="http://127.0.0.1:9", attempts=1)
