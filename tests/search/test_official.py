"""Official scores of invented transcripts.

Source of the golden file: Search-R1 at a14dc3a (qa_em, qa_em_format with 0.2, 0.1, 0.1) and skyrl_gym 0.4.0.
"""

import json
from pathlib import Path

import pytest

from agentgym import AgentGymError
from agentgym.environments.search import normalize_answer, score
from agentgym.environments.search.official import SCORES, format_problem

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "search_qa.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SCORES)
def test_golden_scores(name):
    for case in GOLDEN["cases"]:
        assert score(name, response=case["response"], targets=case["target"], full=case["full"]) == case[name], case


def test_golden_format_check():
    for case in GOLDEN["cases"]:
        assert (format_problem(case["full"]) == "") == case["valid_sequence"][0], case["tag"]


def test_golden_normalisation():
    for text, normalized in GOLDEN["normalize_answer"]:
        assert normalize_answer(text) == normalized


def test_format_score_of_a_wrong_answer_whose_retrieval_hit():
    response = "<think>a</think><search>q</search><information>Zanthor</information><think>b</think><answer>No</answer>"
    assert score("searchr1_em_format", response=response, targets=["Zanthor"]) == 0.2 + 0.1
    assert score("searchr1_em_format", response=response, targets="Quill") == 0.2


def test_skyrl_quarters_a_crowd_of_answers():
    ten, eleven = ("<answer>Zanthor</answer>" * n for n in (10, 11))
    assert score("skyrl_em", response=ten, targets=["Zanthor"]) == 1.0
    assert score("skyrl_em", response=eleven, targets=["Zanthor"]) == 0.25
    assert score("skyrl_subem", response=eleven, targets=["Zanthor"]) == 1.0


def test_without_a_prompt_one_with_an_example_is_assumed():
    response = "<think>a</think><answer>Zanthor</answer>"
    assert score("searchr1_em", response=response, targets=["Zanthor"]) == 1.0
    assert score("searchr1_em_response_only", response=response, targets=["Zanthor"]) == 0.0


def test_unknown_score():
    with pytest.raises(AgentGymError, match="skyrl_em"):
        score("skyrl_me", response="", targets=["x"])
