"""Methods with a turn signal of their own: SPA, IGPO, OPRL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.kernels.igpo import Gain, accumulate, information_gain, normalised_turn_rewards
from agentgym.credit.kernels.implicit import implicit_step_reward
from agentgym.credit.kernels.normalise import Norm, normalise
from agentgym.credit.kernels.spa import progress_reward
from agentgym.credit.methods.common import (
    Estimator,
    Source,
    against_siblings,
    episode_reward,
    token_reward_credit,
    turn_returns,
)
from agentgym.credit.parameters import Fraction, Parameters
from agentgym.credit.registry import register
from agentgym.credit.result import Credit
from agentgym.credit.segments import FloatArray

Signal = Literal["implicit", "process_reward"]
"""Where step rewards come from: log-probabilities of an implicit reward model, or the column ``process_reward``."""


@register(
    "spa",
    summary="Estimated progress plus grounding as turn reward, with the leave-one-out turn baseline (or a critic).",
    paper="SPA, arXiv 2505.20732",
    needs=("progress", "executable"),
    population="other trajectories of the group",
    presets={"spa_ppo": {"estimator": "gae"}},
)
@dataclass(frozen=True)
class Spa(Parameters):
    """``r_k = α ĉ_k + β g_k``; ``Σ_k ĉ_k`` was trained to regress on the outcome, g_k = the action was executable.

    The paper hands r_k to PPO at the turn's last token (``spa_ppo``: token GAE with the column ``value``, whitened);
    without a critic the turn's return-to-go is compared with the other trajectories', as in `turn_rloo`. ĉ may be
    negative; an episode of one turn gets all. Ungated: the signal is the paper's, also where every episode failed
    (watch ``shaping_only_groups``).

    Args:
        alpha: Weight of the progress.
        beta: Weight of the grounding.
        estimator: ``siblings`` or ``gae``.
        gamma: Discount, a turn for ``siblings``, a token for ``gae``.
        lam: λ of ``gae``.
    """

    alpha: float = 1.0
    beta: float = 0.5
    estimator: Estimator = "siblings"
    gamma: Fraction = 1.0
    lam: Fraction = 0.95

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        reward = progress_reward(batch.column("progress"), batch.column("executable"), self.alpha, self.beta)
        if self.estimator == "siblings":
            return Credit.from_turns(batch, against_siblings(batch, turn_returns(batch, reward, self.gamma)))
        return token_reward_credit(batch, batch.at_turn_ends(reward), self.estimator, self.gamma, self.lam)


@register(
    "igpo",
    summary="Gain in the belief in the accepted answer a turn, outcome at the end, standardised, then accumulated.",
    paper="IGPO, arXiv 2510.14967",
    needs=("belief", "outcome"),
    population="gains and outcomes of a group, jointly or apart",
    presets={"igpo_separate": {"joint": False}, "igpo_log_prob": {"gain": "log_prob", "joint": False}},
)
@dataclass(frozen=True)
class Igpo(Parameters):
    """``r_k = b_{k+1} − b_k`` for all turns but the last, ``r_K = outcome``; ``Â_k = z(r_k) + γ Â_{k+1}``.

    b_k is the probability (or log-probability) of the accepted answer before turn k, length-normalised. Boundaries are
    spans, so a gain of exactly 0 is a measured zero; an absent belief leaves its gains out of the population. A lone
    trajectory: its turns are compared with each other. Equal outcomes: the gains alone still give signal.

    Args:
        gain: ``prob`` (paper) or ``log_prob``.
        joint: One population of gains and outcomes, or two.
        gamma: Discount a turn, applied after normalising.
        norm: Scale, ddof, eps.
    """

    gain: Gain = "prob"
    joint: bool = True
    gamma: Fraction = 1.0
    norm: Norm = field(default_factory=lambda: Norm(ddof=0, variance_eps=1e-8))

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        gain = information_gain(batch.column("belief"), batch.turn_offsets, self.gain)
        outcome = np.where(batch.is_last_turn, batch.outcomes("igpo")[batch.turn_trajectory], np.nan)
        gain, outcome = np.where(batch.owned, gain, np.nan), np.where(batch.owned, outcome, np.nan)
        scaled = normalised_turn_rewards(gain, outcome, batch.turn_group, self.norm, joint=self.joint)
        return Credit.from_turns(batch, accumulate(scaled, batch.turn_offsets, self.gamma))


@register(
    "oprl",
    summary="Outcome advantage plus standardised implicit step rewards.",
    paper="OPRL / iStar, arXiv 2509.19199",
    needs=("outcome", "prm_logprob", "logprob"),
    population="trajectories of a group; all steps of a group",
    presets={"oprl_scored": {"signal": "process_reward"}},
)
@dataclass(frozen=True)
class Oprl(Parameters):
    """``A_k = A^E_i + α A^S_k`` with ``A^S = z(r_k)`` over all steps of the group, ``r_k = β Σ_tokens log π_φ/π_old``.

    π_φ is a policy trained with the trajectory-DPO loss on pairs of the group. A^E standardises the outcomes of the
    group's trajectories. Group of one: A^E = 0. All failed: A^E = 0, the step term remains.

    Args:
        alpha: Weight of the step term.
        beta: β of the implicit reward; the standardised term doesn't depend on it.
        signal: ``implicit`` (columns ``prm_logprob``, ``logprob``) or ``process_reward`` (that column, NaN: absent).
        episode_norm: Scale, ddof, eps of A^E.
        step_norm: The same of A^S.
        reward: The R of A^E: ``outcome`` or ``return``.
    """

    alpha: float = 1.0
    beta: float = 0.05
    signal: Signal = "implicit"
    episode_norm: Norm = field(default_factory=Norm)
    step_norm: Norm = field(default_factory=Norm)
    reward: Source = "outcome"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        step = step_signal(batch, self.signal, self.beta)
        known = batch.owned & ~np.isnan(step)
        weight = known.astype(np.float64)
        scaled = normalise(np.where(known, step, 0.0), batch.turn_group, self.step_norm, weight)
        reward = episode_reward(batch, self.reward, "oprl")
        episode = normalise(reward, batch.group_index, self.episode_norm)[batch.turn_trajectory]
        return Credit.from_turns(batch, episode + self.alpha * np.where(known, scaled, 0.0))


def step_signal(batch: Batch, signal: Signal, beta: float) -> FloatArray:
    """float64[K]: implicit step rewards, or the column ``process_reward`` as it is."""
    if signal == "process_reward":
        return np.asarray(batch.column("process_reward"))
    prm, logprob = batch.column("prm_logprob"), batch.column("logprob")
    return implicit_step_reward(prm, logprob, batch.policy_mask, batch.turn_start, batch.turn_end, beta)
