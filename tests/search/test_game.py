"""The rules of Search, on a small library made by hand."""

import json

import pytest

import agentgym
from agentgym import AgentEnv, AgentGymError, Boundary, Fault
from agentgym.environments.search import score
from agentgym.environments.search.game import BELIEF_TEMPLATE, RETRIEVAL_FAULT, SearchGame, game_of
from agentgym.environments.search.grammar import TagsFormat
from agentgym.environments.search.library import Library, Questions
from agentgym.environments.search.official import with_prompt
from agentgym.environments.search.rewards import JUDGE_CAP
from agentgym.testing import check_agent_env
from agentgym.tools.retriever.corpus import Corpus, Passage, Texts
from agentgym.tools.retriever.impact import ImpactIndex

DOCUMENTS = (
    '"Velm"\nVelm lies on the River Sorga. ' + "Many boats pass. " * 60,
    '"River Sorga"\nThe River Sorga rises on Mount Tax.',
    '"Mount Tax"\nMount Tax is 1200 feet high.',
    '"Barge"\nA barge named Velm.',
    '"Quill"\nQuill is a town without a river.',
)
QUESTION = "How many feet high is the mountain on which the river of Velm rises?"


def step(text, document, query):
    return {"text": text, "documents": [document], "query": query}


RECORDS = [
    {
        "kind": "bridge",
        "hops": 3,
        "question": QUESTION,
        "answers": ["1200"],
        "chain": [
            step("Velm lies on the Sorga.", 0, "Velm river"),
            step("The Sorga rises on Mount Tax.", 1, "Sorga source"),
            step("Mount Tax is 1200 feet high.", 2, "Mount Tax height"),
        ],
    },
    {
        "kind": "unanswerable",
        "hops": 1,
        "question": "On which river does Quill lie?",
        "answers": ["unanswerable", "unknown"],
        "chain": [step("Of Quill nothing is recorded.", 4, "Quill")],
    },
    {"kind": "bridge", "hops": 1, "question": "What is on Mount Tax?", "answers": ["feet high"], "chain": []},
]


def library():
    corpus = Corpus(Texts.of(DOCUMENTS))
    return Library(corpus, ImpactIndex.build(corpus.contents()), Questions.of({"train": RECORDS}))


def env_of(task=0, engine=None, layout="chat", scheme="gated", action_format=None, **settings):
    env = AgentEnv(game_of(library(), engine, layout, settings), scheme=scheme, action_format=action_format)
    env.reset(seed=0, options={"task_id": f"train/{task}"})
    return env


def search(query):
    return f"<think>x</think><search>{query}</search>"


def answer(text):
    return f"<think>x</think><answer>{text}</answer>"


@pytest.mark.parametrize(
    ("env_id", "settings"),
    [
        ("agentgym/Search-v0", {"documents": 1}),
        ("agentgym/Search-v0", {"documents": 1, "layout": "inline", "injected": 0.5, "style": "skyrl"}),
        ("agentgym/SearchTiny-v0", {}),
    ],
)
def test_conformance(env_id, settings):
    check_agent_env(env_id, tasks=10, cheat_tasks=100, **settings)


class TestGrammar:
    tools = env_of().tools_by_name
    parse = staticmethod(lambda message: TagsFormat().parse(message, TestGrammar.tools))

    @pytest.mark.parametrize(
        ("message", "name", "arguments"),
        [
            ("<think>a</think><search> red mug </search>", "search", {"query": "red mug"}),
            ("<answer>A</answer><answer>B</answer>", "answer", {"text": "A"}),
            ("<answer>A</answer><search>q</search>", "answer", {"text": "A"}),
            ("<answer>A <search>q</search></answer>", "search", {"query": "q"}),
            ("<search>a\nb</search> and so on", "search", {"query": "a\nb"}),
            ("<open>2</open>", "open", {"doc": "2"}),
            ("<judge>no</judge>", "judge", {"useful": "No"}),
            ("<information><search>q</search></information>", "search", {"query": "q"}),
        ],
    )
    def test_reads_as_search_r1_does(self, message, name, arguments):
        (action,) = self.parse(message).actions
        assert (action.name, dict(action.arguments)) == (name, arguments)

    def test_a_judgement_goes_with_the_action_behind_it(self):
        (action,) = self.parse("<judge>Yes</judge><think>t</think><search>q</search>").actions
        assert (action.name, action.judged) == ("search", "Yes")

    @pytest.mark.parametrize("message", ["", "hello", "<search>q", "<answer>", "<judge>Maybe</judge>", "</search>"])
    def test_no_action(self, message):
        parsed = self.parse(message)
        assert not parsed.actions
        assert "<search>" in parsed.error

    def test_what_is_behind_the_action_is_not_read(self):
        (action,) = self.parse("<search>q</search><information>fake</information>").actions
        assert action.message == "<search>q</search>"


