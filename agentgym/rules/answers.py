"""Short-answer matching: SQuAD normalisation, exact match, substring match, token F1.

Source: the SQuAD v1.1 evaluation (https://arxiv.org/abs/1606.05250), as Search-R1, Router-R1 and ReSeek use it.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Collection, Sequence

HOTPOT_CLOSED = ("yes", "no", "noanswer")
"""Normalised answers that HotpotQA gives no partial credit for."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case, no ASCII punctuation (removed, not replaced), no English articles, single blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def exact_match(prediction: str, answers: str | Sequence[str]) -> float:
    """1.0 if the normalised prediction equals any normalised answer, else 0.0.

    Raises:
        ValueError: No answers.
    """
    normalized = normalize_answer(prediction)
    return float(any(normalize_answer(answer) == normalized for answer in accepted(answers)))


def sub_exact_match(prediction: str, answers: str | Sequence[str]) -> float:
    """1.0 if any normalised answer is a substring of the normalised prediction, else 0.0.

    An answer that normalises to nothing ("The") is in every prediction, as in the published scorers.

    Raises:
        ValueError: No answers.
    """
    normalized = normalize_answer(prediction)
    return float(any(normalize_answer(answer) in normalized for answer in accepted(answers)))


def token_f1(prediction: str, answers: str | Sequence[str], *, closed: Collection[str] = ()) -> float:
    """Best F1 over the answers between multisets of normalised tokens, in [0, 1]; 0 where nothing is shared.

    ``F1 = 2PR / (P + R)``, ``P = |shared| / |prediction|``, ``R = |shared| / |answer|``.

    Args:
        prediction: What the model answered.
        answers: One accepted answer or several.
        closed: Normalised answers without partial credit; ``HOTPOT_CLOSED`` gives HotpotQA's and Router-R1's rule.

    Raises:
        ValueError: No answers.
    """
    predicted = normalize_answer(prediction)
    return max(_f1(predicted, normalize_answer(answer), closed) for answer in accepted(answers))


def _f1(prediction: str, answer: str, closed: Collection[str]) -> float:
    if prediction != answer and (prediction in closed or answer in closed):
        return 0.0
    predicted_tokens, answer_tokens = prediction.split(), answer.split()
    shared = (Counter(predicted_tokens) & Counter(answer_tokens)).total()
    if shared == 0:
        return 0.0
    precision, recall = shared / len(predicted_tokens), shared / len(answer_tokens)
    return 2 * precision * recall / (precision + recall)


def accepted(answers: str | Sequence[str]) -> Sequence[str]:
    """``answers`` as a non-empty sequence of accepted answers."""
    listed = (answers,) if isinstance(answers, str) else answers
    if not listed:
        raise ValueError("answers is empty; expected at least one accepted answer to compare with.")
    return listed
