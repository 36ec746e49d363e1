"""Methods on token returns without a critic: REINFORCE++, its baseline form, ReMax, PRIME."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.kernels.implicit import implicit_token_reward
from agentgym.credit.kernels.normalise import Norm, Singleton, normalise, whiten
from agentgym.credit.kernels.prime import outcome_stream, process_stream
from agentgym.credit.kernels.returns import policy_token_returns, returns_cut_by_mask
from agentgym.credit.methods.common import Source, episode_reward
from agentgym.credit.parameters import Fraction, Parameters
from agentgym.credit.registry import register
from agentgym.credit.result import Credit
from agentgym.credit.segments import FloatArray, discounted_to_go


@register(
    "reinforce_pp",
    summary="Token returns whitened over the whole batch; no groups.",
    paper="REINFORCE++, arXiv 2501.03262",
    population="policy tokens of the batch",
    presets={"reinforce_pp_verl": {"across_observations": False}},
)
@dataclass(frozen=True)
class ReinforcePlusPlus(Parameters):
    """``A_t = whiten(G_t)``, ``G_t = r_t + γ G_{t+1}`` over policy tokens.

    Group of one: works, there are no groups. All returns equal: 0. verl's scan sets the return to 0 at every
    environment token, so that only the last turn is paid (``reinforce_pp_verl``).

    Args:
        gamma: Discount a policy token.
        across_observations: Whether returns pass over environment tokens.
    """

    gamma: Fraction = 1.0
    across_observations: bool = True

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        returns = policy_token_returns if self.across_observations else returns_cut_by_mask
        to_go = returns(batch.token_rewards, batch.policy_mask, batch.token_offsets, self.gamma)
        return Credit.from_tokens(batch, whiten(to_go, batch.trained))


@register(
    "reinforce_pp_baseline",
    summary="Reward minus the group's mean, whitened over the batch's tokens.",
    paper="REINFORCE++ with baseline, arXiv 2501.03262",
    population="trajectories of a group, then policy tokens of the batch",
    presets={"reinforce_pp_baseline_verl": {"singleton": "raw"}},
)
@dataclass(frozen=True)
class ReinforcePlusPlusBaseline(Parameters):
    """``A_t = whiten(R_i − mean_g R)`` on every policy token of trajectory i.

    Whitening over tokens lets long trajectories count more, and may give an all-equal group a small non-zero
    advantage. Group of one: its deviation is 0 (verl keeps the raw reward).

    Args:
        reward: ``return`` or ``outcome``.
        singleton: What a group of one gets before whitening.
    """

    reward: Source = "return"
    singleton: Singleton = "zero"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        reward = episode_reward(batch, self.reward, "reinforce_pp_baseline")
        centred = normalise(reward, batch.group_index, Norm(scale="none", singleton=self.singleton))
        spread = np.repeat(centred, np.diff(batch.token_offsets))
        return Credit.from_tokens(batch, whiten(spread, batch.trained))


@register(
    "remax",
    summary="Return-to-go minus the return of the greedy episode on the same task.",
    paper="ReMax, arXiv 2310.10505",
    needs=("greedy_return",),
    population="none: one extra greedy episode a task",
)
@dataclass(frozen=True)
class Remax(Parameters):
    """``A_t = Σ_{s≥t} r_s − R(greedy)`` over policy tokens; the paper's ``R − R(greedy)`` if reward comes at the end.

    Group of one: works. Exactly 0 on masked tokens (verl leaves the return there).
    """

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        to_go = policy_token_returns(batch.token_rewards, batch.policy_mask, batch.token_offsets, 1.0)
        baseline = np.repeat(batch.column("greedy_return"), np.diff(batch.token_offsets))
        return Credit.from_tokens(batch, to_go - baseline)


@register(
    "prime",
    summary="Leave-one-out process rewards a token plus leave-one-out outcome, as returns, whitened.",
    paper="PRIME, arXiv 2502.01456",
    needs=("outcome", "prm_logprob", "ref_logprob"),
    population="responses of a group; policy tokens of the batch (whitening)",
    presets={"prime_scored": {"signal": "token_process_reward"}},
)
@dataclass(frozen=True)
class Prime(Parameters):
    """``A_t = whiten(Σ_{s≥t} c_p x'_s + c_o o'_s)``; x' and o' are leave-one-out streams.

    ``x_t = β (log π_φ − log π_ref)`` a token, ``x'_t = n/(n−1) x_t − 1/(n−1) Σ_j mean_j x``; ``o'`` is the outcome
    minus the others' mean, at the last policy token. Group of one: 0 before whitening (the release divides by 0). Only
    the ratio of the weights matters. Exactly 0 on masked tokens (the release leaves whitened zeros).

    Args:
        process_weight: c_p.
        outcome_weight: c_o.
        beta: β.
        signal: ``implicit`` (log-probabilities) or ``token_process_reward`` (that column).
    """

    process_weight: float = 1.0
    outcome_weight: float = 1.0
    beta: float = 0.05
    signal: Literal["implicit", "token_process_reward"] = "implicit"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        return Credit.from_tokens(batch, whiten(self.returns(batch), batch.trained))

    def returns(self, batch: Batch) -> FloatArray:
        """float64[T]: the returns before whitening."""
        x = process_stream(self._process(batch), batch.policy_mask, batch.token_offsets, batch.group_index)
        last = batch.turn_last_token[batch.turn_offsets[1:] - 1]
        o = outcome_stream(batch.outcomes("prime"), last, batch.group_index, batch.n_tokens)
        return discounted_to_go(self.process_weight * x + self.outcome_weight * o, batch.token_offsets, 1.0)

    def _process(self, batch: Batch) -> FloatArray:
        if self.signal == "token_process_reward":
            return np.asarray(batch.column("token_process_reward"))
        prm, ref = batch.column("prm_logprob"), batch.column("ref_logprob")
        return implicit_token_reward(prm, ref, batch.policy_mask, self.beta)