def test_a_search_shows_passages_as_search_r1_does():
    env = env_of()
    text = env.step(search("Sorga source"))[0]
    first = 'Doc 1(Title: "River Sorga") The River Sorga rises on Mount Tax.\n'
    assert text.startswith(f"<information>{first}")
    assert text.endswith("</information>")
    inline = env_of(layout="inline").step(search("Sorga source"))[0]
    assert inline == f"\n\n{text}\n\n"


def test_skyrl_shows_json_in_the_tags():
    text = env_of(style="skyrl", layout="inline").step(search("Sorga source"))[0]
    inner = json.loads(text.removeprefix("\n<information>").removesuffix("</information>\n"))
    assert inner["result"].startswith('Doc 1: "River Sorga"\nThe River')


def test_recall_counts_new_steps_once():
    env = env_of(top_k=1)
    rewards = [
        env.step(search(query))[4]["rewards"] for query in ("Sorga source rises", "Sorga source", "Mount Tax feet")
    ]
    assert [r["retrieval_recall"] for r in rewards] == [1 / 3, 0.0, 1 / 3]
    assert [r["doc_relevance"] for r in rewards] == [1.0, 0.0, 1.0]
    assert [r["retrieval_novelty"] for r in rewards] == [0.05, 0.0, 0.05]
    assert [r["search_cost"] for r in rewards] == [-1.0] * 3


def test_another_document_of_a_known_step_is_relevant():
    env = env_of(top_k=1)
    env.game.state.steps = (frozenset({"a", "b"}),)
    see = env.game.state.see
    passages = [Passage(name, f"{name} x") for name in "abab"]
    assert [see("q", [passage], keep=True)["doc_relevance"] for passage in passages] == [1.0, 0.6, 0.0, 0.0]
    assert see("q", [Passage("c", "new"), Passage("c", "new")], keep=True)["retrieval_novelty"] == 0.05


@pytest.mark.parametrize("task", [0, 2])
@pytest.mark.parametrize("scheme", sorted(SearchGame.schemes))
def test_searching_for_the_same_again_earns_nothing(scheme, task):
    totals = []
    for times in (1, 12):
        env = env_of(task, scheme=scheme)
        for _ in range(times):
            env.step(search("Mount Tax"))
        env.step(answer(RECORDS[task]["answers"][0]))
        totals.append(env.ledger.total)
    assert totals[1] <= totals[0] + 1e-9


def test_searching_on_earns_nothing_in_the_tiny_world():
    totals = []
    for times in (0, 3):
        env = agentgym.make("agentgym/SearchTiny-v0")
        env.reset(seed=0)
        messages = []
        while env.running:
            messages.append(env.expert_message())
            env.step(messages[-1])
        env.reset(seed=0)
        for message in messages[:1] * times + messages:
            env.step(message)
        assert env.ledger.gates and not env.running
        totals.append(env.ledger.total)
    assert totals[1] <= totals[0] + 1e-9


def test_a_pasted_question_earns_nothing_and_spoils_nothing():
    env = env_of()
    pasted = env.step(search(QUESTION))[4]["rewards"]
    assert pasted["retrieval_recall"] == pasted["retrieval_novelty"] == pasted["doc_relevance"] == 0.0
    assert env.step(search("Mount Tax"))[4]["rewards"]["retrieval_recall"] > 0


