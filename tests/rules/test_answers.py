import pytest
from hypothesis import given

from agentgym.rules.answers import HOTPOT_CLOSED, exact_match, normalize_answer, sub_exact_match, token_f1

from .texts import ANSWERS, MODEL_OUTPUT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Quick-Brown, fox!", "quickbrown fox"),  # punctuation goes without leaving a blank
        ("an apple, a day", "apple day"),
        ("O’Neil", "o’neil"),  # only ASCII punctuation counts
        ("theory", "theory"),
        ("A.", ""),
        ("", ""),
    ],
)
def test_normalisation(text, expected):
    assert normalize_answer(text) == expected


@given(MODEL_OUTPUT)
def test_normalisation_is_idempotent_on_what_it_returns_twice(text):
    # Removing punctuation can make an article ("t.he"), so once is not always enough; three times are as good as two.
    twice = normalize_answer(normalize_answer(text))
    assert normalize_answer(twice) == twice


def test_matches_by_hand():
    assert exact_match("the Eiffel Tower!", "eiffel tower") == 1.0
    assert exact_match("Eiffel", ["Tower", "eiffel"]) == 1.0
    assert exact_match("Eiffel Tower", "Eiffel") == 0.0
    assert sub_exact_match("the Eiffel Tower", "Eiffel") == 1.0
    assert sub_exact_match("Eiffel", "Eiffel Tower") == 0.0
    # prediction 3 tokens, answer 2, shared 1: P 1/3, R 1/2
    assert token_f1("big red car", "red bus") == pytest.approx(0.4)
    assert token_f1("x x y", "x") == pytest.approx(0.5)  # P 1/3, R 1
    assert token_f1("red", ["blue", "red"]) == 1.0


def test_closed_answers_get_no_partial_credit():
    assert token_f1("yes indeed", "yes") == pytest.approx(2 / 3)
    assert token_f1("yes indeed", "yes", closed=HOTPOT_CLOSED) == 0.0
    assert token_f1("no", "no way", closed=HOTPOT_CLOSED) == 0.0
    assert token_f1("Yes.", "yes", closed=HOTPOT_CLOSED) == 1.0


@given(MODEL_OUTPUT, ANSWERS)
def test_scores_are_in_range_and_ordered(prediction, answers):
    exact, inside, f1 = (score(prediction, answers) for score in (exact_match, sub_exact_match, token_f1))
    assert exact in (0.0, 1.0)
    assert exact <= inside <= 1.0
    assert 0.0 <= f1 <= 1.0
    if exact and normalize_answer(prediction):
        assert f1 == 1.0


@given(MODEL_OUTPUT, ANSWERS)
def test_more_accepted_answers_never_hurt(prediction, answers):
    assert token_f1(prediction, [*answers, "Paris"]) >= token_f1(prediction, answers)


@given(MODEL_OUTPUT, MODEL_OUTPUT)
def test_f1_is_symmetric(first, second):
    assert token_f1(first, second) == pytest.approx(token_f1(second, first))


def test_no_answers_is_the_authors_mistake():
    with pytest.raises(ValueError, match="at least one accepted answer"):
        exact_match("x", [])
