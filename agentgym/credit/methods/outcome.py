"""Methods that give one advantage a trajectory: GRPO, Dr.GRPO, RLOO, OPO, GDPO."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.errors import CreditError
from agentgym.credit.kernels.normalise import Norm, Singleton, leave_one_out, normalise
from agentgym.credit.kernels.opo import length_weighted_baseline
from agentgym.credit.kernels.sum_of_rewards import normalise_then_sum
from agentgym.credit.methods.common import Source, episode_reward
from agentgym.credit.parameters import NotNegative, Parameters
from agentgym.credit.registry import register
from agentgym.credit.result import Credit
from agentgym.credit.segments import segment_sum


@register(
    "grpo",
    summary="One advantage a trajectory: its reward standardised inside the group.",
    paper="DeepSeekMath, arXiv 2402.03300",
    presets={
        "grpo_verl": {"norm": Norm(singleton="raw")},
        "grpo_trl": {"norm": Norm(eps=1e-4)},
        "grpo_trl_batch": {"norm": Norm(scale="batch", eps=1e-4)},
    },
)
@dataclass(frozen=True)
class Grpo(Parameters):
    """``A_i = (R_i − mean_g R) / (std_g R + eps)`` on every trained token of trajectory i.

    Group of one: 0 (verl keeps the raw reward). Zero variance, so also an all-failed group: exactly 0. Truncated
    episodes count with the reward that they have. Dividing by the standard deviation weighs groups up whose rewards
    hardly differ.

    Args:
        reward: ``return`` (sum of turn rewards) or ``outcome``.
        norm: Scale, ddof, eps and singleton rule.
    """

    reward: Source = "return"
    norm: Norm = field(default_factory=Norm)

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        reward = episode_reward(batch, self.reward, "grpo")
        return Credit.from_trajectories(batch, normalise(reward, batch.group_index, self.norm))


@register(
    "dr_grpo",
    summary="GRPO without the division by the standard deviation.",
    paper="Understanding R1-Zero-like training, arXiv 2503.20783",
    presets={"dr_grpo_verl": {"singleton": "raw"}},
)
@dataclass(frozen=True)
class DrGrpo(Parameters):
    """``A_i = R_i − mean_g R``. Group of one: 0 (verl keeps the raw reward). Equal rewards: exactly 0.

    The paper's other half, token sums divided by a constant, is an aggregation mode of the loss.

    Args:
        reward: ``return`` or ``outcome``.
        singleton: What a group of one gets.
    """

    reward: Source = "return"
    singleton: Singleton = "zero"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        reward = episode_reward(batch, self.reward, "dr_grpo")
        norm = Norm(scale="none", singleton=self.singleton)
        return Credit.from_trajectories(batch, normalise(reward, batch.group_index, norm))


@register(
    "rloo",
    summary="Reward minus the mean reward of the other trajectories of the group.",
    paper="Back to Basics, arXiv 2402.14740",
    presets={"rloo_verl": {"singleton": "raw"}},
)
@dataclass(frozen=True)
class Rloo(Parameters):
    """``A_i = R_i − 1/(n−1) Σ_{j≠i} R_j = n/(n−1) (R_i − mean_g R)``, an unbiased estimate.

    Group of one: 0 (verl keeps the raw reward). Equal rewards: exactly 0.

    Args:
        reward: ``return`` or ``outcome``.
        singleton: What a group of one gets.
    """

    reward: Source = "return"
    singleton: Singleton = "zero"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        reward = episode_reward(batch, self.reward, "rloo")
        return Credit.from_trajectories(batch, reward - leave_one_out(reward, batch.group_index, self.singleton))


@register(
    "opo",
    summary="Reward minus the length-weighted mean reward of the group.",
    paper="On-policy RL with optimal reward baseline, arXiv 2505.23585",
    presets={"opo_verl": {"singleton": "raw"}},
)
@dataclass(frozen=True)
class Opo(Parameters):
    """``A_i = R_i − Σ_j l_j R_j / Σ_j l_j`` with l_j the number of policy tokens (turns in a batch without tokens).

    The weights approximate the baseline of least variance. Group of one: 0 (verl keeps the raw reward).

    Args:
        reward: ``return`` or ``outcome``.
        singleton: What a group of one gets.
    """

    reward: Source = "return"
    singleton: Singleton = "zero"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        reward = episode_reward(batch, self.reward, "opo")
        length = segment_sum(batch.turn_tokens, batch.turn_offsets) if batch.n_tokens else batch.turn_counts
        baseline = length_weighted_baseline(
            reward, np.asarray(length, dtype=np.float64), batch.group_index, self.singleton
        )
        return Credit.from_trajectories(batch, reward - baseline)


@register(
    "gdpo",
    summary="Several rewards standardised one by one in the group, summed, standardised over the batch.",
    paper="GDPO (TRL: scale_rewards with normalize_then_sum)",
    needs=("component_reward",),
    population="trajectories of a group, then of the batch",
)
@dataclass(frozen=True)
class Gdpo(Parameters):
    """``s_i = Σ_c w_c z_g(R_{i,c})``, ``A_i = (s_i − mean s) / (std s + eps)`` over the batch.

    A reward that doesn't apply to a trajectory is NaN: it is in no population and adds nothing. Keeps a reward of
    small spread from drowning in one of large spread.

    Args:
        weights: w_c; all 1 if empty.
        eps: Added to both standard deviations (unbiased).
    """

    weights: tuple[float, ...] = ()
    eps: NotNegative = 1e-4

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        rewards = batch.column("component_reward")
        weights = np.ones(rewards.shape[1]) if not self.weights else np.asarray(self.weights, dtype=np.float64)
        if len(weights) != rewards.shape[1]:
            raise CreditError(f"gdpo: {len(weights)} weights for {rewards.shape[1]} components.")
        norm = Norm(eps=self.eps)
        return Credit.from_trajectories(batch, normalise_then_sum(rewards, weights, batch.group_index, norm))
