"""What several methods share: where the episode's reward comes from, and how turn rewards become advantages."""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.errors import CreditError
from agentgym.credit.kernels.baselines import turn_baseline
from agentgym.credit.kernels.gae import masked_gae
from agentgym.credit.kernels.normalise import leave_one_out, whiten
from agentgym.credit.result import Credit
from agentgym.credit.segments import FloatArray, discounted_to_go, segment_sum

Source = Literal["return", "outcome"]
"""``return``: sum of the turn rewards under the run's scheme. ``outcome``: the raw outcome component."""


def episode_reward(batch: Batch, source: Source, method: str) -> FloatArray:
    """float64[N]: the reward that a trajectory is compared by."""
    if source == "return":
        return batch.episode_return
    if source == "outcome":
        return batch.outcomes(method)
    raise CreditError(f"{method}: reward is {source!r}; expected 'return' or 'outcome'.")


def check_fraction(method: str, **values: float) -> None:
    """Refuses a discount or a λ outside [0, 1]."""
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise CreditError(f"{method}: {name} is {value}; expected a number in [0, 1].")


def turn_returns(batch: Batch, turn_reward: FloatArray, gamma: float) -> FloatArray:
    """float64[K]: discounted return-to-go of every turn."""
    return discounted_to_go(turn_reward, batch.turn_offsets, gamma)


def against_siblings(batch: Batch, to_go: FloatArray) -> FloatArray:
    """float64[K]: returns-to-go minus the leave-one-out turn baseline."""
    baseline = turn_baseline(to_go, batch.turn_index, batch.turn_group, batch.owned, batch.group_index, batch.fork_turn)
    return to_go - baseline


def token_returns_against_siblings(batch: Batch, token_reward: FloatArray) -> FloatArray:
    """float64[T]: undiscounted token returns-to-go minus the mean total of the other trajectories of the group."""
    to_go = discounted_to_go(token_reward, batch.token_offsets, 1.0)
    total = segment_sum(token_reward, batch.token_offsets)
    baseline = leave_one_out(total, batch.group_index)
    return to_go - np.repeat(baseline, np.diff(batch.token_offsets))


def token_reward_credit(
    batch: Batch, token_reward: FloatArray, estimator: str, gamma: float, lam: float, method: str
) -> Credit:
    """Credit of given token rewards: returns-to-go against siblings' totals, or PPO's GAE (column ``value``)."""
    if estimator == "siblings":
        return Credit.from_tokens(batch, token_returns_against_siblings(batch, token_reward))
    if estimator == "gae":
        found = masked_gae(token_reward, batch.column("value"), batch.policy_mask, batch.token_offsets, gamma, lam)
        return Credit.from_tokens(batch, whiten(found.advantage, batch.trained), found.returns)
    raise CreditError(f"{method}: estimator is {estimator!r}; expected 'siblings' or 'gae'.")


def bootstrap(batch: Batch, truncation: str, method: str) -> FloatArray:
    """float64[N]: value after the last turn. ``terminal``: 0; ``bootstrap``: the critic's on truncated episodes."""
    if truncation == "terminal":
        return np.zeros(batch.n_trajectories)
    if truncation == "bootstrap":
        return np.where(batch.truncated, batch.column("bootstrap_value"), 0.0)
    raise CreditError(f"{method}: truncation is {truncation!r}; expected 'terminal' or 'bootstrap'.")
