import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rules.toolrl import Variant, correctness_reward, format_reward, length_reward, match_score, toolrl_reward

from .texts import MODEL_OUTPUT

GOLD = '<think>t</think>\n<tool_call>\n{"name": "f", "parameters": {"x": 1, "y": 2}}\n</tool_call>'
BOTH = GOLD + "\n<response>done</response>"
SWITCHES = st.sets(
    st.sampled_from(
        [
            "REFINEDREWARD",
            "INTERMEDIATEREWARD",
            "COARSEREWARD",
            "CORRECTMAX1",
            "MAX1STEP30MAX3",
            "SCHEDULEREWARD",
            "WITHLENGTH",
            "SCHEDULELENGTH",
            "STRICTMATCH",
        ]
    )
).map(lambda names: Variant.from_switches(dict.fromkeys(names, "1")))


def _message(*calls):
    return "<think>t</think>\n<tool_call>\n" + "\n".join(map(json.dumps, calls)) + "\n</tool_call>"


def _call(name, **parameters):
    return {"name": name, "parameters": parameters}


@given(MODEL_OUTPUT, st.integers(0, 400), SWITCHES)
def test_any_output_gets_a_score_in_range(response, step, variant):
    score = toolrl_reward(response, BOTH, step=step, variant=variant)
    assert -2.0 <= score.format <= 2.0
    assert -3.0 <= score.correctness <= 3.0
    assert 0.0 <= score.length <= 1.0
    assert score.total == pytest.approx(score.format + score.correctness + score.length)


@given(MODEL_OUTPUT)
def test_the_default_stays_in_the_published_range(response):
    assert -3.0 <= toolrl_reward(response, GOLD).total <= 4.0


@given(st.integers(0, 400), SWITCHES)
def test_the_reference_itself_gets_the_maximum(step, variant):
    response = toolrl_reward(BOTH, BOTH, step=step, variant=variant)
    other = toolrl_reward("<think></think>", BOTH, step=step, variant=variant)
    assert response.correctness > 0 > other.correctness
    assert response.format > other.format


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        # S_max = 1 + (1 + 2) = 4; the parts: names, parameter names, equal values
        ([_call("f", x=1, y=2)], 3.0),
        ([_call("f", x=1, y=3)], 6 * (1 + 1 + 1) / 4 - 3),
        ([_call("f", x=1)], 6 * (1 + 0.5 + 1) / 4 - 3),
        ([_call("f", z=1)], 6 * (1 + 0 + 0) / 4 - 3),
        ([_call("g", x=1, y=2)], -3.0),  # the right arguments of a wrong tool earn nothing
        ([_call("f", x=1, y=2), _call("g")], 6 * (0.5 + 1 + 2) / 4 - 3),
        ([_call("f"), _call("f", y=2, x=1)], 6 * (0.5 + 1 + 2) / 4 - 3),  # the best of two calls is taken
    ],
)
def test_decomposed_match_by_hand(calls, expected):
    assert correctness_reward(_message(*calls), GOLD) == pytest.approx(expected)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{bad",
        "5",
        "[]",
        '"f"',
        '{"parameters": {}}',
        '{"name": "f"}',
        '{"name": "f", "parameters": [1]}',
        '{"name": ["f"], "parameters": {}}',
        "[" * 100_000,
        "1" * 5_000,
    ],
)
def test_unreadable_calls_get_the_minimum(body):
    assert correctness_reward(f"<tool_call>\n{body}\n</tool_call>", GOLD) == -3.0


def test_format_wants_each_section_once_and_in_order():
    assert format_reward(GOLD, GOLD) == 1.0
    assert format_reward(BOTH, BOTH) == 1.0
    assert format_reward(BOTH, GOLD) == 0.0
    assert format_reward(GOLD + "<tool_call>", GOLD) == 0.0
    assert format_reward("x" + GOLD, GOLD) == 0.0
    assert format_reward("<think>t</think>", "no sections") == 1.0
    assert toolrl_reward(f"<|im_start|>assistant\n{GOLD}<|im_end|>\n", GOLD).total == 4.0


def test_variants():
    missing = _message(_call("f", x=1))

    def correctness(**fields):
        return correctness_reward(missing, GOLD, variant=Variant(**fields))

    assert correctness(strict_sets=True) == pytest.approx(6 * (1 + 0 + 1) / 4 - 3)
    assert correctness(whole_calls=True) == pytest.approx(6 * 1 / 2 - 3)
    assert correctness(all_or_nothing=True) == -3.0
    assert correctness(correct_max=1.0) == pytest.approx(2 * 2.5 / 4 - 1)


def test_schedules():
    two_stage, scheduled = Variant(two_stage=True), Variant(scheduled=True)
    assert correctness_reward(GOLD, GOLD, step=29, variant=two_stage) == 1.0
    assert correctness_reward(GOLD, GOLD, step=30, variant=two_stage) == 3.0
    assert [format_reward(GOLD, GOLD, step=step, variant=scheduled) for step in (0, 75, 150, 300)] == [2, 1.5, 1, 1]
    assert [format_reward("", GOLD, step=step, variant=scheduled) for step in (0, 75, 150)] == [-2, -1, -1]
    assert [correctness_reward(GOLD, GOLD, step=step, variant=scheduled) for step in (0, 75, 150)] == [2, 2.5, 3]
    words = "<think>" + "w " * 256 + "</think>"
    assert length_reward(words) == 0.0
    assert length_reward(words, variant=Variant(length="fixed")) == 0.5
    assert length_reward(words, step=105, variant=Variant(length="scheduled")) == 0.4
    assert length_reward(words * 9, variant=Variant(length="fixed")) == 0.5  # the last thought alone counts


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")), st.randoms(use_true_random=False))
def test_match_score_is_a_symmetric_multiset_similarity(first, second, random):
    score = match_score(first, second)
    assert 0.0 <= score <= 1.0
    assert score == match_score(second, first)
    assert score == match_score(random.sample(first, len(first)), second)
    assert (score == 1.0) == (sorted(first) == sorted(second))


@pytest.mark.parametrize("body", ["{bad", "5", '{"name": "f"}'])
def test_a_bad_reference_is_the_authors_mistake(body):
    with pytest.raises(ValueError, match="ground_truth"):
        toolrl_reward(GOLD, f"<tool_call>\n{body}\n</tool_call>")


def test_an_unknown_switch_is_refused():
    with pytest.raises(ValueError, match="COARSE"):
        Variant.from_switches({"COARSE": "1"})
    assert Variant.from_switches({"COARSEREWARD": "0"}) == Variant()