def test_information_that_the_model_writes_is_not_retrieved():
    env = env_of()
    fake = "<information>Doc 1(Title: Mount Tax) 1200 feet</information>"
    _, _, _, _, info = env.step(fake + "<judge>Yes</judge>" + search("Barge"))
    assert "judge_correct" not in info["rewards"]
    assert env.game.state.covered == {0} or not env.game.state.covered
    _, _, terminated, _, info = env.step(fake + answer("1200"))
    assert terminated
    assert info["rewards"]["searchr1_em_format"] == 0.8  # right, but malformed


def test_the_first_answer_ends_the_episode():
    env = env_of()
    _, reward, terminated, _, info = env.step(answer("7") + answer("1200"))
    assert terminated
    assert info["success"] is False
    assert reward == 0.0
    assert info["rewards"]["answer_em"] == info["rewards"]["skyrl_em"] == 0.0


def test_the_example_of_the_prompt_is_no_answer():
    env = env_of()
    assert "<answer> Beijing </answer>" in env.system_prompt
    info = env.step(answer(" Beijing "))[4]
    assert info["rewards"]["searchr1_em"] == 0.0


def test_shaping_pays_only_with_the_right_answer():
    wrong, right = env_of(), env_of()
    for env, text in ((wrong, "7"), (right, "1200")):
        for query in ("Velm river", "Sorga source", "Mount Tax height"):
            env.step(search(query))
        env.step(answer(text))
    assert wrong.ledger.total == pytest.approx(-0.015)
    assert right.ledger.total > 1.2


def test_judgements_are_capped_and_made_once():
    env = env_of(top_k=1)
    values = []
    for i in range(JUDGE_CAP + 2):
        judged = "Yes" if i == 1 else "No"
        info = env.step(f"<judge>{judged}</judge>" + search("Sorga" if i == 0 else "Barge"))[4]
        values.append(info["rewards"].get("judge_correct"))
    # nothing to judge at first; Yes to a useful search; No to useless ones; nothing after the cap
    assert values == [None, 0.2, 0.2, 0.2, 0.2, 0.2, 0.0]
    env.step("<judge>No</judge>")
    again = env.step("<judge>No</judge>")[4]
    assert again["action_executable"] is False


def test_open_shows_a_found_document_in_full():
    env = env_of(passage=40)
    assert env.step("<open>1</open>")[4]["action_executable"] is False
    short = env.step(search("Velm river boats"))[0]
    assert "characters cut" in short
    for name in ("1", "Velm", '"velm"'):
        full, _, _, _, info = env.step(f"<open>{name}</open>")
        assert info["action_executable"]
        assert full.count("Many boats pass.") == 60
    assert env.step("<open>Mount Tax</open>")[4]["action_executable"] is False


def test_official_components_are_the_official_scores_of_the_transcript():
    env = env_of(layout="inline")
    messages = [search("Velm river"), search("Mount Tax height"), answer("1200")]
    transcript, info = "", {}
    for message in messages:
        text, _, _, _, info = env.step(message)
        transcript += message + text
    for name in ("searchr1_em", "searchr1_subem", "searchr1_em_format", "skyrl_em", "skyrl_subem"):
        expected = score(name, response=transcript, targets=["1200"], full=with_prompt(transcript))
        assert info["rewards"][name] == expected == 1.0, name


def test_json_calls_in_parallel():
    env = env_of(action_format="json", top_k=1)
    calls = [
        {"name": "search", "arguments": {"query": query}, "id": query} for query in ("Sorga rises", "Mount Tax feet")
    ]
    _, _, _, _, info = env.step(json.dumps(calls))
    assert info["rewards"]["retrieval_recall"] == pytest.approx(2 / 3)
    assert [message["tool_call_id"] for message in env.messages] == ["Sorga rises", "Mount Tax feet"]
    assert "<information>" not in env.messages[0]["content"]
    _, _, terminated, _, info = env.step(json.dumps({"name": "answer", "arguments": {"text": "1,200"}}))
    assert terminated and info["success"]
    assert "searchr1_em_format" not in info["rewards"]
    assert info["rewards"]["skyrl_em"] == 1.0


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [(1, "unanswerable", 1.0), (1, "Unknown.", 1.0), (1, "Sorga", 0.0), (0, "unknown", -1.0), (0, "7", None)],
)
def test_abstention(task, text, expected):
    assert env_of(task).step(answer(text))[4]["rewards"].get("unanswerable_abstain") == expected


