"""ReSeek, R3-RAG, ProRAG and IGPO."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rules import igpo, prorag, r3_rag, reseek

from .texts import ANSWERS, MODEL_OUTPUT

RIGHT, WRONG = "<answer>Paris</answer>", "<answer>Rome</answer>"
USEFUL, USELESS = "<information>It is Paris.</information>", "<information>Cheese.</information>"
YES, NO = "<judge>Yes</judge>", "<judge>No</judge>"


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        (USEFUL + YES + RIGHT, [0.4]),
        (USELESS + YES + RIGHT, [0.4]),  # Yes with a right answer counts as right
        (USELESS + NO + RIGHT, [0.4]),
        (USEFUL + NO + RIGHT, [-0.3]),
        (USEFUL + YES + WRONG, [0.3]),
        (USELESS + YES + WRONG, [-0.6]),
        (USELESS + NO + WRONG, [0.3]),
        (USEFUL + YES, [0.0]),  # no final answer
        (USEFUL + RIGHT, []),
        ("<information> </information>" + YES + RIGHT, [0.0]),
        (USEFUL + "<JUDGE>yes</JUDGE>" + RIGHT, [0.4]),
    ],
)
def test_regex_judge_by_hand(transcript, expected):
    assert reseek.regex_rewards(transcript, ["Paris"]) == pytest.approx(expected)


def _similarity(answer, information):
    return float(answer in information)


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        (USEFUL + YES + RIGHT, 0.1),
        (USEFUL + YES + WRONG, -0.025),
        (USELESS + YES + WRONG, -0.05),
        (USEFUL + NO + RIGHT, -0.05),
        (USELESS + NO + WRONG, 0.02),
    ],
)
def test_rerank_judge_by_hand(transcript, expected):
    assert reseek.rerank_rewards(transcript, ["Paris"], _similarity) == pytest.approx([expected])


def test_one_judgement_serves_one_information_block():
    transcript = USEFUL + USELESS + YES + RIGHT
    assert [found.information for found in reseek.judgements(transcript)] == ["Cheese."]
    assert [found.information for found in reseek.judgements(transcript, shared=True)] == ["It is Paris.", "Cheese."]


def test_a_flood_of_judgements_pays_no_more_than_the_cap():
    rewards = reseek.regex_rewards((USEFUL + YES) * 50 + RIGHT, ["Paris"])
    assert len(rewards) == 50
    assert reseek.capped_sum(rewards) == reseek.DEFAULT_CAP
    assert reseek.capped_sum(rewards, None) == pytest.approx(20.0)
    assert reseek.capped_sum([-9.0]) == -reseek.DEFAULT_CAP


def test_a_flood_of_answers_gets_a_quarter():
    assert reseek.outcome_reward(RIGHT * 10, "Paris") == 1.0
    assert reseek.outcome_reward(RIGHT * 11, "Paris") == 0.25
    assert reseek.outcome_reward(WRONG + RIGHT, "Paris") == 1.0
    assert reseek.outcome_reward("Paris", "Paris") == 0.0


@given(MODEL_OUTPUT, ANSWERS, st.booleans())
def test_reseek_never_raises_and_stays_bounded(text, answers, shared):
    found = reseek.judgements(text, shared=shared)
    for rewards in (
        reseek.regex_rewards(text, answers, shared=shared),
        reseek.rerank_rewards(text, answers, _similarity, shared=shared),
    ):
        assert len(rewards) == len(found)
        assert all(-0.6 <= value <= 0.4 for value in rewards)
        assert abs(reseek.capped_sum(rewards)) <= reseek.DEFAULT_CAP
    assert 0.0 <= reseek.outcome_reward(text, answers) <= 1.0
    assert len(reseek.judgements(text)) <= len(reseek.judgements(text, shared=True))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Relevance: 0.75\nEvaluation: fine", 0.75),
        ("relevance: 1", 1.0),
        ("Relevance: 0.2 ... Relevance: 0.6", 0.6),
        ("Relevance: 7", 1.0),
        ("Relevance: high", None),
        ("", None),
    ],
)
def test_judges_replies(reply, expected):
    assert r3_rag.parse_relevance(reply) == expected


def test_a_request_shows_the_judge_what_it_needs():
    request = r3_rag.relevance_request("Q?", "because", "query", "d" * 600)
    assert all(part in request for part in ("Q?", "because", "query", "d" * 512))
    assert "d" * 513 not in request
    assert "(nothing found)" in r3_rag.relevance_request("Q?", "", "query", "")


@given(MODEL_OUTPUT)
def test_any_reply_is_a_relevance_or_nothing(reply):
    value = r3_rag.parse_relevance(reply)
    assert value is None or 0.0 <= value <= 1.0


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("correct", [0.8, 1.6, 2.0]),
        ("wrong", [0.4, 0.8, 0.0]),
        ("unanswered", [0.45, 0.9]),
        ("malformed", [0.5, 1.0, -0.9]),
    ],
)
def test_document_rewards_by_hand(ending, expected):
    assert r3_rag.document_rewards([0.5, 1.0], ending) == pytest.approx(expected)


def test_bad_document_rewards_are_refused():
    with pytest.raises(ValueError, match="search 1"):
        r3_rag.document_rewards([0.5, 1.5], "correct")
    with pytest.raises(ValueError, match="ending"):
        r3_rag.document_rewards([0.5], "lost")


CYCLE = "</step><subquery>q</subquery><retrieval>r</retrieval><step>b</step><subanswer>s</subanswer><step>c"


def test_prorag_grammar():
    assert prorag.trajectory_format("a" + CYCLE + CYCLE + "</step><answer>x</answer>") == 1.0
    assert prorag.trajectory_format("a" + CYCLE + "</step>") == -1.0
    assert prorag.trajectory_format("<b>a</b></step><answer>x</answer>") == -1.0
    assert prorag.trajectory_format("a</step><answer>x</answer></answer>") == -1.0
    for good in (
        "a</step><subquery>q</subquery><retrieval>r</retrieval>",
        "a</step><subanswer>s</subanswer>",
        "a</step><answer>x</answer>",
    ):
        assert prorag.step_format(good) == 1.0
        assert prorag.step_format(good, released=True) == -2.0
    assert prorag.step_format("a</step>") == -2.0


def test_prorag_outcome():
    answered = "a</step><answer>x y</answer>"
    assert prorag.outcome_reward(answered, "X Y") == 3.0
    assert prorag.outcome_reward(answered, "x z") == pytest.approx(1 + 2 * 0.5)
    # F1 = 2·1 / (2 + 9) < 0.2 counts as nothing
    assert prorag.outcome_reward(answered, "x 1 2 3 4 5 6 7 8") == 1.0
    assert prorag.outcome_reward("<answer>x</answer>", "x") == 1.0  # malformed, but right: -1 + 2


@given(MODEL_OUTPUT, MODEL_OUTPUT)
def test_prorag_never_raises(text, answer):
    assert prorag.trajectory_format(text) in (1.0, -1.0)
    assert prorag.step_format(text) in (1.0, -2.0)
    assert -1.0 <= prorag.outcome_reward(text, answer) <= 3.0


def test_igpo_outcome_by_hand():
    good = "<think>x</think><answer>The Eiffel-Tower</answer>"
    # tokens {the, eiffel, tower} against {eiffel, tower}: 2·2 / 5
    assert igpo.outcome_reward(good, "Eiffel Tower") == pytest.approx(0.8)
    assert igpo.outcome_reward(good, "Eiffel Tower", metric="em") == 0.0
    assert igpo.outcome_reward(good + "<code>", "Eiffel Tower") == -2.0
    assert igpo.outcome_reward("no answer", "Eiffel Tower", malformed=0.0) == 0.0
    assert igpo.outcome_reward(good + "<answer>no</answer>", "no") == 0.0  # the first answer counts


@given(MODEL_OUTPUT, ANSWERS, st.sampled_from(["f1", "em"]))
def test_igpo_outcome_never_raises(text, answers, metric):
    score = igpo.outcome_reward(text, answers, metric=metric)
    assert score == -2.0 or 0.0 <= score <= 1.0


@given(st.lists(st.floats(-30, 0), max_size=8), st.sampled_from(["prob", "log_prob"]))
def test_gains_telescope(beliefs, gain):
    gains = igpo.turn_rewards(beliefs, gain=gain)
    assert len(gains) == max(len(beliefs) - 1, 0)
    if beliefs:
        ends = [math.exp(b) if gain == "prob" else b for b in (beliefs[0], beliefs[-1])]
        assert math.fsum(gains) == pytest.approx(ends[1] - ends[0], abs=1e-9)


def test_gains_that_are_no_numbers_are_dropped():
    assert igpo.turn_rewards([-1.0, math.nan, -1.0], gain="log_prob") == [0.0, 0.0]
    assert igpo.turn_rewards([-1.0, 1e6, -1.0]) == [0.0, 0.0]
    assert igpo.belief([-1.0, -3.0]) == -2.0
    with pytest.raises(ValueError, match="empty"):
        igpo.belief([])
