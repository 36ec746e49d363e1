"""What released code does where it differs from its paper by more than a parameter. For reproducing published runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.errors import CreditError
from agentgym.credit.kernels import igpo_released as ig
from agentgym.credit.kernels import istar_released as istar
from agentgym.credit.kernels import spa as spa_kernels
from agentgym.credit.kernels.igpo import Gain, accumulate, information_gain
from agentgym.credit.kernels.normalise import Norm
from agentgym.credit.methods.common import Source, episode_reward, token_returns_against_siblings
from agentgym.credit.methods.signals import Signal, step_signal
from agentgym.credit.parameters import Fraction, NotNegative, Parameters
from agentgym.credit.registry import register
from agentgym.credit.result import Credit
from agentgym.credit.segments import FloatArray

_RAW = Norm(scale="none", singleton="raw")


@register(
    "spa_released",
    summary="SPA's scripts: leave-one-out outcome as progress, step rewards weighted by the steps that remain.",
    paper="WangHanLinHenry/SPA-RL-Agent",
    needs=("outcome", "executable"),
    population="other trajectories of the group",
)
@dataclass(frozen=True)
class SpaReleased(Parameters):
    """``r_k = (R_i − mean_{j≠i} R_j + β g_k) (S − 1 − k)``; the last turn counts as grounded and always gets reward 0.

    The data script overwrites every estimated ĉ_k with the same leave-one-out outcome; the trainer multiplies step k
    of S by S − 1 − k. The release hands this to PPO; here the token return-to-go is compared with the
    siblings'. Group of one: 0.

    Args:
        beta: Weight of the grounding.
        attribution: ``loo_constant`` (data script) or ``progress`` (the column).
        weighting: ``remaining_steps`` (trainer) or ``none``.
        kl_coef: Adds ``−kl_coef (log π − log π_ref)`` a token if above 0 (columns ``logprob``, ``ref_logprob``).
    """

    beta: float = 0.5
    attribution: Literal["loo_constant", "progress"] = "loo_constant"
    weighting: Literal["remaining_steps", "none"] = "remaining_steps"
    kl_coef: float = 0.0

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        return Credit.from_tokens(batch, token_returns_against_siblings(batch, self.token_reward(batch)))

    def step_reward(self, batch: Batch) -> FloatArray:
        """float64[K]: step rewards as the data script writes them, before the trainer's weights."""
        if self.attribution == "loo_constant":
            constant = spa_kernels.loo_constant(batch.outcomes("spa_released"), batch.group_index)
            progress = constant[batch.turn_trajectory]
        else:
            progress = batch.column("progress")
        grounded = spa_kernels.with_last_grounded(batch.column("executable"), batch.is_last_turn)
        return spa_kernels.progress_reward(progress, grounded, 1.0, self.beta)

    def token_reward(self, batch: Batch) -> FloatArray:
        """float64[T]: weighted step rewards at turn ends, with the KL penalty."""
        reward = self.step_reward(batch)
        if self.weighting == "remaining_steps":
            reward = spa_kernels.remaining_steps(reward, batch.turn_index, batch.turn_counts[batch.turn_trajectory])
        token_reward = batch.at_turn_ends(reward)
        if self.kl_coef > 0.0:
            token_reward += spa_kernels.kl_penalty(batch.column("logprob"), batch.column("ref_logprob"), self.kl_coef)
        return token_reward


@register(
    "igpo_released",
    summary="IGPO's release of February 2026, with its rules for finding turns and the outcome.",
    paper="GuoqingWang1/IGPO, 2026-02-01",
    needs=("belief", "outcome"),
    population="gains and outcomes of a group, apart or jointly",
    presets={"igpo_released_joint": {"joint": True}},
)
@dataclass(frozen=True)
class IgpoReleased(Parameters):
    """As `igpo`, with ``log_prob`` gains apart from outcomes, ``std = sqrt(var0 + 1e-8) + 1e-6``, and rules of its own.

    (1) A gain of exactly 0 is written as 1e-10. (2) The outcome stands at token ``Σ mask − 1``, wrong where environment
    tokens lie inside. (3) A turn whose *standardised* reward is exactly 0 merges into the next. Curriculum weights act
    before standardising, so with ``joint=False`` they cancel. A population of one value: 0.

    Args:
        gain: ``prob`` or ``log_prob``.
        joint: One population or two.
        gamma: Discount a turn.
        norm: Scale, ddof, eps.
        outcome_weight: Curriculum weight of the outcome.
        gain_weight: Curriculum weight of the gains.
        signal: ``belief``, or ``token_reward``: gains and outcomes as they stand in that column.
    """

    gain: Gain = "log_prob"
    joint: bool = False
    gamma: Fraction = 1.0
    norm: Norm = field(default_factory=lambda: Norm(ddof=0, variance_eps=1e-8))
    outcome_weight: float = 1.0
    gain_weight: float = 1.0
    signal: Literal["belief", "token_reward"] = "belief"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        found = ig.released_advantage(
            self._token_reward(batch),
            batch.policy_mask,
            batch.token_offsets,
            batch.group_index,
            self.norm,
            self.gamma,
            joint=self.joint,
            outcome_weight=self.outcome_weight,
            gain_weight=self.gain_weight,
        )
        return Credit.from_tokens(batch, found)

    def _token_reward(self, batch: Batch) -> FloatArray:
        if self.signal == "token_reward":
            return np.asarray(batch.column("token_reward"))
        gain = information_gain(batch.column("belief"), batch.turn_offsets, self.gain)
        gain = np.where(gain == 0.0, ig.ZERO_GAIN, np.nan_to_num(gain, nan=0.0))
        outcome = batch.outcomes("igpo_released")[batch.turn_trajectory]
        return batch.at_turn_ends(np.where(batch.is_last_turn, outcome, gain))


