"""R3-RAG: relevance of retrieved documents, judged by a model (https://arxiv.org/abs/2505.23794).

Numbers from the release (Yuan-Li-FNLP/R3-RAG at 3522314, ``experience_maker.py``). The request to the judge is worded
here; the release's wording isn't reproduced. The judge itself is injected by whoever calls these functions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

_RELEVANCE = re.compile(r"relevance:\s*(\d+(?:\.\d*)?)", re.IGNORECASE)

Ending = Literal["correct", "wrong", "unanswered", "malformed"]
"""How an episode ended: right answer, wrong answer, out of searches, or a step in a wrong format."""

_FACTOR: dict[Ending, float] = {"correct": 1.6, "wrong": 0.8, "unanswered": 0.9, "malformed": 1.0}
_FINAL: dict[Ending, tuple[float, ...]] = {
    "correct": (2.0,),
    "wrong": (0.0,),
    "unanswered": (),
    "malformed": (-0.9,),
}


def relevance_request(question: str, analysis: str, query: str, documents: str, *, characters: int = 512) -> str:
    """What to ask a judge about one retrieval. Its reply is for ``parse_relevance``.

    Args:
        question: The task.
        analysis: The agent's reasoning before the search.
        query: What it searched for.
        documents: What came back. Cut to ``characters``.
        characters: How much of the documents the judge sees.
    """
    return (
        "Rate from 0.0 to 1.0 how relevant the retrieved documents are: how well they fit the query, and how far they "
        "help to answer the question. 0.6 is a pass. Rate 0.0 if the analysis is illogical or contradicts itself.\n\n"
        f"Question: {question}\nAnalysis: {analysis}\nQuery: {query}\n"
        f"Documents: {documents[:characters] or '(nothing found)'}\n\n"
        "Reply with one line 'Relevance: x.xx' and one sentence of explanation."
    )


def parse_relevance(reply: str) -> float | None:
    """The last ``Relevance: x`` of a judge's reply, clipped to [0, 1], three decimals; None where there is none.

    The release stops with an exception on a reply without a number. None says that the component is absent.
    """
    found = _RELEVANCE.findall(reply)
    return round(min(float(found[-1]), 1.0), 3) if found else None


def document_rewards(relevance: Sequence[float], ending: Ending) -> list[float]:
    """Turn rewards of an episode: relevance of each search scaled by how the episode ended, then its final reward.

    ============  ======  =====
    ending        factor  final
    ============  ======  =====
    correct       1.6     2.0
    wrong         0.8     0.0
    unanswered    0.9     none: the last turn was a search
    malformed     1.0     -0.9
    ============  ======  =====

    Args:
        relevance: One value in [0, 1] a search.
        ending: How the episode ended.

    Returns:
        One value a turn, three decimals.

    Raises:
        ValueError: A relevance outside [0, 1] or an unknown ending.
    """
    if ending not in _FACTOR:
        raise ValueError(f"ending must be one of {', '.join(_FACTOR)}, got {ending!r}.")
    for turn, value in enumerate(relevance):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"relevance must be in [0, 1], got {value} for search {turn}.")
    return [round(value * _FACTOR[ending], 3) for value in relevance] + list(_FINAL[ending])
