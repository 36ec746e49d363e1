"""How texts are compared, against what the published harnesses do with the same texts."""

import pytest

from agentgym.environments.web.webarena import strings
from agentgym.environments.web.webarena.grade import gold_in_url
from agentgym.environments.web.webarena.strings import clean, exact_match, fulfils, includes, integer, tokens


def test_cleaning():
    assert clean("  'Quest' ") == "quest"
    assert clean('"A b"') == "a b"
    assert clean("'") == "'"
    assert clean(" x ", "vwa") == " x "  # VisualWebArena doesn't strip


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [("Yes", "yes", True), ("Yes", "'yes'", True), ("2.5 miles", "2.5 miles.", False), ("N/A", "n/a ", True)],
)
def test_exact_match(reference, answer, right):
    assert exact_match(reference, answer) is right


def test_must_include_differs_by_dialect():
    assert includes("170", "order 000000170")
    assert not includes("170", "order 000000170", "vwa")
    assert includes("170", "order 170.", "vwa")
    assert includes("270.00", "it costs $270.00", "vwa")
    assert includes("small car", "a small cart", "vwa")  # several tokens: any part


def test_a_single_character_alone_is_compared_with_tokens():
    assert not includes("0", "10 of them", alone=True)
    assert includes("0", "there are 0 of them", alone=True)
    assert includes("0", "10 of them")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("it's $5.99, right?", ["it", "'s", "$", "5.99", ",", "right", "?"]),
        ("I don't know. At 10:30 (a.m.)", ["I", "do", "n't", "know", ".", "At", "10:30", "(", "a.m.", ")"]),
        ("x-large 1,299 a/b", ["x-large", "1,299", "a/b"]),
        ("wait... what", ["wait", "...", "what"]),
        ("", []),
    ],
)
def test_tokens(text, expected):
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("text", "value"), [("1,299", 1299), (" 7 ", 7), ("-3", -3), ("7.5", None), ("seven", None), ("", None)]
)
def test_whole_numbers(text, value):
    assert integer(text) == value


def test_inequalities():
    assert fulfils(699, "< 700")
    assert not fulfils(700.1, "<= 700")
    assert fulfils(12, ">= 12")
    assert fulfils(5, "== 5")
    assert fulfils(900, "< 10 |OR| > 800")
    assert not fulfils(50, "< 10 |OR| > 800")
    with pytest.raises(ValueError, match="no inequality"):
        fulfils(1, "about 3")


BASE = "http://shop.test:7770"


@pytest.mark.parametrize(
    ("references", "shown", "published", "strict"),
    [
        ([f"{BASE}/a"], f"{BASE}/a", True, True),
        ([f"{BASE}/a"], f"{BASE}/a/b?x=1", True, True),
        ([f"{BASE}/a"], f"{BASE}/ab", True, False),
        ([f"{BASE}/a"], f"{BASE}/evil/shop.test:7770/a", True, False),
        ([f"{BASE}/a?q=1"], f"{BASE}/a?q=2", False, False),
        ([f"{BASE}/a?q=1"], f"{BASE}/a?z=9&q=1", True, True),
        ([f"{BASE}/a", f"{BASE}/b"], f"{BASE}/b", True, True),
        ([f"{BASE}/a?q=1", f"{BASE}/b?q=2"], f"{BASE}/b?q=1", True, True),
        ([f"{BASE}/a"], "http://other.test/a", False, False),
    ],
)  # fmt: skip
def test_gold_in_url(references, shown, published, strict):
    assert gold_in_url(references, shown) is published
    assert gold_in_url(references, shown, strict=True) is strict


def test_dialects_are_two():
    assert strings.DIALECTS == ("webarena", "vwa")
