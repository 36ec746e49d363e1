"""What the vLLM policies do by themselves, against a server that only plays one. For vLLM itself: tests/policies_vllm."""

import asyncio
import contextlib
import json

import numpy as np
import pytest
import torch
from chat_servers import Server
from chat_templates import tokenizer_with

from agentgym.core.errors import ConfigError, Fault
from agentgym.core.policy import Request, Sampling
from agentgym.policies.loop import LoopThread
from agentgym.policies.stopping import StopStrings
from agentgym.policies.tiny import build_model, save
from agentgym.policies.vllm import vllm_policy
from agentgym.policies.vllm.probe import Probe, WeightsError
from agentgym.policies.vllm.server import COMPLETIONS, GENERATE
from agentgym.policies.vllm.weights import HEAD, merged, tied, untie


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizer = tokenizer_with("chatml")
    model = build_model(tokenizer, layers=1, hidden=32, context=128, seed=1)
    return str(save(model, tokenizer, tmp_path_factory.mktemp("model")))


class Pretends:
    """Answers as a vLLM server does, with tokens that count up."""

    def __init__(self, folder, *, scale_out=True, logprob=0.0, **choice):
        self.folder, self.scale_out, self.logprob, self.choice = folder, scale_out, logprob, choice
        self.paths, self.down = [], False

    def __call__(self, body, headers):
        path = headers["path"]
        self.paths.append(path)
        if self.down:
            return {"status": 503}
        if path == "/v1/models":
            return {"data": [{"id": "m", "root": self.folder, "max_model_len": 64}]}
        if path == GENERATE and not self.scale_out:
            return {"status": 404, "body": {"detail": "Not Found"}}
        choice = {"token_ids": [40, 41, 42], "finish_reason": "length", **self.choice}
        count = len(choice["token_ids"])
        if path == GENERATE:
            choice["logprobs"] = {"content": [{"logprob": self.logprob}] * count}
        else:
            choice["logprobs"] = {"token_logprobs": [self.logprob] * count}
        return {"choices": [choice]}


@contextlib.contextmanager
def policy_at(*servers, **kwargs):
    policy = vllm_policy(base_url=[server.root for server in servers], **kwargs)
    try:
        yield policy
    finally:
        policy.close()


def request(episode="e", stop=(), **sampling):
    return Request(episode, 0, (), [5, 6, 7], stop, 2**63 + 4, Sampling(**{"max_tokens": 9, **sampling}))


@pytest.mark.parametrize("scale_out", [True, False])
def test_tokens_go_in_and_come_out(folder, scale_out):
    pretends = Pretends(folder, scale_out=scale_out)
    with Server(pretends) as server, policy_at(server) as policy:
        for _ in range(2):
            answer = asyncio.run(policy.act(request(stop=("</a>",))))
    assert (answer.token_ids, answer.logprobs, answer.finish_reason) == ([40, 41, 42], [0.0] * 3, "length")
    assert answer.text == policy.renderer.decode([40, 41, 42])
    body = server.requests[-1]
    sent = body["sampling_params"] if scale_out else body
    assert (body["token_ids"] if scale_out else body["prompt"]) == [5, 6, 7]
    assert (sent["seed"], sent["max_tokens"], sent["stop"]) == (4, 9, ["</a>"])
    assert sent["include_stop_str_in_output"] and not sent["skip_special_tokens"]
    assert sent["stop_token_ids"] == sorted(policy.renderer.final_ids)
    assert pretends.paths.count(GENERATE) == (3 if scale_out else 1)  # a server without it is asked once
    assert pretends.paths.count(COMPLETIONS) == (0 if scale_out else 3)


def test_versions_are_kept_where_an_update_came_between(folder):
    spans = [{"version": "default", "start": 0, "end": 1}, {"version": "7", "start": 1, "end": 3}]
    with Server(Pretends(folder, weight_versions=spans)) as server, policy_at(server) as policy:
        answer = asyncio.run(policy.act(request()))
    assert (answer.versions, answer.weight_version) == ([0, 7, 7], 7)
    whole = [{"version": "3", "start": 0, "end": 3}]
    with Server(Pretends(folder, weight_versions=whole)) as server, policy_at(server) as policy:
        answer = asyncio.run(policy.act(request()))
    assert (answer.versions, answer.weight_version) == (None, 3)


