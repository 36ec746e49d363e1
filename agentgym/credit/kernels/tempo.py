"""TEMPO: values read off the prefix tree of a group's own samples, and temporal differences where it branches.

Paper: https://arxiv.org/abs/2509.18314 (no code was found; the choices are stated here).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agentgym.credit.kernels.normalise import group_mean
from agentgym.credit.segments import BoolArray, FloatArray, IntArray, next_in_segment


def prefix_tree_td(
    token_id: IntArray, mask: BoolArray, offsets: IntArray, group: IntArray, outcome: FloatArray
) -> FloatArray:
    """``V(s_{t+1}) − V(s_t)`` at tokens where samples that shared a prefix part; 0 elsewhere; shape (T,).

    V(prefix) is the mean outcome of the group's responses that begin with it. The root doesn't count as a branch: the
    group-relative term already compares with it. So without a shared policy token, and for a group of one, all is 0.

    Args:
        token_id: Shape (T,).
        mask: Policy tokens, shape (T,).
        offsets: Tokens of each response, shape (N + 1,).
        group: Group index, shape (N,).
        outcome: Shape (N,).
    """
    td = np.zeros(len(token_id))
    order, shared = _sorted_prefixes(token_id, offsets, group)
    lengths, value = np.diff(offsets)[order], outcome[order]
    policy = np.concatenate([[0], np.cumsum(mask)])
    begin = offsets[:-1][order]
    for length in np.unique(shared[shared > 0]):
        together, further = _mean_of_runs(value, shared >= length), _mean_of_runs(value, shared > length)
        at = begin + np.minimum(length, lengths)
        branch = (together != further) & (lengths > length) & (policy[at] > policy[begin])
        td[at[branch]] = (further - together)[branch]
    return np.where(mask, td, 0.0)


def _sorted_prefixes(token_id: IntArray, offsets: IntArray, group: IntArray) -> tuple[IntArray, IntArray]:
    """Responses in lexicographic order inside their groups, and the prefix that each shares with its predecessor."""
    lengths = np.diff(offsets)
    padded = np.full((len(lengths), int(lengths.max(initial=0)) + 1), -1, dtype=np.int64)
    padded[:, 0] = group
    padded[:, 1:][np.arange(padded.shape[1] - 1) < lengths[:, None]] = token_id
    order = np.argsort(_as_bytes(padded), kind="stable")
    rows = padded[order]
    same = rows[1:] == rows[:-1]
    first_difference = np.where(same.all(axis=1), padded.shape[1], np.argmin(same, axis=1))
    in_both = np.minimum(first_difference - 1, np.minimum(lengths[order][1:], lengths[order][:-1]))
    return order, np.concatenate([[-1], in_both]).astype(np.int64) if len(order) else order


def _as_bytes(rows: IntArray) -> npt.NDArray[np.void]:
    """One opaque key a row; equal rows have equal keys, and rows with a common prefix are neighbours in their order."""
    wide = np.ascontiguousarray((rows + 1).astype(">u8"))
    return np.asarray(wide.view(np.dtype((np.void, wide.shape[1] * 8))).ravel())


def _mean_of_runs(value: FloatArray, joined: BoolArray) -> FloatArray:
    """Mean over each run of rows that are joined to their predecessor; shape (N,)."""
    run: IntArray = np.cumsum(~joined) - 1
    mean = group_mean(value, run)
    return np.asarray(mean[run])


def anchored_td(
    anchor: IntArray, outcome: FloatArray, owned: BoolArray, turn_offsets: IntArray, own: IntArray
) -> FloatArray:
    """``V(s_{k+1}) − V(s_k)`` over turns, with V(state) the mean outcome of the trajectories that visit it; shape (K,).

    After the last turn V is the trajectory's own outcome. A trajectory counts once a state, however often it returns.
    First turns get 0: the group-relative term already compares with the group's mean, which is the value there.

    Args:
        anchor: Code of (group, state), shape (K,).
        outcome: Shape (N,).
        owned: False for inherited turns, shape (K,).
        turn_offsets: Shape (N + 1,).
        own: Trajectory of each turn, shape (K,).
    """
    size = int(anchor.max(initial=0)) + 1
    visits = np.unique(own * size + anchor)
    value = group_mean(outcome[visits // size], visits % size)
    here = value[anchor] if len(anchor) else np.zeros(0)
    after = next_in_segment(here, turn_offsets, outcome)
    td = after - here
    td[turn_offsets[:-1]] = 0.0
    return np.where(owned, td, 0.0)
