"""ReSeek: rewards for judging whether what was retrieved is useful (release TencentBAC/ReSeek at d5a8330).

Two differences from the release are the default here, since both could be exploited: an information block takes only
a judgement that comes before the next information block (there, several could share one), and the sum is capped
(there, it grows with the number of judgements). ``shared=True`` and ``cap=None`` give the release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agentgym.rules.answers import accepted, exact_match
from agentgym.rules.tags import blocks, last_answer

DEFAULT_CAP = 0.5
"""Largest absolute sum of judge rewards: half of what a right answer is worth."""

_JUDGE = re.compile(r"<judge>(Yes|No)</judge>", re.IGNORECASE)


class Judgement(NamedTuple):
    """One information block and whether the agent called it useful. ``position``: offset of the judge tag."""

    information: str
    useful: bool
    position: int


def judgements(transcript: str, *, shared: bool = False) -> list[Judgement]:
    """Each ``<information>`` block with the ``<judge>Yes|No</judge>`` that follows it; blocks without one are left out.

    Args:
        transcript: Everything said in the episode, observations included.
        shared: Let an information block take the next judgement anywhere later, as the release does.
    """
    found = blocks(transcript, "information")
    verdicts = list(_JUDGE.finditer(transcript))
    result: list[Judgement] = []
    index = 0
    for number, block in enumerate(found):
        limit = len(transcript) if shared or number + 1 == len(found) else found[number + 1].start
        while index < len(verdicts) and verdicts[index].start() < block.end:
            index += 1
        if index < len(verdicts) and verdicts[index].start() < limit:
            verdict = verdicts[index]
            result.append(Judgement(block.content.strip(), verdict.group(1).lower() == "yes", verdict.start()))
    return result


def outcome_reward(transcript: str, answers: str | Sequence[str]) -> float:
    """Exact match of the last ``<answer>``; a quarter of it where more than ten answer tags were written."""
    answer = last_answer(transcript)
    matched = 0.0 if answer is None else exact_match(answer, answers)
    spammed = max(transcript.count("<answer>"), transcript.count("</answer>")) > 10
    return matched / 4 if spammed else matched


def regex_rewards(
    transcript: str,
    answers: str | Sequence[str],
    *,
    right: float = 0.3,
    bonus: float = 0.1,
    wrong_yes: float = -0.6,
    wrong_no: float = -0.3,
    shared: bool = False,
) -> list[float]:
    """One reward a judgement, information being useful if it contains an accepted answer (ignoring case).

    A right judgement gets ``right``, and ``bonus`` where the final answer is right too; Yes with a right answer counts
    as right whatever the information holds. Empty information gets 0. Without a final answer all get 0.

    Returns:
        Rewards in the order of ``judgements``, to be placed on their turns, or summed by ``capped_sum``.
    """
    found = judgements(transcript, shared=shared)
    correct = _final_answer_correct(transcript, answers)
    if correct is None:
        return [0.0] * len(found)
    wanted = [answer.lower().strip() for answer in accepted(answers) if answer]
    rewards: list[float] = []
    for information, said_useful, _ in found:
        useful = any(answer in information.lower() for answer in wanted)
        if not information:
            rewards.append(0.0)
        elif said_useful == useful or (said_useful and correct):
            rewards.append(right + bonus if correct else right)
        else:
            rewards.append(wrong_yes if said_useful else wrong_no)
    return rewards


def rerank_rewards(
    transcript: str,
    answers: str | Sequence[str],
    similarity: Callable[[str, str], float],
    *,
    threshold: float = 0.5,
    positive: float = 0.1,
    negative: float = -0.05,
    shared: bool = False,
) -> list[float]:
    """One reward a judgement, information being useful if its similarity to an answer reaches ``threshold``.

    Yes with a right answer: ``positive``. Yes with a wrong one: ``negative``, half of it for useful information. No:
    ``negative`` for useful information, else a fifth of ``positive``. Empty information or no final answer: 0.

    Args:
        transcript: Everything said in the episode, observations included.
        answers: Accepted answers. The most similar one counts (the release compares with the first alone).
        similarity: ``(answer, information)`` to a number, from a reranker or an embedding.
        threshold: Similarity from which information is useful.
        positive: Reward of a right judgement. 0.1 in the released scorer; its inner function defaults to 0.4.
        negative: Reward of a wrong judgement. -0.05, or -0.2 there.
        shared: As in ``judgements``.
    """
    found = judgements(transcript, shared=shared)
    correct = _final_answer_correct(transcript, answers)
    if correct is None:
        return [0.0] * len(found)
    rewards: list[float] = []
    for information, said_useful, _ in found:
        if not information:
            rewards.append(0.0)
        elif said_useful and correct:
            rewards.append(positive)
        else:
            useful = max(similarity(answer, information) for answer in accepted(answers)) >= threshold
            if said_useful:
                rewards.append(negative / 2 if useful else negative)
            else:
                rewards.append(negative if useful else positive / 5)
    return rewards


def capped_sum(rewards: Sequence[float], cap: float | None = DEFAULT_CAP) -> float:
    """Sum of judge rewards, clipped to [-cap, cap]; None leaves it unbounded, as the release does."""
    total = float(sum(rewards))
    return total if cap is None else min(max(total, -cap), cap)


def _final_answer_correct(transcript: str, answers: str | Sequence[str]) -> bool | None:
    """None: there is no final answer, and judging earns nothing."""
    answer = last_answer(transcript)
    return bool(exact_match(answer, answers)) if answer else None
