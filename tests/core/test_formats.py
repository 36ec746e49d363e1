"""Grammars: what they read, what they say when they can't, and that nothing makes them raise."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym import FORMATS, Action, Tool, tool

TOOLS = {
    "search": tool("search", "look for products", query="words"),
    "click": tool("click", "press a button", target="its label"),
    "buy": Tool("buy", "buy it"),
    "open": Tool(
        "open",
        "open a page",
        {
            "type": "object",
            "properties": {"page": {"type": "integer"}, "tab": {"type": "string", "enum": ["a", "b"]}},
            "required": ["page"],
        },
    ),
}


def calls(name, message):
    parsed = FORMATS.get(name).parse(message, TOOLS)
    return [(action.name, dict(action.arguments)) for action in parsed.actions] if not parsed.error else parsed.error


RED = [("search", {"query": "red mug"})]


@pytest.mark.parametrize(
    ("name", "message", "expected"),
    [
        ("bracket", "search[red mug]", RED),
        ("bracket", "I need a mug.\n  search[red mug]  \n", RED),
        ("bracket", "Action: search[red mug]", RED),
        ("bracket", "search [red mug]", RED),
        ("bracket", "click[a[b]]", [("click", {"target": "a[b]"})]),
        ("bracket", "click[]", [("click", {"target": ""})]),
        ("bracket", "note[1]\nsearch[red mug]", RED),
        ("bracket", "buy[]", [("buy", {})]),
        ("bracket", 'open[{"page": 3, "tab": "b"}]', [("open", {"page": 3, "tab": "b"})]),
        ("bracket", "search[a]\nsearch[b]", "found 2 actions"),
        ("bracket", "serch[red]", "Did you mean 'search'"),
        ("bracket", "buy[now]", "takes no argument"),
        ("bracket", "open[3]", "takes a JSON object"),
        ("bracket", "", "found no action"),
        ("xml", "<search>red mug</search>", RED),
        ("xml", "<think>x</think> <search> red mug </search> <click>y</click>", RED),
        ("xml", "<buy></buy>", [("buy", {})]),
        ("xml", "<search>red mug", "Found no action"),
        ("react", "Thought: hm\nAction: search[red mug]", RED),
        ("react", "Thought: hm\nAction: search[red mug]\nObservation: I made this up\nAction: buy[]", RED),
        ("react", "search[red mug]", "begins with 'Action:'"),
        ("json", '<tool_call>{"name": "search", "arguments": {"query": "red mug"}}</tool_call>', RED),
        ("json", '{"name": "search", "arguments": {"query": "red mug"}}', RED),
        ("json", '[{"name": "search", "parameters": {"query": "red mug"}}]', RED),
        ("json", '{"id": "1", "function": {"name": "search", "arguments": "{\\"query\\": \\"red mug\\"}"}}', RED),
        (
            "json",
            'x <tool_call>{"name": "buy"}</tool_call> <tool_call>{"name": "buy", "arguments": ""}</tool_call>',
            [("buy", {})] * 2,
        ),
        ("json", "<tool_call>{'name': 'search'}</tool_call>", "not valid JSON"),
        ("json", '{"name": "search", "arguments": 3}', "must be a JSON object"),
        ("json", '{"name": "sarch", "arguments": {}}', "Did you mean 'search'"),
        ("json", "[]", "no tool call"),
        ("json", "[" * 100_000, "not valid JSON"),
        ("json", "hello", "no tool call"),
    ],
)
def test_reading(name, message, expected):
    found = calls(name, message)
    assert expected in found if isinstance(expected, str) else found == expected


@given(st.sampled_from(list(FORMATS)), st.text(max_size=300))
def test_nothing_makes_a_grammar_raise(name, message):
    parsed = FORMATS.get(name).parse(message, TOOLS)
    assert bool(parsed.error) != bool(parsed.actions)


FRAGMENTS = [
    "search[",
    "]",
    "<search>",
    "</search>",
    "<tool_call>",
    "</tool_call>",
    '{"name": "search"',
    "}",
    "Action:",
    "\n",
    "x",
    '"',
]


@given(st.sampled_from(list(FORMATS)), st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_nor_do_pieces_of_grammar(name, message):
    parsed = FORMATS.get(name).parse(message, TOOLS)
    assert bool(parsed.error) != bool(parsed.actions)


WORDS = st.text("abc xyz09,.-'", min_size=1, max_size=20).map(str.strip).filter(bool)


@given(st.sampled_from(list(FORMATS)), WORDS, st.integers(0, 99))
def test_what_is_written_is_read_back(name, words, page):
    grammar = FORMATS.get(name)
    for action in (Action("search", {"query": words}), Action("buy", {}), Action("open", {"page": page, "tab": "a"})):
        assert calls(name, grammar.render([action], TOOLS, thought="I think")) == [
            (action.name, dict(action.arguments))
        ]


@pytest.mark.parametrize("name", list(FORMATS))
def test_instructions_name_every_tool(name):
    text = FORMATS.get(name).instructions(TOOLS)
    assert all(tool in text for tool in TOOLS)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"page": 1}, ""),
        ({}, "needs the argument 'page'"),
        ({"page": "1"}, "must be of type integer"),
        ({"page": True}, "must be of type integer"),
        ({"page": 1, "tab": "c"}, "must be one of"),
        ({"pages": 1}, "Did you mean 'page'"),
    ],
)
def test_arguments_are_checked(arguments, problem):
    found = TOOLS["open"].problem(arguments)
    assert problem in found if problem else found == ""


def test_text_arguments_are_read_as_their_types():
    assert TOOLS["open"].bind_text({"page": "3", "tab": "b"}) == {"page": 3, "tab": "b"}
    assert TOOLS["open"].bind_text({"page": "three"}) == {"page": "three"}
    assert json.loads(json.dumps(TOOLS["open"].schema()))["function"]["name"] == "open"


def test_a_call_that_is_begun_over_and_over_is_read_in_one_pass() -> None:
    times = 200_000  # minutes, where each beginning is followed to the end
    call = '<tool_call>{"name": "look", "arguments": {}}</tool_call>'
    for message in ("<tool_call>" * times, call + "<tool_call>" * times):
        parsed = FORMATS.get("json").parse(message, {"look": Tool("look", "", {"type": "object", "properties": {}})})
        assert len(parsed.actions) == message.count("</tool_call>") and parsed.thought.endswith("<tool_call>")