def test_what_came_after_a_stop_string_is_cut_at_the_token(folder):
    tokenizer = tokenizer_with("chatml")
    ids = tokenizer("look[hall] and more", add_special_tokens=False)["input_ids"]
    with Server(Pretends(folder, token_ids=ids)) as server, policy_at(server) as policy:
        answer = asyncio.run(policy.act(request(stop=("]",))))
    assert answer.text == "look[hall]"
    assert answer.finish_reason == "stop"
    assert len(answer.logprobs) == len(answer.token_ids) < len(ids)


def test_log_probabilities_before_temperature_are_refused_where_they_matter(folder):
    with Server(Pretends(folder, logprob=-0.5)) as server, policy_at(server) as policy:
        assert asyncio.run(policy.act(request())).logprobs == [-0.5] * 3
        assert asyncio.run(policy.act(request(temperature=0.0))).logprobs == [0.0] * 3
        for sampling in ({"temperature": 0.7}, {"top_p": 0.9}, {"top_k": 4}):
            with pytest.raises(ConfigError, match="processed_logprobs"):
                asyncio.run(policy.act(request(**sampling)))


def test_a_replica_that_is_gone_is_not_asked_again_at_every_turn(folder):
    first, second = Pretends(folder), Pretends(folder)
    with Server(first) as one, Server(second) as two, policy_at(one, two, attempts=1) as policy:
        first.down = second.down = True
        for _ in range(2):  # with all of them gone each is asked every time
            before = len(first.paths), len(second.paths)
            with pytest.raises(Fault, match="HTTP 503"):
                asyncio.run(policy.act(request()))
            assert (len(first.paths) - before[0], len(second.paths) - before[1]) == (1, 1)
        second.down = False
        before = len(first.paths)
        for episode in range(20):
            asyncio.run(policy.act(request(f"e{episode}")))
        assert len(first.paths) - before <= 1


def test_an_episode_keeps_to_its_replica_and_leaves_it_when_it_is_gone(folder, monkeypatch):
    monkeypatch.setattr("agentgym.policies.vllm.server.AWAY", 0.0)
    first, second = Pretends(folder), Pretends(folder)
    with Server(first) as one, Server(second) as two, policy_at(one, two, attempts=1) as policy:

        def served(episodes):
            before = [len(first.paths), len(second.paths)]
            for episode in episodes:
                asyncio.run(policy.act(request(episode)))
            return [len(first.paths) - before[0], len(second.paths) - before[1]]

        names = [f"e{i}" for i in range(40)]
        spread = served(names)
        assert served(names) == spread
        assert min(spread) > 8
        second.down = True
        moved = served(names)
        assert moved[0] == 40
        second.down = False
        assert served(names) == spread


def test_all_replicas_gone_is_a_fault_of_the_episode(folder):
    pretends = Pretends(folder)
    with Server(pretends) as server, policy_at(server, attempts=1) as policy:
        pretends.down = True
        with pytest.raises(Fault, match="HTTP 503"):
            asyncio.run(policy.act(request()))


@pytest.mark.parametrize("choice", [{"logprobs": None}, {"token_ids": None}, {"finish_reason": "abort"}])
def test_an_answer_that_lacks_something_is_a_fault(folder, choice):
    def answers(body, headers):
        answer = Pretends(folder)(body, headers)
        if headers["path"] == GENERATE and body["sampling_params"]["max_tokens"] == 9:
            answer["choices"][0] |= choice
        return answer

    with Server(answers) as server, policy_at(server) as policy, pytest.raises(Fault):
        asyncio.run(policy.act(request()))


def test_a_context_without_room_is_said_without_asking(folder):
    pretends = Pretends(folder)
    with Server(pretends) as server, policy_at(server) as policy:
        asked = len(pretends.paths)
        full = Request("e", 0, (), [5] * 64, (), 1, Sampling())
        assert asyncio.run(policy.act(full)).finish_reason == "length"
        assert len(pretends.paths) == asked


def test_servers_of_different_models_are_refused(folder):
    def other(body, headers):
        return {"data": [{"id": "n", "root": folder, "max_model_len": 64}]}

    with Server(Pretends(folder)) as one, Server(other) as two:
        with pytest.raises(ConfigError, match="different models: m, n"):
            vllm_policy(base_url=[one.root, two.root])
        with pytest.raises(ConfigError, match="doesn't serve 'x'; it serves: m"):
            vllm_policy("x", one.root)


def test_nobody_there_is_said_in_one_line():
    with pytest.raises(ConfigError, match="No vLLM server answers") as caught:
        vllm_policy(base_url="http://127.0.0.1:9", attempts=1)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="needs a model"):
        vllm_policy()


# Weights and the probe


