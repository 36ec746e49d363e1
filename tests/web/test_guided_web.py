"""Reward-guided search and process rewards over web episodes, with a scripted judge; the search forks the browser."""

import asyncio
import json
import re

import pytest

from agentgym.core.env import AgentEnv
from agentgym.core.policy import Completion, Policy, Request, Sampling
from agentgym.policies.guided import GuidedPolicy
from agentgym.policies.scripted import ScriptedPolicy
from agentgym.rollout.batch import to_batch
from agentgym.rollout.engine import collect_all
from agentgym.rollout.jobs import plan
from agentgym.training.judged import JudgeScorer


class Clerk(Policy):
    """Proposes the expert's message, or a mistake, by the seed."""

    name = "clerk"
    bound = True

    async def act(self, request):
        rate = 0.0 if request.seed % 3 == 0 else 1.0
        return await ScriptedPolicy(rate).act(request) if request.env is not None else Completion("noop()")


def attentive(env):
    """A judge that knows what the expert would do in the episode that is played, and likes what does the same."""

    def judge(messages, images=()):
        wanted = env.expert_message()
        _, first, second = re.split(r"\nAction [12]:\n", messages[-1]["content"])
        name = re.sub(r"[<>&]", "", wanted)
        one, two = (name in re.sub(r"&lt;|&gt;|&amp;", "", block) for block in (first, second))
        return json.dumps({"justification": "as an expert", "preference": 2 if two and not one else 1})

    return judge


@pytest.mark.parametrize("backend", ["text", "chromium"])
def test_best_of_n_over_forks_solves_what_its_proposer_doesnt(backend, request):
    if backend == "chromium":
        request.getfixturevalue("chromium")
    env = AgentEnv("agentgym.environments.web.game:web", backend=backend, templates=("set-note",))
    try:
        _, info = env.reset(seed=3)
        policy = GuidedPolicy(Clerk(), attentive(env), samples=6 if backend == "text" else 3)
        messages = list(env.messages)
        while env.running and (backend == "text" or info["turn"] < 2):
            asked = Request("e", info["turn"], list(messages), None, (), 100 + info["turn"], Sampling(), env=env)
            text = asyncio.run(policy.act(asked)).text
            *_, info = env.step(text)
            messages += [{"role": "assistant", "content": text}, *env.messages]
        assert info.get("success") is (True if backend == "text" else None)
    finally:
        env.close()


def test_orders_on_pages_reach_the_judge_as_data():
    env = AgentEnv("agentgym.environments.web.game:web", injected=1.0, templates=("set-note",))
    records = collect_all(list(plan(3, 1, 2)), lambda: env, ScriptedPolicy(), sampling=Sampling(), concurrency=1)
    asked = []

    def judge(messages, images=()):
        asked.append(messages[-1]["content"])
        return json.dumps({"rating": 5})

    scorer = JudgeScorer(judge)
    scorer.read(records)
    column = scorer(to_batch(records, text_only=True))["process_reward"]
    assert (column == 0.5).all()
    orders = [
        text for text in asked if re.search("NOTICE TO ASSISTANTS|System message|To continue, an|IMPORTANT", text)
    ]
    assert orders
    for text in orders:
        outside = re.sub(r"<data>.*?</data>", "", text, flags=re.DOTALL)
        assert not re.search("NOTICE TO ASSISTANTS|System message|To continue, an|IMPORTANT", outside)
