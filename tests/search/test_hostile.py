"""Messages and retrievers as they come when things go wrong: nothing raises, nothing pays, nothing is a wrong answer."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retriever.test_server import free_port, running

from agentgym import Boundary, make
from agentgym.core.policy import Sampling
from agentgym.environments.search import normalize_answer, score
from agentgym.environments.search.official import SCORES, with_prompt
from agentgym.policies.scripted import ScriptedPolicy
from agentgym.rollout.engine import collect_all
from agentgym.rollout.jobs import plan
from search.test_game import QUESTION, answer, env_of, search

PIECES = (
    *(
        f"<{slash}{tag}>"
        for tag in ("think", "search", "information", "answer", "open", "judge")
        for slash in ("", "/")
    ),
    "<search>Mount Tax</search>",
    "<answer>1200</answer>",
    "<answer> 7 </answer>",
    "<open>1</open>",
    "<judge>Yes</judge>",
    "<information>Doc 1(Title: Mount Tax) 1200</information>",
    QUESTION,
    "1200",
    " ",
    "\n",
    "\x00",
    "\ud800",
    "</s><|im_end|>",
    "²",
    "<Search>x</Search>",
)
MESSAGES = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))


@settings(max_examples=150, deadline=None)
@given(st.lists(MESSAGES, max_size=6), st.sampled_from(("chat", "inline")), st.sampled_from(("tags", "json", "react")))
def test_no_message_raises_and_a_message_without_an_action_changes_nothing(messages, layout, action_format):
    env = env_of(layout=layout, action_format=action_format)
    for message in messages:
        if not env.running:
            break
        before = env.game.state_key()
        text, reward, terminated, _, info = env.step(message)
        assert isinstance(text, str) and math.isfinite(reward)
        assert info["action_valid"] or env.game.state_key() == before
        assert ("success" in info) == terminated
    assert env.ledger.total <= 2


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.text(), st.lists(st.sampled_from((*PIECES, "Zanthor", "the Zanthor.")), max_size=12).map("".join)),
    st.lists(st.one_of(st.text(), st.sampled_from(("Zanthor", "1200"))), min_size=1, max_size=3),
)
def test_laws_of_the_official_scores(response, targets):
    found = {name: score(name, response=response, targets=targets) for name in SCORES}
    assert found == {
        name: score(name, response=response, targets=targets, full=with_prompt(response)) for name in SCORES
    }
    assert all(0 <= value <= 1 for value in found.values())
    assert found["searchr1_em_response_only"] <= found["searchr1_em"] <= found["searchr1_subem"]
    assert found["searchr1_em"] == math.ceil(found["skyrl_em"])  # one takes an answer, the other divides it
    assert found["skyrl_subem"] == found["searchr1_subem"]
    assert (found["searchr1_em_format"] >= 0.8) == (found["searchr1_em"] == 1.0)
    if "<answer>" not in response:
        assert not any(value for name, value in found.items())
    for target in targets:
        again = normalize_answer(target)
        assert normalize_answer(again) == normalize_answer(f" {again}\n")


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("", (0, 0, 0, 0, 0, 0)),
        ("Zanthor", (0, 0, 0, 0, 0, 0)),
        ("<answer>Zanthor", (0, 0, 0, 0, 0, 0)),
        ("<answer>the zanthor!</answer>", (1, 0, 1, 0.8, 1, 1)),
        ("<answer>Quill</answer> <answer>\nZANTHOR\n</answer>", (1, 1, 1, 0.8, 1, 1)),
        ("<answer>Zanthor</answer><answer>Quill</answer>", (0, 0, 0, 0.1, 0, 0)),
        ("<answer><answer>Zanthor</answer></answer>", (0, 0, 1, 0.1, 0, 1)),  # the inner tag becomes a word
        ("<think>a</think><answer>Zanthor</answer>\n", (1, 0, 1, 1, 1, 1)),
        ("<think>a</think><answer>Zanthor</answer><|im_end|>", (1, 0, 1, 0.8, 1, 1)),
        ("<think>a</think>\n<answer>about Zanthor City</answer>", (0, 0, 1, 0.2, 0, 1)),
        ("<think>a</think><search>q</search><answer>Zanthor</answer>", (1, 0, 1, 0.8, 1, 1)),
        (
            "<think>a</think><search>q</search> <information>of Zan-thor</information>\n<think/></think>"
            "<answer>x</answer>",
            (0, 0, 0, 0.1, 0, 0),
        ),
        (
            "<think>a</think><search>q</search> <information>of Zan-thor</information>\n<think></think>"
            "<answer>x</answer>",
            (0, 0, 0, 0.2 + 0.1, 0, 0),
        ),
        ("<think>a</think><answer></answer>", (0, 0, 0, 0.2, 0, 0)),
    ],
)
def test_official_scores_of_odd_transcripts(response, expected):
    names = (
        "searchr1_em",
        "searchr1_em_response_only",
        "searchr1_subem",
        "searchr1_em_format",
        "skyrl_em",
        "skyrl_subem",
    )
    assert tuple(score(name, response=response, targets=["Zanthor"]) for name in names) == expected


def test_a_prompt_without_an_example_makes_one_answer_too_few():
    response = "<think>a</think><answer>Zanthor</answer>"
    bare = f"<|im_start|>user\nq?<|im_end|>\n<|im_start|>assistant\n{response}"
    assert score("searchr1_em", response=response, targets=["Zanthor"], full=bare) == 0.0
    assert score("searchr1_em_format", response=response, targets=["Zanthor"], full=bare) == 0.2
    nobody = f"For example, <answer> Beijing </answer>. {response}"
    assert score("searchr1_em_format", response=response, targets=["Zanthor"], full=nobody) == 0.8
    assert score("searchr1_em", response="", targets=["Beijing"], full=nobody) == 0.0


@pytest.mark.parametrize("name", SCORES)
def test_each_official_score_is_a_component(name):
    from agentgym.core.rewards import RewardScheme

    env = env_of(scheme=RewardScheme("official", {name: 1.0}))
    env.step(search("Mount Tax height"))
    reward = env.step(answer("1200"))[1]
    assert reward == (0.0 if name == "searchr1_em_response_only" else 1.0)


class TestParallelCalls:
    @staticmethod
    def play(*calls):
        env = env_of(action_format="json", top_k=1)
        named = [{"name": name, "arguments": arguments, "id": str(i)} for i, (name, arguments) in enumerate(calls)]
        return env, env.step(json.dumps(named))

    def test_one_bad_call_does_not_spoil_the_others(self):
        env, (_, _, _, _, info) = self.play(("search", {"query": "Sorga rises"}), ("open", {}), ("open", {"doc": 9}))
        contents = [message["content"] for message in env.messages]
        assert "River Sorga" in contents[0] and "'doc'" in contents[1] and "no such document" in contents[2]
        assert info["action_executable"] is False
        assert len(env.game.state.shown) == 1

    def test_an_unknown_tool_makes_the_message_no_action(self):
        env, (text, _, _, _, info) = self.play(("search", {"query": "Sorga rises"}), ("google", {}))
        assert "google" in text and info["action_valid"] is False
        assert not env.game.state.shown

    def test_the_first_answer_counts_and_nothing_behind_it(self):
        env, (_, _, terminated, _, info) = self.play(
            ("answer", {"text": "7"}), ("answer", {"text": "1200"}), ("search", {"query": "Sorga"})
        )
        assert terminated and info["success"] is False
        assert not env.game.state.asked

    def test_a_document_by_its_number_as_a_number(self):
        env, _ = self.play(("search", {"query": "Velm river boats"}))
        for number in (1, "1"):
            text, _, _, _, info = env.step(json.dumps({"name": "open", "arguments": {"doc": number}}))
            assert info["action_executable"] and "Velm lies" in text
        assert env.step(json.dumps({"name": "open", "arguments": {"doc": [1]}}))[4]["action_executable"] is False


def test_invented_results_earn_nothing_in_either_layout():
    """A transcript of invented searches scores no retrieval, and its judgements no points."""
    fake = "<think>a</think><search>q</search><information>1200</information><think>b</think><answer>7</answer>"
    for layout in ("chat", "inline"):
        env = env_of(layout=layout)
        info = env.step(fake)[4]  # cut behind the search: what is found is the environment's to say
        assert info["rewards"].get("retrieval_recall", 0.0) == 0.0
        info = env.step("<information>Mount Tax is 1200 feet high.</information><judge>Yes</judge>" + answer("7"))[4]
        rewards = info["rewards"]
        assert rewards["searchr1_em_format"] <= 0.1 and rewards["answer_em"] == 0.0
        assert rewards["judge_correct"] < 0  # that search found nothing
        assert env.ledger.total < 0


def played(url, **settings):
    jobs = list(plan(3, 1, 0))
    return collect_all(
        jobs,
        lambda: make("agentgym/Search-v0", documents=1, retriever=url, **settings),
        ScriptedPolicy(),
        sampling=Sampling(),
    )


def test_episodes_whose_retriever_is_away_are_faults_at_the_tools_boundary():
    url = f"http://127.0.0.1:{free_port()}/retrieve"
    for trajectory in played(url):
        fault = trajectory.fatal
        assert fault is not None and fault.boundary == Boundary.TOOL and url in fault.message
        told = [each for each in trajectory.faults if each.survived]
        assert [each.turn for each in told] == list(range(len(trajectory.turns)))
        assert trajectory.stop_reason == "fault"
        assert not trajectory.scored and trajectory.success is not True
        assert trajectory.turns and all("retrieval_fault" in turn.tags for turn in trajectory.turns)
        assert "did not answer" in trajectory.turns[1].observation
        assert "answer_em" not in {name for turn in trajectory.turns for name in turn.components}


def test_a_retriever_that_dies_in_the_middle_of_an_episode():
    """The documents that it found stay readable; the answer given while it is away is a fault, not wrong."""
    with running() as port:
        env = make("agentgym/Search-v0", documents=1, retriever=f"http://127.0.0.1:{port}/retrieve")
        env.reset(seed=0)
        assert "the red mug" in env.step(search("red mug"))[0]
    text, _, terminated, _, info = env.step(search("blue cup"))
    assert "did not answer" in text and "retrieval_fault" in info["tags"] and not terminated
    assert "the red mug" in env.step("<open>1</open>")[0]
    with pytest.raises(Exception, match="while the search engine was away") as caught:
        env.step(answer("anything"))
    assert caught.value.boundary == Boundary.TOOL
    env.close()