@pytest.fixture
def tied_folder(tmp_path):
    tokenizer = tokenizer_with("chatml")
    model = build_model(tokenizer, layers=1, hidden=32, context=128, seed=2)
    model.config.tie_word_embeddings = True
    model.tie_weights()
    return save(model, tokenizer, tmp_path / "tied"), model


def test_an_untied_copy_computes_the_same(tied_folder, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, model = tied_folder
    assert tied(folder)
    copy = untie(folder, tmp_path / "untied")
    assert not tied(copy)
    config = json.loads((copy / "config.json").read_text())
    assert config["tie_word_embeddings"] is False
    loaded = AutoModelForCausalLM.from_pretrained(copy, dtype="float32")
    ids = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, model(ids).logits)
    assert loaded.get_output_embeddings().weight.data_ptr() != loaded.get_input_embeddings().weight.data_ptr()
    assert AutoTokenizer.from_pretrained(copy).chat_template


def test_a_folder_without_a_model_can_t_be_untied(tmp_path):
    with pytest.raises(ConfigError, match=r"config\.json"):
        tied(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="embed_tokens"):
        untie(tmp_path, tmp_path / "to")


def test_a_tied_model_is_handed_over_with_its_head(tied_folder):
    with merged(tied_folder[1]) as named:
        assert sum(name == HEAD for name, _ in named) == 1


def test_adapters_are_merged_for_the_way_only():
    import peft

    tokenizer = tokenizer_with("chatml")
    bare = build_model(tokenizer, layers=1, hidden=32, context=128, seed=1)
    names = {name for name, _ in bare.named_parameters()}
    before = {name: value.clone() for name, value in bare.state_dict().items()}
    model = peft.get_peft_model(bare, peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter)
    with merged(model) as named:
        found = {name: value.detach().clone() for name, value in named}
    assert set(found) == names
    changed = {name for name in names if not torch.equal(found[name], before[name])}
    assert changed == {"model.layers.0.self_attn.q_proj.weight"}
    after = {
        name.replace("base_model.model.", "").replace(".base_layer", ""): v for name, v in model.state_dict().items()
    }
    for name in names:
        assert torch.allclose(after[name], before[name], atol=1e-5)  # added and taken off again, in float32


def _model(seed):
    return build_model(tokenizer_with("chatml"), layers=1, hidden=32, context=128, seed=seed)


def test_the_probe_is_the_learner_s_own_log_probabilities():
    model = _model(1).train()
    probe = Probe.of(model)
    assert model.training
    ids = torch.tensor(probe.prompts)
    with torch.no_grad():
        expected = model(ids).logits.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
    assert probe.expected == pytest.approx(expected.numpy(), abs=1e-6)
    assert probe.prompts == Probe.of(_model(2)).prompts
    assert probe.check(probe.expected + 1e-5, None, 1e-3) == pytest.approx(1e-5)


@pytest.mark.parametrize("found", [lambda e: e + 0.1, lambda e: e * np.nan, lambda e: np.full_like(e, -np.inf)])
def test_the_probe_finds_what_differs(found):
    probe = Probe.of(_model(1))
    with pytest.raises(WeightsError, match="log-probabilities of a fixed prompt"):
        probe.check(found(probe.expected), None, 1e-3)


def test_the_probe_finds_old_weights_under_its_tolerance():
    before = Probe.of(_model(1))
    after = Probe(before.prompts, before.expected + 1e-4)
    assert after.check(after.expected, before, 0.05) == 0
    with pytest.raises(WeightsError, match="weights before"):
        after.check(before.expected, before, 0.05)


# Parts


def test_a_loop_of_its_own_runs_cancels_and_ends():
    loop = LoopThread("test")

    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    assert loop.run(double(2)) == 4
    assert asyncio.run(loop.call(double(3))) == 6
    seen = []

    async def forever():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def impatient():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(loop.call(forever()), 0.05)

    asyncio.run(impatient())
    assert loop.run(double(1)) == 2
    assert seen == ["cancelled"]
    loop.close()
    loop.close()


def test_stop_strings_on_tokens():
    pieces = ["a", "b</", "s>", "c", "</s>"]
    stops = StopStrings(("</s>",), lambda ids: "".join(pieces[i] for i in ids))
    assert stops.length([0, 1]) is None
    assert stops.length([0, 1, 2]) == 3
    assert stops.length([0, 1, 2, 3, 4]) == 3
    assert stops.length([4]) == 1
    assert StopStrings((), str).length([1]) is None
