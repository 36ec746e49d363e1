import asyncio
import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.actions import Tool, tool
from agentgym.core.errors import ConfigError, Fault, UnknownNameError
from agentgym.core.formats import FORMATS
from agentgym.core.policy import Request, Sampling
from agentgym.core.text import TruncatedMessage
from agentgym.policies import POLICIES
from agentgym.policies.random import RandomPolicy, draw_argument
from agentgym.policies.rendering import HFRenderer
from agentgym.policies.replay import ReplayPolicy
from agentgym.policies.scripted import ScriptedPolicy
from agentgym.policies.tiny import build_tokenizer

TOOLS = {
    made.name: made
    for made in (
        tool("search", "find products", query="what to look for"),
        tool("buy", "buy it"),
        Tool(
            "open",
            "open a row",
            {
                "type": "object",
                "properties": {
                    "row": {"type": "integer", "minimum": 1, "maximum": 4},
                    "view": {"enum": ["short", "long"]},
                },
                "required": ["row"],
            },
        ),
    )
}


class _Env:
    """Stands for an AgentEnv: what bound policies ask of one."""

    tools_by_name = TOOLS
    action_format = FORMATS.get("json")

    def expert_message(self, *, mistake_rate, rng):
        return "wrong" if rng.random() < mistake_rate else "search[red shirt]"


def _request(env=None, seed=0, episode="e0", turn=0):
    messages = [{"role": "user", "content": "find a red shirt"}]
    return Request(episode, turn, messages, None, (), seed, Sampling(), env=env)


def _act(policy, *args, **kwargs):
    return asyncio.run(policy.act(_request(*args, **kwargs)))


def test_the_scripted_policy_asks_the_live_expert():
    assert _act(ScriptedPolicy(), _Env()).text == "search[red shirt]"
    assert _act(ScriptedPolicy(mistake_rate=1.0), _Env()).text == "wrong"


def test_mistakes_follow_the_seed_of_the_message():
    policy = ScriptedPolicy(mistake_rate=0.5)
    texts = [_act(policy, _Env(), seed=seed).text for seed in range(60)]
    assert texts == [_act(policy, _Env(), seed=seed).text for seed in range(60)]
    assert 15 < texts.count("wrong") < 45


def test_expert_messages_carry_tokens_for_a_learner():
    renderer = HFRenderer(build_tokenizer(["search red shirt"]))
    completion = _act(ScriptedPolicy(renderer=renderer), _Env())
    assert renderer.decode(completion.token_ids) == completion.text
    assert renderer.is_closed(completion.token_ids)
    assert len(completion.logprobs) == len(completion.token_ids)


def test_bound_policies_say_that_they_need_an_environment():
    for policy in (ScriptedPolicy(), RandomPolicy()):
        assert policy.bound
        with pytest.raises(ConfigError, match="live environments"):
            _act(policy)


def test_a_mistake_rate_is_a_probability():
    with pytest.raises(ConfigError, match="probability"):
        ScriptedPolicy(mistake_rate=1.5)


def test_random_actions_can_be_parsed_and_cover_all_tools():
    names = set()
    for seed in range(100):
        parsed = _Env.action_format.parse(_act(RandomPolicy(), _Env(), seed=seed).text, TOOLS)
        (action,) = parsed.actions
        assert TOOLS[action.name].problem(action.arguments) == ""
        names.add(action.name)
    assert names == set(TOOLS)


@given(st.integers(0, 2**32), st.sampled_from(["string", "integer", "number", "boolean", "array", "object"]))
def test_drawn_arguments_have_the_type_that_the_schema_names(seed, kind):
    schema = {"type": kind, "items": {"type": "integer"}, "properties": {"a": {"type": "string"}}}
    value = draw_argument(schema, ["red", "shirt"], np.random.default_rng(seed))
    holder = Tool("t", "", {"type": "object", "properties": {"x": {"type": kind}}})
    assert holder.problem({"x": value}) == ""


def test_replay_gives_messages_back_and_keeps_their_cut():
    policy = ReplayPolicy({"e0": ["search[a]", TruncatedMessage("buy")]})
    assert _act(policy).text == "search[a]"
    cut = _act(policy, turn=1)
    assert (cut.text, cut.finish_reason) == ("buy", "length")


def test_replay_faults_on_what_was_not_recorded():
    policy = ReplayPolicy({"e0": ["search[a]"]})
    for changed in ({"episode": "other"}, {"turn": 1}):
        with pytest.raises(Fault, match="recorded"):
            _act(policy, **changed)


def test_replay_says_what_a_folder_should_hold(tmp_path):
    with pytest.raises(ConfigError, match="finished run"):
        ReplayPolicy(str(tmp_path))


def test_the_registry_knows_every_policy_and_suggests():
    assert {"transformers", "scripted", "random", "replay"} <= set(POLICIES)
    for name in POLICIES:
        built = POLICIES.get(name)
        assert inspect.isfunction(built) or built.name == name
        assert POLICIES.summary(name)
    with pytest.raises(UnknownNameError, match="transformers"):
        POLICIES.get("transformer")
