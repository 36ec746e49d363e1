"""Official scores of search transcripts, by the names that their projects give them.

Sources: Search-R1 at a14dc3a (``qa_em.py``, ``qa_em_format.py``; https://arxiv.org/abs/2503.09516) and skyrl_gym 0.4.0
(``envs/search/utils.py``).

Search-R1 scores the prompt together with what was generated. Its prompt holds one ``<answer>`` block as an example, so
its extraction asks for at least two blocks and takes the last: on a response alone, one answer scores 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from agentgym.core.errors import unknown_name
from agentgym.rules.answers import exact_match, normalize_answer, sub_exact_match
from agentgym.rules.tags import blocks

STRUCTURE_SCORE = 0.2
"""Search-R1's reward for a well-formed transcript with a wrong answer; what a right but malformed one loses."""
RETRIEVAL_SCORE = 0.1
"""Added where a well-formed transcript retrieved an accepted answer."""
FINAL_SCORE = 0.1
"""For a malformed transcript with a wrong answer."""
MANY_ANSWERS = 10
"""Tags of one kind from which on skyrl_gym quarters the score."""

ASSISTANT = "<|im_start|>assistant\n"
"""Where Search-R1's format check begins to read."""
EXAMPLE_PROMPT = "<|im_start|>user\nWrite the answer in tags, for example <answer> Beijing </answer>.<|im_end|>\n"
"""Stands for a prompt that holds one example of an answer, as Search-R1's does."""

_TAG = re.compile(r"(</?(?:think|search|information|answer)>)")
_MARKER = re.compile(r"<\|im_start\|>assistant\s*")
_NEXT = {
    ("start", "<think>"): "in_think",
    ("information", "<think>"): "in_think",
    ("in_think", "</think>"): "after_think",
    ("after_think", "<search>"): "in_search",
    ("in_search", "</search>"): "after_search",
    ("after_search", "<information>"): "in_information",
    ("in_information", "</information>"): "information",
    ("after_think", "<answer>"): "in_answer",
    ("in_answer", "</answer>"): "end",
}


def with_prompt(response: str) -> str:
    """A response behind a prompt with one example answer: what Search-R1 scores."""
    return f"{EXAMPLE_PROMPT}{ASSISTANT}{response}"


def format_problem(full: str) -> str:
    """What breaks Search-R1's grammar after the first assistant marker; ``""`` where nothing does.

    The grammar is ``(think search information)* think answer``, with nothing but blanks between blocks.
    """
    marker = _MARKER.search(full)
    if marker is None:
        return "no assistant marker"
    content = full[marker.end() :]
    for tag in ("think", "search", "information", "answer"):
        opened, closed = content.count(f"<{tag}>"), content.count(f"</{tag}>")
        if opened != closed:
            return f"{opened} <{tag}> and {closed} </{tag}>"
    state = "start"
    for part in _TAG.split(content):
        if not part.strip():
            continue
        if _TAG.fullmatch(part):
            if (state, part) not in _NEXT:
                return f"{part} in state {state}"
            state = _NEXT[state, part]
        elif not state.startswith("in_"):
            return f"text {part.strip()[:40]!r} in state {state}"
    return "" if state == "end" else f"ends in state {state}"


def _answer(text: str, least: int) -> str | None:
    """The last answer block of a text with at least ``least`` of them."""
    found = blocks(text, "answer")
    return found[-1].content.strip() if len(found) >= least else None


def _retrieved(full: str, targets: Sequence[str]) -> bool:
    wanted = [normalize_answer(target) for target in targets]
    found = [normalize_answer(block.content) for block in blocks(full, "information")]
    return any(answer in text for text in found for answer in wanted)


def _searchr1(full: str, targets: Sequence[str], match: Callable[[str, Sequence[str]], float]) -> float:
    answer = _answer(full, 2)
    return 0.0 if answer is None else match(answer, targets)


def _searchr1_format(full: str, targets: Sequence[str]) -> float:
    valid = not format_problem(full)
    answer = _answer(full, 2)
    if answer is not None and exact_match(answer, targets):
        return 1.0 if valid else 1.0 - STRUCTURE_SCORE
    if valid:
        return STRUCTURE_SCORE + RETRIEVAL_SCORE if _retrieved(full, targets) else STRUCTURE_SCORE
    return 0.0 if answer is None else FINAL_SCORE


def _skyrl_em(response: str, targets: Sequence[str]) -> float:
    answer = _answer(response, 1)
    if answer is None or not exact_match(answer, targets):
        return 0.0
    crowded = max(response.count("<answer>"), response.count("</answer>")) > MANY_ANSWERS
    return 0.25 if crowded else 1.0


def _skyrl_subem(response: str, targets: Sequence[str]) -> float:
    answer = _answer(response, 1)
    return 0.0 if answer is None else sub_exact_match(answer, targets)


SCORES: dict[str, Callable[[str, str, Sequence[str]], float]] = {
    "searchr1_em": lambda response, full, targets: _searchr1(full, targets, exact_match),
    "searchr1_em_response_only": lambda response, full, targets: _searchr1(response, targets, exact_match),
    "searchr1_subem": lambda response, full, targets: _searchr1(full, targets, sub_exact_match),
    "searchr1_em_format": lambda response, full, targets: _searchr1_format(full, targets),
    "skyrl_em": lambda response, full, targets: _skyrl_em(response, targets),
    "skyrl_subem": lambda response, full, targets: _skyrl_subem(response, targets),
}
"""Name -> ``(response, full, targets) -> score``."""


def score(name: str, *, response: str, targets: str | Sequence[str], full: str | None = None) -> float:
    """The official score of a transcript.

    Args:
        name: ``searchr1_em``, ``searchr1_em_response_only``, ``searchr1_subem``, ``searchr1_em_format`` (structure 0.2,
            final format 0.1, retrieval 0.1: the paper's values), ``skyrl_em`` or ``skyrl_subem``.
        response: Everything after the prompt, retrieved text included.
        targets: Accepted answers.
        full: Prompt and response, which Search-R1 scores. None: ``response`` behind ``EXAMPLE_PROMPT``.

    Returns:
        A score in [0, 1].

    Raises:
        UnknownNameError: No such score.
        ValueError: No targets.
    """
    if name not in SCORES:
        raise unknown_name("official search score", name, SCORES)
    accepted = (targets,) if isinstance(targets, str) else targets
    return float(SCORES[name](response, with_prompt(response) if full is None else full, accepted))
