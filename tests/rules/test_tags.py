import re

from hypothesis import given
from hypothesis import strategies as st

from agentgym.rules.tags import balanced, blocks, first_answer, last_answer

PIECES = st.lists(st.sampled_from(["<a>", "</a>", "<b>", "</b>", "x", "\n", "<a", ">"]), max_size=16).map("".join)


@given(PIECES, st.booleans())
def test_blocks_are_what_the_regular_expression_finds(text, multiline):
    pattern = re.compile(r"<(a|b)>(.*?)</\1>", re.DOTALL if multiline else 0)
    expected = [(*found.groups(), found.start(), found.end()) for found in pattern.finditer(text)]
    assert [tuple(block) for block in blocks(text, ("a", "b"), multiline=multiline)] == expected


@given(PIECES)
def test_first_and_last_answer_are_ends_of_the_blocks(text):
    contents = [block.content.strip() for block in blocks(text, "a")]
    assert last_answer(text, "a") == (contents[-1] if contents else None)
    assert first_answer(text, "a") == (contents[0] if contents else None)


def test_a_flood_of_opening_tags_costs_nothing():
    # A lazy regular expression takes minutes for this, which whoever waits for the tests would notice.
    assert blocks("<answer>" * 60_000, ("answer", "think")) == []
    assert blocks("<action>\n" * 60_000 + "</action>", "action", multiline=False) == []


def test_balance():
    assert balanced("<a></a><b></b>", ["a", "b"])
    assert balanced("nothing", ["a"])
    assert not balanced("<a>", ["a"])
    assert not balanced("</a><a>", ["a"])
    assert not balanced("<a></a></b>", ["a", "b"])
