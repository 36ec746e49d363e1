"""GiGPO: turns that begin in the same state of the same task are compared with each other."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from agentgym.credit.kernels.normalise import Norm, normalise
from agentgym.credit.segments import FloatArray, IntArray


def anchor_advantage(
    step_return: FloatArray, anchor: IntArray, norm: Norm, weight: FloatArray | None = None
) -> FloatArray:
    """``A^S_k = (G_k − mean) / F_norm`` over the turns that share an anchor state; shape (K,).

    Several visits of one trajectory all count. A state visited once gives 0 (``norm.singleton``).
    (GiGPO, https://arxiv.org/abs/2505.10978, equations 6 to 8)

    Args:
        step_return: Discounted return-to-go of each turn, shape (K,).
        anchor: Code of (group, state) of each turn, shape (K,).
        norm: ``F_norm`` and the rule for singletons.
        weight: 0 for turns that aren't part of any population, shape (K,).
    """
    return normalise(step_return, anchor, norm, weight)


def similarity_codes(texts: Sequence[str], group: Sequence[int], threshold: float) -> IntArray:
    """Codes of texts clustered inside each group: a text joins the first cluster whose first member is similar enough.

    Similarity is difflib's ratio of matching characters, as in the released code, so the result depends on the order
    of the rows. This compares texts one by one: exact keys are far cheaper where the environment has them.

    Args:
        texts: One a turn.
        group: Group of each turn.
        threshold: Smallest ratio, in [0, 1], that counts as the same state.

    Returns:
        int64 codes 0.. in order of first appearance.
    """
    clusters: dict[int, list[tuple[int, SequenceMatcher[str]]]] = {}
    seen: dict[tuple[int, str], int] = {}
    codes = np.empty(len(texts), dtype=np.int64)
    size = 0
    for row, (text, member) in enumerate(zip(texts, group, strict=True)):
        known = seen.get((member, text))
        if known is None:
            known = _first_similar(text, clusters.setdefault(member, []), threshold)
        if known is None:
            known, size = size, size + 1
            clusters[member].append((known, SequenceMatcher(None, text, "")))
        seen[member, text] = codes[row] = known
    return codes


def _first_similar(text: str, clusters: list[tuple[int, SequenceMatcher[str]]], threshold: float) -> int | None:
    for code, matcher in clusters:
        matcher.set_seq2(text)
        # The cheap upper bounds come first; both are at least the exact ratio.
        if (
            matcher.real_quick_ratio() >= threshold
            and matcher.quick_ratio() >= threshold
            and matcher.ratio() >= threshold
        ):
            return code
    return None
