"""Token returns on masked sequences."""

from __future__ import annotations

import numpy as np

from agentgym.credit.segments import BoolArray, FloatArray, IntArray, discounted_to_go, segment_sum


def policy_token_returns(reward: FloatArray, mask: BoolArray, offsets: IntArray, gamma: float) -> FloatArray:
    """``G_t = r_t + γ G_{t+1}`` where t + 1 is the next *policy* token; shape (T,), 0 where the mask is 0.

    Tokens of the environment neither discount nor cut the return. Rewards on them are ignored.
    """
    kept = np.concatenate([[0], np.cumsum(segment_sum(mask, offsets))]).astype(np.int64)
    out = np.zeros(len(mask))
    out[mask] = discounted_to_go(reward[mask], kept, gamma)
    return out


def returns_cut_by_mask(reward: FloatArray, mask: BoolArray, offsets: IntArray, gamma: float) -> FloatArray:
    """verl's REINFORCE++ scan, which multiplies the running return by the mask; shape (T,), 0 where the mask is 0.

    Nothing that is earned after an environment token reaches the tokens before it: on a multi-turn sequence every
    turn but the last gets a return of 0.
    """
    begins = ~mask
    begins[offsets[:-1][np.diff(offsets) > 0]] = True
    pieces = np.append(np.flatnonzero(begins), len(mask))
    return np.where(mask, discounted_to_go(reward, pieces, gamma), 0.0)
