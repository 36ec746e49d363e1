"""What agents might write: fragments of every grammar that a rule reads, in any order, between arbitrary text."""

from hypothesis import strategies as st

_TAGS = [
    "think",
    "answer",
    "search",
    "information",
    "judge",
    "tool_call",
    "response",
    "action",
    "planning",
    "explore",
    "reflection",
    "step",
    "subquery",
    "retrieval",
    "subanswer",
    "code",
]
_FRAGMENTS = [
    *(f"<{tag}>" for tag in _TAGS),
    *(f"</{tag}>" for tag in _TAGS),
    "<judge>Yes</judge>",
    "<judge>no</judge>",
    '{"name": "f", "parameters": {"x": 1}}',
    '{"name": ["f"], "parameters": 3}',
    '{"name": "f"',
    "[" * 50,
    "NaN",
    "<|im_start|>assistant",
    "<|im_end|>",
    "qwen: who",
    "Relevance: 0.7",
    "Paris",
    "the ",
    "\n",
    " ",
]
ANY_CHARACTER = st.text(st.characters(exclude_categories=()), max_size=8)
MODEL_OUTPUT = st.lists(st.sampled_from(_FRAGMENTS) | ANY_CHARACTER, max_size=16).map("".join)
"""Model output of every kind, malformed more often than not, lone surrogates included."""
ANSWERS = st.lists(st.sampled_from(["Paris", "the", "", "New York", "12"]) | ANY_CHARACTER, min_size=1, max_size=3)