def test_without_a_proof_the_answer_tells_what_is_useful():
    env = env_of(2, top_k=1)
    rewards = env.step(search("Mount Tax"))[4]["rewards"]
    assert "retrieval_recall" not in rewards
    assert rewards["doc_relevance"] == 1.0
    assert env.step(search("Barge"))[4]["rewards"]["doc_relevance"] == 0.0


def test_covering_everything_covers_nothing():
    assert env_of().step(answer("it is 1200"))[4]["rewards"]["answer_cover"] == 1.0
    info = env_of().step(answer("it is " + "1200 or 7 or 8 or " * 5))[4]
    assert info["rewards"]["answer_cover"] == 0.0
    assert info["rewards"]["searchr1_subem"] == 1.0  # theirs has no bound


def test_injected_orders_are_shown_and_wrong():
    env = env_of(injected=1.0)
    text, _, _, _, info = env.step(search("Mount Tax"))
    assert "Stop searching" in text
    assert "injected" in info["tags"]
    assert '"Mount Tax"' in env.step("<open>2</open>")[0]
    ordered = text.partition("the answer is ")[2].partition(". Stop")[0]
    assert env.step(answer(ordered))[4]["success"] is False


class Broken:
    """An engine that fails as often as it is told."""

    remote = True

    def __init__(self, failures):
        self.failures = failures

    def find(self, query, k):
        self.failures -= 1
        if self.failures >= 0:
            raise Fault(Boundary.TOOL, "no route to the server")
        return [Corpus(Texts.of(DOCUMENTS))[2]]

    def fetch(self, name):
        raise AssertionError("remote documents are kept in the state")

    def close(self):
        pass


def test_a_retrieval_error_is_an_observation_and_a_tag():
    env = env_of(engine=Broken(1))
    assert type(env.game).capabilities.blocking
    text, _, terminated, _, info = env.step(search("Mount Tax"))
    assert "did not answer" in text and "no route" in text
    assert RETRIEVAL_FAULT in info["tags"]
    assert info["action_executable"] and not terminated
    env.step(search("Mount Tax"))
    assert "1200 feet" in env.step("<open>1</open>")[0]
    assert env.step(answer("1200"))[4]["success"] is True


def test_an_answer_without_a_search_engine_is_a_fault_not_a_wrong_answer():
    env = env_of(engine=Broken(1))
    env.step(search("Mount Tax"))
    with pytest.raises(Fault) as caught:
        env.step(answer("7"))
    assert caught.value.boundary == Boundary.TOOL
    assert not env.running


def test_a_dead_engine_ends_the_episode_as_a_fault():
    env = env_of(engine=Broken(99))
    env.step(search("a"))
    env.step(search("b"))
    with pytest.raises(Fault, match="no route"):
        env.step(search("c"))


def test_the_reference_holds_what_beliefs_need():
    env = env_of()
    assert env.task.reference["answers"] == ["1200"]
    assert env.task.reference["belief_template"] == BELIEF_TEMPLATE
    assert "1200" not in env.reset(seed=0, options={"task_id": "train/0"})[0]
    other = env_of(belief="so {answer}")
    assert other.task.reference["belief_template"] == "so {answer}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"top_k": 0}, "top_k"),
        ({"top_k": 2.5}, "top_k"),
        ({"passage": "600"}, "passage"),
        ({"style": "bing"}, "style of results"),
        ({"injected": 2.0}, "share"),
        ({"belief": "x"}, "answer"),
        ({"layout": "outline"}, "inline"),
    ],
)
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(AgentGymError, match=words):
        env_of(**settings)


@pytest.mark.parametrize("settings", [{"documents": 0}, {"documents": 1.5}, {"documents": "many"}, {"world": "x"}])
def test_worlds_that_make_no_sense(settings):
    with pytest.raises(AgentGymError, match="documents from 1"):
        agentgym.make("agentgym/Search-v0", **settings)
