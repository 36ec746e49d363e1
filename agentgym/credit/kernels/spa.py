"""SPA: the outcome attributed to turns by an estimated progress, plus grounding.

Paper: https://arxiv.org/abs/2505.20732. The released scripts do something else in two places; both are here as
functions of their own.
"""

from __future__ import annotations

import numpy as np

from agentgym.credit.kernels.normalise import leave_one_out
from agentgym.credit.segments import BoolArray, FloatArray, IntArray


def progress_reward(progress: FloatArray, executable: BoolArray, alpha: float, beta: float) -> FloatArray:
    """``r_k = α ĉ_k + β g_k`` with g_k = 1 if the action could be executed; shape (K,)."""
    return alpha * progress + beta * executable


def loo_constant(outcome: FloatArray, group: IntArray) -> FloatArray:
    """Released data script: in place of ĉ every turn gets ``R_i − mean_{j≠i} R_j`` (alone: ``R_i``); shape (N,)."""
    return outcome - leave_one_out(outcome, group, singleton="raw")


def remaining_steps(step_reward: FloatArray, turn_index: IntArray, turn_counts: IntArray) -> FloatArray:
    """Released PPO trainer: step j of S is multiplied by ``S − 1 − j``, so the last step's reward is always 0.

    Args:
        step_reward: Shape (K,).
        turn_index: j, shape (K,).
        turn_counts: S of the turn's trajectory, shape (K,).
    """
    return step_reward * (turn_counts - 1 - turn_index)


def kl_penalty(logprob: FloatArray, ref_logprob: FloatArray, kl_coef: float) -> FloatArray:
    """``−kl_coef (log π − log π_ref)`` at every token, the environment's included; shape (T,)."""
    return -kl_coef * (logprob - ref_logprob)


def with_last_grounded(executable: BoolArray, is_last: BoolArray) -> BoolArray:
    """Released data script: the last turn always counts as grounded; shape (K,)."""
    return np.asarray(executable | is_last)
