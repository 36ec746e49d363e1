"""ProRAG: tag grammar of a trajectory and of a step, and the outcome (https://arxiv.org/abs/2601.21912).

Checked against the release (lilinwz/ProRAG at c7a6411, ``prorag/rl/reward.py``).
"""

from __future__ import annotations

import re
from collections import Counter

from agentgym.rules.tags import first_answer

_TAG = re.compile(r"</?[a-zA-Z]+>")
_SYMBOLS = {"step": "S", "subquery": "Q", "retrieval": "R", "subanswer": "A", "answer": "F"}
_TRAJECTORY = re.compile("(SQRSA)*SF")
_STEPS = (
    ["</step>", "<subquery>", "</subquery>", "<retrieval>", "</retrieval>"],
    ["</step>", "<subanswer>", "</subanswer>"],
    ["</step>", "<answer>", "</answer>"],
)


def trajectory_format(completion: str) -> float:
    """1 if the tags read (S Q R S A)* S F, each opened and closed before the next, else -1.

    S, Q, R, A, F: ``step``, ``subquery``, ``retrieval``, ``subanswer``, ``answer``. The first ``<step>`` is part of the
    prompt and not of ``completion``. Any other tag is an error.
    """
    tags = ["<step>", *_TAG.findall(completion)]
    names = [tag[1:-1] for tag in tags[::2]]
    paired = tags[1::2] == [f"</{name}>" for name in names] and all(name in _SYMBOLS for name in names)
    return 1.0 if paired and _TRAJECTORY.fullmatch("".join(_SYMBOLS[name] for name in names)) else -1.0


def step_format(completion: str, *, released: bool = False) -> float:
    """1 if one step's tags are a query with its retrieval, a sub-answer or the answer, after closing ``step``; else -2.

    Args:
        completion: What was generated for the step, without the ``<step>`` of the prompt.
        released: The release prepends ``<step>`` and then compares with sequences that lack it, so that every step gets
            -2. True reproduces that.
    """
    return 1.0 if not released and _TAG.findall(completion) in _STEPS else -2.0


def outcome_reward(completion: str, answer: str) -> float:
    """``trajectory_format`` plus twice the F1 of the first ``<answer>``, an F1 under 0.2 counting as 0. In [-1, 3].

    F1 is between multisets of lower-case words split at blanks; nothing else is normalised.
    """
    predicted = first_answer(re.sub(r"(?i)<(/?)answer>", r"<\1answer>", completion))
    f1 = _f1(predicted or "", answer)
    return trajectory_format(completion) + (2 * f1 if f1 >= 0.2 else 0.0)


def _f1(prediction: str, answer: str) -> float:
    predicted, gold = prediction.lower().split(), answer.lower().split()
    shared = (Counter(predicted) & Counter(gold)).total()
    return 2 * shared / (len(predicted) + len(gold)) if shared else 0.0
