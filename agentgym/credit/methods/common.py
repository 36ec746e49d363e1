"""What several methods share: where the episode's reward comes from, and how turn rewards become advantages."""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.kernels.baselines import TurnBaseline, turn_baseline
from agentgym.credit.kernels.gae import masked_gae
from agentgym.credit.kernels.normalise import whiten
from agentgym.credit.result import Credit
from agentgym.credit.segments import FloatArray, discounted_to_go

Source = Literal["return", "outcome"]
"""``return``: sum of the turn rewards under the run's scheme. ``outcome``: the raw outcome component."""

Estimator = Literal["siblings", "gae"]
"""How given rewards become advantages: against the other trajectories of the group, or with a critic."""

Truncation = Literal["terminal", "bootstrap"]
"""What follows a truncated episode: nothing, or the column ``bootstrap_value``."""

Anchor = Literal["key", "similarity"]
"""When two states are the same: equal keys (``anchor``), or similar texts (``observation``)."""

Population = Literal["trajectory", "turn"]
"""What the statistics of an episode term run over."""


def episode_reward(batch: Batch, source: Source, method: str) -> FloatArray:
    """float64[N]: the reward that a trajectory is compared by."""
    return batch.episode_return if source == "return" else batch.outcomes(method)


def turn_returns(batch: Batch, turn_reward: FloatArray, gamma: float) -> FloatArray:
    """float64[K]: discounted return-to-go of every turn."""
    return discounted_to_go(turn_reward, batch.turn_offsets, gamma)


def siblings(batch: Batch, to_go: FloatArray) -> TurnBaseline:
    """The leave-one-out turn baseline of returns-to-go, float64[K]."""
    return turn_baseline(
        to_go, batch.turn_index, batch.turn_group, batch.owned, batch.group_index, batch.inherited_turns
    )


def against_siblings(batch: Batch, to_go: FloatArray) -> FloatArray:
    """float64[K]: returns-to-go minus the leave-one-out turn baseline."""
    return to_go - siblings(batch, to_go).value


def token_returns_against_siblings(batch: Batch, token_reward: FloatArray) -> FloatArray:
    """float64[T]: undiscounted token returns-to-go minus the turn baseline of the returns at the turn's first token."""
    batch.require_tokens()
    to_go = discounted_to_go(token_reward, batch.token_offsets, 1.0)
    baseline = siblings(batch, to_go[batch.turn_start])
    spread = batch.over_turns(np.where(baseline.others > 0, baseline.value, np.nan))
    return np.where(np.isnan(spread), 0.0, to_go - spread)


def token_reward_credit(
    batch: Batch, token_reward: FloatArray, estimator: Estimator, gamma: float, lam: float
) -> Credit:
    """Credit of given token rewards: returns-to-go against siblings, or PPO's GAE (column ``value``)."""
    if estimator == "siblings":
        return Credit.from_tokens(batch, token_returns_against_siblings(batch, token_reward))
    found = masked_gae(token_reward, batch.column("value"), batch.policy_mask, batch.token_offsets, gamma, lam)
    return Credit.from_tokens(batch, whiten(found.advantage, batch.trained), found.returns)


def bootstrap(batch: Batch, truncation: Truncation) -> FloatArray:
    """float64[N]: value after the last turn. ``terminal``: 0; ``bootstrap``: the critic's on truncated episodes."""
    if truncation == "terminal":
        return np.zeros(batch.n_trajectories)
    return np.where(batch.truncated, batch.column("bootstrap_value"), 0.0)