@register(
    "igpo_2025",
    summary="IGPO's early attempt, disowned by its author; for ablations.",
    paper="GuoqingWang1/IGPO, 2025-11",
    population="trajectories of a group",
)
@dataclass(frozen=True)
class Igpo2025(Parameters):
    """``A_t = (G_t − mean_g G_0) / std_g G_0`` (``first_position``) or ``A_t = G_t − mean_g G_t`` (``position``).

    The first discounts a *token*. The second takes the group's mean at the same token index, ended siblings counted as
    0, and doesn't discount. Both read ``token_reward`` or turn rewards. Group of one: relative to its own first return.

    Args:
        baseline: Which of the two.
        gamma: Discount a token, for ``first_position``.
    """

    baseline: Literal["first_position", "position"] = "first_position"
    gamma: Fraction = 0.9

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        batch.require_tokens()
        reward, mask, offsets, group = batch.token_rewards, batch.policy_mask, batch.token_offsets, batch.group_index
        if self.baseline == "first_position":
            return Credit.from_tokens(batch, ig.early_first_position(reward, mask, offsets, group, self.gamma))
        return Credit.from_tokens(batch, ig.early_position_centred(reward, mask, offsets, group))


@register(
    "igpo_fireworks",
    summary="IGPO re-implemented by Fireworks: both signals standardised over all turns, zeros included.",
    paper="fw-ai/cookbook",
    needs=("belief", "outcome"),
    population="all turns of a group",
)
@dataclass(frozen=True)
class IgpoFireworks(Parameters):
    """``r̃_k = z(gain_k) + z(outcome_k)`` over all turns (outcome 0 before the last turn), ``Â_k = r̃_k + γ Â_{k+1}``.

    A single turn, or a standard deviation below eps: 0.

    Args:
        gain: ``prob`` or ``log_prob``.
        gamma: Discount a turn.
        eps: Smallest standard deviation that counts.
    """

    gain: Gain = "log_prob"
    gamma: Fraction = 0.95
    eps: NotNegative = 1e-6

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        gain = information_gain(batch.column("belief"), batch.turn_offsets, self.gain)
        outcome = np.where(batch.is_last_turn, batch.outcomes("igpo_fireworks")[batch.turn_trajectory], 0.0)
        scaled = ig.fireworks_turn_reward(np.nan_to_num(gain, nan=0.0), outcome, batch.turn_group, self.eps)
        return Credit.from_turns(batch, accumulate(scaled, batch.turn_offsets, self.gamma))


@register(
    "istar_released",
    summary="OPRL's released estimators: the step baseline sees only the first step of each trajectory.",
    paper="Tongyi-ConvAI/Qwen-Character, CharacterRL-iStar",
    needs=("prm_logprob", "logprob"),
    population="trajectories of a group; first steps of a group",
    presets={
        "istar_released_grpo": {"estimator": "grpo"},
        "istar_released_grpo_std": {"estimator": "grpo", "norm": Norm(singleton="raw")},
        "istar_released_reinforce_pp": {"estimator": "reinforce_pp"},
        "istar_released_combined": {"estimator": "combined"},
        "istar_released_process": {"estimator": "process"},
    },
)
@dataclass(frozen=True)
class IstarReleased(Parameters):
    """``A_k = A^E + w A^S_k``; both relative to statistics of the first step of each trajectory of the group.

    ``rloo`` (the scripts'): ``n/(n−1) (x − mean)`` for both. ``grpo``: `Norm` for both. ``reinforce_pp``: centred, then
    whitened over the batch's tokens, each. ``combined``: rloo of ``R + w r_k``. ``process``: rloo of r_k alone. A lone
    trajectory keeps its raw rewards.

    Args:
        estimator: One of the five.
        weight: w.
        beta: β of the implicit step reward.
        signal: ``implicit`` or ``process_reward``.
        norm: For ``grpo``.
        reward: The R of A^E: ``return`` or ``outcome``.
    """

    estimator: Literal["rloo", "grpo", "reinforce_pp", "combined", "process"] = "rloo"
    weight: float = 1.0
    beta: float = 0.05
    signal: Signal = "implicit"
    norm: Norm = _RAW
    reward: Source = "return"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        step = step_signal(batch, self.signal, self.beta)
        if np.isnan(step).any():
            raise CreditError(
                "istar_released: column 'process_reward' has absent rows, for which the release has no rule."
            )
        episode = episode_reward(batch, self.reward, "istar_released")[batch.turn_trajectory]
        group, first = batch.turn_group, batch.turn_index == 0
        if self.estimator == "process":
            return Credit.from_turns(batch, istar.first_row_rloo(step, group, first))
        if self.estimator == "combined":
            return Credit.from_turns(batch, istar.first_row_rloo(episode + self.weight * step, group, first))
        if self.estimator == "rloo":
            parts = [istar.first_row_rloo(x, group, first) for x in (episode, step)]
        elif self.estimator == "grpo":
            parts = [istar.first_row_centred(x, group, first, self.norm) for x in (episode, step)]
        else:
            tokens = batch.turn_tokens.astype(np.float64) if batch.n_tokens else np.ones(batch.n_turns)
            parts = [
                istar.whitened_turns(istar.first_row_centred(x, group, first, _RAW), tokens) for x in (episode, step)
            ]
        return Credit.from_turns(batch, parts[0] + self.weight * parts[1])
