"""Methods that spread one reward over tokens: ABC and RED; and ranks from an arena as advantages."""

from __future__ import annotations

from dataclasses import dataclass

from agentgym.credit.batch import Batch
from agentgym.credit.kernels.redistribute import by_attention, by_prefix_score
from agentgym.credit.methods.common import Estimator, Source, episode_reward, token_reward_credit
from agentgym.credit.parameters import Fraction, Parameters
from agentgym.credit.registry import register
from agentgym.credit.result import Credit
from agentgym.credit.segments import FloatArray


@register(
    "abc",
    summary="The outcome spread over tokens by the reward model's attention.",
    paper="Attention-based credit, arXiv 2402.00782",
    needs=("attention",),
    population="other trajectories of the group",
    presets={"abc_ppo": {"estimator": "gae"}},
)
@dataclass(frozen=True)
class Abc(Parameters):
    """``r_k = β R a_k + (1 − β) R [k is last]``, a the attention of the reward model's last row; Σ_k r_k = R.

    The paper hands r to PPO (``abc_ppo``, column ``value``); without a critic the return-to-go of a token is compared
    with the other trajectories' at the start of the same turn, as in `turn_rloo`. Group of one: 0.

    Args:
        beta: Share of R that is spread.
        estimator: ``siblings`` or ``gae``.
        gamma: Discount of ``gae``.
        lam: λ of ``gae``.
        reward: The R: ``outcome`` or ``return``.
    """

    beta: Fraction = 0.5
    estimator: Estimator = "siblings"
    gamma: Fraction = 1.0
    lam: Fraction = 0.95
    reward: Source = "outcome"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        return token_reward_credit(batch, self.token_reward(batch), self.estimator, self.gamma, self.lam)

    def token_reward(self, batch: Batch) -> FloatArray:
        """float64[T]: the redistributed reward."""
        reward, last = episode_reward(batch, self.reward, "abc"), batch.turn_last_token[batch.turn_offsets[1:] - 1]
        return by_attention(reward, batch.column("attention"), batch.policy_mask, batch.token_offsets, last, self.beta)


@register(
    "red",
    summary="The outcome spread over tokens by the increments of the reward model's score.",
    paper="Reward redistribution, arXiv 2411.08302",
    needs=("prefix_score", "prompt_score"),
    population="other trajectories of the group",
    presets={"red_ppo": {"estimator": "gae"}},
)
@dataclass(frozen=True)
class Red(Parameters):
    """``r_k = β (s after k − s before k) + (1 − β) R [k is last]``; the differences telescope.

    What the environment's reply adds to the score belongs to the policy token before it. No code was found. Estimators
    as in `Abc`. Group of one: 0.

    Args:
        beta: Share that is redistributed; below 1 the method needs R.
        estimator: ``siblings`` or ``gae``.
        gamma: Discount of ``gae``.
        lam: λ of ``gae``.
        reward: The R: ``outcome`` or ``return``.
    """

    beta: Fraction = 1.0
    estimator: Estimator = "siblings"
    gamma: Fraction = 1.0
    lam: Fraction = 0.95
    reward: Source = "outcome"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        return token_reward_credit(batch, self.token_reward(batch), self.estimator, self.gamma, self.lam)

    def token_reward(self, batch: Batch) -> FloatArray:
        """float64[T]: the redistributed reward."""
        reward = batch.episode_return if self.beta == 1.0 else episode_reward(batch, self.reward, "red")
        score, start = batch.column("prefix_score"), batch.column("prompt_score")
        last = batch.turn_last_token[batch.turn_offsets[1:] - 1]
        return by_prefix_score(score, start, batch.policy_mask, batch.token_offsets, reward, last, self.beta)


@register(
    "arena",
    summary="The standardised rank from pairwise judgements as advantage.",
    paper="ArenaRL, arXiv 2601.06487",
    needs=("arena_reward",),
)
@dataclass(frozen=True)
class ArenaMethod(Parameters):
    """``A_i = z(1 − rank_i / (n − 1))``, which `agentgym.credit.scorers.Arena` writes into the column ``arena_reward``.

    Ranks always spread, also in a group where every episode failed.
    """

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        return Credit.from_trajectories(batch, batch.column("arena_reward"))
