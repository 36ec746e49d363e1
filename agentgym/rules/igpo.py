"""IGPO: set F1 with a format penalty, and turn rewards from beliefs (https://arxiv.org/abs/2510.14967)."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from agentgym.rules.answers import accepted
from agentgym.rules.tags import balanced, first_answer

FORMAT_TAGS = ("code", "tool_call", "think", "answer")
"""Tags that must be balanced."""

_BLANK_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))


def outcome_reward(
    response: str,
    answers: str | Sequence[str],
    *,
    metric: Literal["f1", "em"] = "f1",
    malformed: float = -2.0,
) -> float:
    """Outcome of a whole response: match of its first ``<answer>`` block, or ``malformed``.

    ``f1`` compares token sets (duplicates count once), ``em`` whole answers; both after lower-casing and replacing
    ASCII punctuation by blanks. The best accepted answer counts. An empty answer gets 0, not ``malformed``.

    Args:
        response: Everything the model wrote. Tags are found whatever their case.
        answers: One accepted answer or several.
        metric: How to compare.
        malformed: Result where ``FORMAT_TAGS`` aren't balanced or there is no answer. 0 is the release's
            ``noformatf1``, used for validation.

    Returns:
        ``malformed``, or a value in [0, 1].

    Raises:
        ValueError: No answers.
    """
    golds = [_tokens(answer.lower()) for answer in accepted(answers)]
    lowered = response.lower()
    answer = first_answer(lowered)
    if answer is None or not balanced(lowered, FORMAT_TAGS):
        return malformed
    predicted = _tokens(answer)
    if metric == "em":
        return float(predicted in golds)
    return max(_set_f1(set(predicted), set(gold)) for gold in golds)


def _tokens(text: str) -> list[str]:
    return text.translate(_BLANK_PUNCTUATION).split()


def _set_f1(predicted: set[str], gold: set[str]) -> float:
    shared = len(predicted & gold)
    return 2 * shared / (len(predicted) + len(gold)) if shared else 0.0


def belief(answer_logprobs: Sequence[float]) -> float:
    """Belief in an answer: mean log-probability of its tokens (nats a token).

    Raises:
        ValueError: No tokens.
    """
    if not answer_logprobs:
        raise ValueError("answer_logprobs is empty; expected one log-probability a token of the answer.")
    return math.fsum(answer_logprobs) / len(answer_logprobs)


def turn_rewards(beliefs: Sequence[float], *, gain: Literal["prob", "log_prob"] = "prob") -> list[float]:
    """Information gain of each turn but the last: ``r_k = f(b_{k+1}) - f(b_k)``.

    ``f`` is ``exp`` for ``prob`` (the paper) and the identity for ``log_prob`` (the released training script). A gain
    that isn't finite is 0, as in the release.

    Args:
        beliefs: K values, ``b_k`` measured before turn k.
        gain: Which scale to subtract on.

    Returns:
        K - 1 values; the last turn, which answers, has no gain. Empty for K < 2.
    """
    values = [probability(value) for value in beliefs] if gain == "prob" else list(beliefs)
    gains = [after - before for before, after in pairwise(values)]
    return [value if math.isfinite(value) else 0.0 for value in gains]


def probability(belief: float) -> float:
    """``exp(b)``: the geometric mean of the answer tokens' probabilities. Infinite where ``exp`` overflows."""
    try:
        return math.exp(belief)
    except OverflowError:  # no log-probability; the gain becomes infinite and is dropped like any other such value
        return math.inf
