"""Official scores of search transcripts, by the names that their projects give them.

Sources: Search-R1 at a14dc3a (``qa_em.py``, ``qa_em_format.py``; https://arxiv.org/abs/2503.09516) and skyrl_gym 0.4.0
(``envs/search/utils.py``).

Search-R1 scores the prompt together with what was generated. Its prompt holds one ``<answer>`` block as an example, so
its extraction asks for at least two blocks and takes the last: on a response alone, one answer scores 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property

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


class Transcript:
    """What was generated and retrieved, read once for all scores.

    Args:
        response: Everything after the prompt.
        targets: Accepted answers.
        full: Prompt and response. None: ``response`` behind ``EXAMPLE_PROMPT``.
    """

    def __init__(self, response: str, targets: Sequence[str], full: str | None = None) -> None:
        self.response, self.targets, self._full = response, targets, full
        self._answers = [block.content.strip() for block in blocks(response, "answer")]

    @cached_property
    def full(self) -> str:
        """Prompt and response."""
        return with_prompt(self.response) if self._full is None else self._full

    @cached_property
    def _final(self) -> str | None:
        """Search-R1's answer: the last of at least two blocks of prompt and response."""
        if self._full is None:  # the assumed prompt holds one block
            return self._answers[-1] if self._answers else None
        found = blocks(self._full, "answer")
        return found[-1].content.strip() if len(found) > 1 else None

    @cached_property
    def _right(self) -> bool:
        return self._final is not None and exact_match(self._final, self.targets) == 1.0

    def searchr1_em(self) -> float:
        """Search-R1's exact match."""
        return float(self._right)

    def searchr1_em_response_only(self) -> float:
        """The same rule on the response alone, which then needs two answers."""
        return exact_match(self._answers[-1], self.targets) if len(self._answers) > 1 else 0.0

    def searchr1_subem(self) -> float:
        """Search-R1's substring match."""
        return 0.0 if self._final is None else sub_exact_match(self._final, self.targets)

    def searchr1_em_format(self) -> float:
        """Search-R1's exact match with credit for the grammar and for having retrieved the answer."""
        valid = not format_problem(self.full)
        if self._right:
            return 1.0 if valid else 1.0 - STRUCTURE_SCORE
        if valid:
            return STRUCTURE_SCORE + RETRIEVAL_SCORE if self._retrieved() else STRUCTURE_SCORE
        return 0.0 if self._final is None else FINAL_SCORE

    def _retrieved(self) -> bool:
        wanted = [normalize_answer(target) for target in self.targets]
        found = [normalize_answer(block.content) for block in blocks(self.full, "information")]
        return any(answer in text for text in found for answer in wanted)

    def skyrl_em(self) -> float:
        """SkyRL's exact match, a quarter of it for a crowd of answers."""
        if not self._answers or not exact_match(self._answers[-1], self.targets):
            return 0.0
        crowded = max(self.response.count("<answer>"), self.response.count("</answer>")) > MANY_ANSWERS
        return 0.25 if crowded else 1.0

    def skyrl_subem(self) -> float:
        """SkyRL's substring match."""
        return sub_exact_match(self._answers[-1], self.targets) if self._answers else 0.0


SCORES: dict[str, Callable[[Transcript], float]] = {
    method.__name__: method
    for method in (
        Transcript.searchr1_em,
        Transcript.searchr1_em_response_only,
        Transcript.searchr1_subem,
        Transcript.searchr1_em_format,
        Transcript.skyrl_em,
        Transcript.skyrl_subem,
    )
}
"""Every official score by its name."""


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
    return SCORES[name](Transcript(response, accepted, full))
