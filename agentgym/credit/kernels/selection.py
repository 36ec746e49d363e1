"""Which trajectories of a group are worth training on: PROF and DCPO."""

from __future__ import annotations

import numpy as np

from agentgym.credit.segments import BoolArray, FloatArray, IntArray


def _rank(key: FloatArray, cell: IntArray) -> IntArray:
    """Rank 0.. of each row in its cell by rising key, ties by row; shape (rows,)."""
    order = np.lexsort((np.arange(len(key)), key, cell))
    sizes = np.bincount(cell, minlength=int(cell.max(initial=-1)) + 1)
    first = np.cumsum(sizes) - sizes
    rank = np.empty(len(key), dtype=np.int64)
    rank[order] = np.arange(len(key)) - first[cell[order]]
    return rank


def prof_selection(
    quality: FloatArray, correct: BoolArray, group: IntArray, keep: int, *, rank_incorrect: bool = True
) -> BoolArray:
    """PROF: keep trajectories whose process agrees with their outcome, correct and incorrect in balance; shape (N,).

    Of the correct ones those with the *lowest* process quality go, of the incorrect ones those with the *highest*. The
    numbers that stay are as even as the group allows; of an odd ``keep`` the larger side gets the extra one. A group
    that is all correct or all incorrect can't be balanced: it keeps its ``keep`` most consistent ones.
    (https://arxiv.org/abs/2509.03403)

    Args:
        quality: Mean process score over the steps, shape (N,).
        correct: Shape (N,).
        group: Group index, shape (N,).
        keep: Trajectories that stay of each group (all, if it has no more).
        rank_incorrect: False drops incorrect ones by row instead ("filter correct only").
    """
    good = np.bincount(group, correct).astype(np.int64)
    bad = np.bincount(group, ~correct).astype(np.int64)
    half = np.where(good >= bad, -(-keep // 2), keep // 2)
    keep_good = np.minimum(good, np.maximum(half, keep - bad))
    keep_bad = np.minimum(bad, keep - keep_good)
    consistent = np.where(correct, -quality, quality if rank_incorrect else 0.0)
    rank = _rank(consistent, 2 * group + correct)
    return rank < np.where(correct, keep_good[group], keep_bad[group])


def dcpo_selection(reward: FloatArray, length: FloatArray, group: IntArray, pairs: int = 1) -> BoolArray:
    """DCPO: the best and shortest against the worst and longest of each group; shape (N,).

    Keeps ``pairs`` of each end, fewer in small groups. A group of equal rewards has no contrast: nothing stays. Only
    pairs of different reward stay. (https://arxiv.org/abs/2603.06065; no code was found, the rule is a choice)

    Args:
        reward: Shape (N,).
        length: Tokens or turns, shape (N,).
        group: Group index, shape (N,).
        pairs: At least 1.
    """
    order = np.lexsort((np.arange(len(reward)), length, -reward, group))
    size = np.bincount(group, minlength=int(group.max(initial=-1)) + 1)
    first = np.cumsum(size) - size
    place = np.arange(len(reward)) - first[group[order]]
    mirror = first[group[order]] + size[group[order]] - 1 - place
    contrast = reward[order] != reward[order][mirror]
    edge = np.minimum(place, size[group[order]] - 1 - place)
    keep = np.zeros(len(reward), dtype=np.bool_)
    keep[order] = contrast & (edge < pairs)
    return keep
