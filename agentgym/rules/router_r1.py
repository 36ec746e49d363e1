"""Router-R1: format, outcome and cost of routing to other models (https://arxiv.org/abs/2506.09033).

Checked against the release (ulab-uiuc/Router-R1 at 801a240). There the window of costs is a global of the process;
here it is ``CostWindow``, which can be stored, restored and shared.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from agentgym.rules.answers import HOTPOT_CLOSED, exact_match, token_f1
from agentgym.rules.tags import Block, blocks, last_answer

TAGS = ("search", "answer", "think", "information")
MALFORMED = -1.0
_MARKS = tuple(mark for tag in TAGS for mark in (f"<{tag}>", f"</{tag}>"))


class Score(NamedTuple):
    """What was matched, what the cost was worth, and the reward made of them."""

    metric: float
    cost: float
    reward: float


def format_score(response: str, *, is_model: Callable[[str], bool]) -> float:
    """0 for a well-formed transcript, else -1.

    Well-formed: starts with ``<think>``, ends with ``</answer>``, all four tags balanced and not nested, one answer, no
    empty thought, as many ``<search>`` as ``<information>`` blocks, and each search is ``model:query`` with one colon,
    a known model, and a query that isn't empty, a placeholder or a repetition of the model's name.

    Args:
        response: The whole transcript.
        is_model: Whether a name, stripped and in lower case, is a model that can be routed to.
    """
    text = response.strip()
    found = blocks(text, TAGS)
    sound = (
        text.startswith("<think>")
        and text.endswith("</answer>")
        and all(text.count(f"<{tag}>") == text.count(f"</{tag}>") for tag in TAGS)
        and not any(mark in block.content for block in found for mark in _MARKS)
        and _counts_fit(found)
        and all(block.content.strip() not in ("", "...") for block in found if block.tag == "think")
        and all(_is_query(block.content, is_model) for block in found if block.tag == "search")
    )
    return 0.0 if sound else MALFORMED


def _counts_fit(found: list[Block]) -> bool:
    count = {tag: sum(block.tag == tag for block in found) for tag in TAGS}
    return count["answer"] == 1 and count["think"] > 0 and count["search"] == count["information"]


def _is_query(content: str, is_model: Callable[[str], bool]) -> bool:
    lowered = content.strip().lower()
    if lowered.count(":") != 1 or "llm-name" in lowered or "your-query" in lowered:
        return False
    model, query = (part.strip() for part in lowered.split(":"))
    return bool(query) and model not in query and is_model(model)


def outcome_reward(
    response: str,
    answers: str | Sequence[str],
    *,
    format_score: float = 0.0,
    cost_reward: float = 0.0,
    cost_weight: float = 0.0,
    metric: Literal["f1", "em"] = "f1",
) -> Score:
    """Reward of an episode: ``(m + f)(1 - c) + c·cost_reward`` where the answer earns something.

    A malformed transcript (``format_score`` -1) gets -1 and nothing else. Where the metric ``m`` is 0, cost counts for
    nothing: the reward is ``f``, or ``f(1 - c)`` without any answer.

    Args:
        response: The whole transcript; its last ``<answer>`` block counts.
        answers: One accepted answer or several.
        format_score: ``f``, from ``format_score``.
        cost_reward: Reward of cheapness in [0, 1], from ``CostWindow.observe``.
        cost_weight: ``c`` in [0, 1]. The released training script uses 0.
        metric: ``f1`` is HotpotQA's token F1, ``em`` exact match.

    Raises:
        ValueError: No answers, or ``cost_weight`` outside [0, 1].
    """
    if not 0.0 <= cost_weight <= 1.0:
        raise ValueError(f"cost_weight must be in [0, 1], got {cost_weight}.")
    answer = last_answer(response)
    if answer is None:
        matched = 0.0
    elif metric == "f1":
        matched = token_f1(answer, answers, closed=HOTPOT_CLOSED)
    else:
        matched = exact_match(answer, answers)
    if format_score == MALFORMED:
        reward = MALFORMED
    elif answer is None:
        reward = format_score * (1.0 - cost_weight)
    elif matched == 0.0:
        reward = format_score
    else:
        reward = (matched + format_score) * (1.0 - cost_weight) + cost_reward * cost_weight
    return Score(matched, cost_reward, reward)


Transform = Literal["sqrt", "log", "none"]


@dataclass
class CostWindow:
    """The latest costs, against whose percentiles a cost is rewarded. Serialisable: ``to_dict`` and ``from_dict``.

    ``reward(x) = 1 - clip((t(x) - p_low) / (p_high - p_low), 0, 1)``, with percentiles of the window of transformed
    costs; 0.5 where the window doesn't spread. The first cost seen therefore gets 0.5.

    The release scores each cost right after adding it (``observe``), so its rewards depend on the order of arrival.
    For rewards that don't, ``add`` all costs of a batch first and ``score`` them afterwards.

    Raises:
        ValueError: Percentiles that aren't ``0 <= low < high <= 1``, or a window without room.
    """

    low: float = 0.05
    high: float = 0.95
    size: int = 1000
    transform: Transform = "sqrt"
    values: deque[float] = field(default_factory=deque)
    """Transformed costs, oldest first, at most ``size`` of them."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.low < self.high <= 1.0:
            raise ValueError(f"Percentiles must satisfy 0 <= low < high <= 1, got low={self.low}, high={self.high}.")
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}.")
        if self.transform not in ("sqrt", "log", "none"):
            raise ValueError(f"transform must be 'sqrt', 'log' or 'none', got {self.transform!r}.")
        self.values = deque(map(float, self.values), maxlen=self.size)

    def add(self, cost: float) -> None:
        """Puts a cost into the window; the oldest falls out of a full one."""
        self.values.append(self._transformed(cost))

    def score(self, cost: float) -> float:
        """Reward of a cost in [0, 1] against the window as it is; 0.5 for an empty one."""
        value = self._transformed(cost)
        if not self.values:
            return 0.5
        low, high = np.percentile(np.fromiter(self.values, float), [100 * self.low, 100 * self.high])
        if high - low < 1e-8:
            return 0.5
        return 1.0 - min(max((value - float(low)) / float(high - low), 0.0), 1.0)

    def observe(self, cost: float) -> float:
        """Adds a cost and returns its reward, as the release does for each episode in turn."""
        self.add(cost)
        return self.score(cost)

    def to_dict(self) -> dict[str, Any]:
        """State as JSON types."""
        return {
            "low": self.low,
            "high": self.high,
            "size": self.size,
            "transform": self.transform,
            "values": list(self.values),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> CostWindow:
        """The window that ``to_dict`` described."""
        return cls(**{**state, "values": deque(state["values"])})

    def _transformed(self, cost: float) -> float:
        if not (math.isfinite(cost) and cost >= 0):
            raise ValueError(f"A cost must be a finite number of at least 0, got {cost}.")
        if self.transform == "sqrt":
            return math.sqrt(cost)
        return math.log1p(0.01 * cost) if self.transform == "log" else cost
