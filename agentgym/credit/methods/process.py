"""Methods on scores a step: PURE, ProRAG, RLVMR, MT-GRPO."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.kernels import pure
from agentgym.credit.kernels.mt_grpo import before_first_result, mt_grpo_advantage
from agentgym.credit.kernels.normalise import Norm, leave_one_out, normalise, whiten
from agentgym.credit.methods.common import Population, Source, episode_reward, turn_returns
from agentgym.credit.parameters import Parameters, Temperature
from agentgym.credit.registry import register
from agentgym.credit.result import Credit
from agentgym.credit.segments import FloatArray, combine


@register(
    "pure",
    summary="The episode is worth its weakest step: soft-min weighted step scores, leave-one-out, plus the outcome.",
    paper="PURE, arXiv 2504.15275",
    needs=("process_reward",),
    population="other episodes of the group",
    presets={
        "pure_logits": {"signal": "prm_logits"},
        "pure_min": {"aggregate": "min"},
        "pure_sum": {"aggregate": "sum"},
        "pure_outcome": {"outcome_weight": 1.0},
    },
)
@dataclass(frozen=True)
class Pure(Parameters):
    """``A_k = Σ_{j≥k} (r*_j − b l_j) + v (R_i − mean of others)``, ``r*_k = w_k p_k``, ``w = softmax(−p / T)``.

    b is the other episodes' mean ``r*`` a token and l_j the step's tokens (``baseline="token"``), or their mean a step.
    ``min`` takes ``min_{j≥k} p_j`` minus the others' mean of it, ``sum`` the plain scores. Scores p lie in [−1, 1];
    absent ones (NaN) count for nothing. Group of one: 0.

    Args:
        aggregate: ``softmin``, ``min`` or ``sum``.
        temperature: T of ``softmin``.
        baseline: ``token`` or ``step``.
        outcome_weight: v; above 0 the method needs outcomes.
        signal: ``process_reward``, or ``prm_logits``: two logits a step, p is the difference of their probabilities.
    """

    aggregate: Literal["softmin", "min", "sum"] = "softmin"
    temperature: Temperature = 0.1
    baseline: pure.Baseline = "token"
    outcome_weight: float = 0.0
    signal: Literal["process_reward", "prm_logits"] = "process_reward"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        advantage = self._process(batch)
        if self.outcome_weight != 0.0:
            outcome = batch.outcomes("pure")
            advantage += (
                self.outcome_weight * (outcome - leave_one_out(outcome, batch.group_index))[batch.turn_trajectory]
            )
        return Credit.from_turns(batch, advantage)

    def _process(self, batch: Batch) -> FloatArray:
        score, offsets = self._scores(batch), batch.turn_offsets
        known = np.flatnonzero(~np.isnan(score))
        kept = np.searchsorted(known, offsets)
        if self.aggregate == "min":
            return pure.weakest_step_to_go(score, offsets, batch.group_index)
        reward = np.zeros(batch.n_turns)
        if self.aggregate == "softmin":
            some = np.unique(kept)
            reward[known] = pure.softmin_weighted(score[known], some, self.temperature)
        else:
            reward[known] = score[known]
        length = batch.turn_tokens.astype(np.float64) if batch.n_tokens else np.ones(batch.n_turns)
        centred = pure.centred_steps(reward, length, offsets, batch.group_index, self.baseline)
        return turn_returns(batch, centred, 1.0)

    def _scores(self, batch: Batch) -> FloatArray:
        if self.signal == "prm_logits":
            return pure.score_from_logits(batch.column("prm_logits"))
        return np.asarray(batch.column("process_reward"))


@register(
    "pure_released",
    summary="PURE's verl branch: token returns as suffix sum or strict suffix minimum, padding-dependent baseline.",
    paper="CJReinforce/PURE, branch verl",
    population="other episodes of the group; policy tokens of the batch (whitening)",
    presets={"pure_released_sum": {"aggregate": "sum"}},
)
@dataclass(frozen=True)
class PureReleased(Parameters):
    """``A_t = whiten(G_t − Σ_{j≠i} Σ_s G_{j,s} / ((n−1) L))`` with G the suffix minimum (or sum) of token rewards.

    The minimum includes tokens without a reward, so a later 0 caps every positive one. L is the padded length of the
    batch. Group of one: 0 (0/0 in the release).

    Args:
        aggregate: ``min`` or ``sum``.
        whiten: Zero mean and unit variance over the trained tokens.
        padded_length: L; 0 takes the longest trajectory.
    """

    aggregate: Literal["min", "sum"] = "min"
    whiten: bool = True
    padded_length: int = 0

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        return Credit.from_tokens(batch, self._whitened(batch, self.advantage(batch)))

    def _whitened(self, batch: Batch, advantage: FloatArray) -> FloatArray:
        return whiten(advantage, batch.trained) if self.whiten else advantage

    def advantage(self, batch: Batch) -> FloatArray:
        """float64[T]: before whitening, which the release also calls its returns."""
        padded = self.padded_length or int(np.diff(batch.token_offsets).max(initial=1))
        mask, offsets = batch.policy_mask, batch.token_offsets
        return pure.released_token_advantage(
            batch.token_rewards, mask, offsets, batch.group_index, self.aggregate, padded
        )


@register(
    "prorag",
    summary="Outcome advantage plus step scores standardised inside the group.",
    paper="ProRAG",
    needs=("process_reward", "outcome"),
    population="trajectories of a group; steps (or their tokens) of a group",
    presets={"prorag_released": {"population": "token"}},
)
@dataclass(frozen=True)
class ProRag(Parameters):
    """``A_k = z(R_i) + β (s_k − μ) / sqrt(var + 1e-8)`` with μ and var over the group's steps.

    The release takes them over tokens, so long steps dominate (``prorag_released``). Equal scores: exactly 0 (rounding
    noise of about 3e-4 in the release). Absent scores (NaN) are in no population and add 0. A lone trajectory:
    z(R) is 0, its steps are compared with each other.

    Args:
        beta: β.
        population: ``step`` or ``token``.
        outcome_norm: Of R.
        step_norm: Of s.
        reward: The R: ``outcome`` or ``return``.
    """

    beta: float = 0.5
    population: Literal["step", "token"] = "step"
    outcome_norm: Norm = field(default_factory=lambda: Norm(eps=1e-4))
    step_norm: Norm = field(default_factory=lambda: Norm(ddof=0, eps=0.0, variance_eps=1e-8))
    reward: Source = "outcome"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        outcome = normalise(episode_reward(batch, self.reward, "prorag"), batch.group_index, self.outcome_norm)
        return Credit.from_turns(batch, outcome[batch.turn_trajectory] + self.beta * self.step_advantage(batch))

    def step_advantage(self, batch: Batch) -> FloatArray:
        """float64[K]: the standardised step scores, without β."""
        score = batch.column("process_reward")
        known = ~np.isnan(score)
        by_token = self.population == "token" and batch.n_tokens > 0
        weight = np.where(known & batch.owned, batch.turn_tokens if by_token else 1, 0).astype(np.float64)
        return np.where(known, normalise(np.where(known, score, 0.0), batch.turn_group, self.step_norm, weight), 0.0)


@register(
    "rlvmr",
    summary="Outcome advantage mixed with meta-reasoning rewards compared among turns of the same tag.",
    paper="RLVMR, arXiv 2507.22844",
    needs=("process_reward", "tag"),
    population="trajectories of a group; turns of the same tag in a group",
    presets={
        "rlvmr_released": {
            "episode_weight": 1.0,
            "step_weight": 0.5,
            "population": "turn",
            "episode_norm": Norm(singleton="raw"),
            "step_norm": Norm(singleton="raw"),
        }
    },
)
@dataclass(frozen=True)
class Rlvmr(Parameters):
    """``A_k = α z(R_i) + (1 − α) z(m_k)``; m_k is compared with turns of the group that carry the same tag.

    The release adds ``w z(m_k)`` to ``z(R_i)``, takes the episode's statistics over turns and leaves lone values raw
    (``rlvmr_released``). `agentgym.rules` has the tag rewards m. A lone trajectory: z(R) is 0. A tag
    used once: 0.

    Args:
        episode_weight: α.
        step_weight: 1 − α.
        population: Of the episode term: ``trajectory`` or ``turn``.
        episode_norm: Of R.
        step_norm: Of m.
        reward: The R: ``return`` or ``outcome``.
    """

    episode_weight: float = 0.5
    step_weight: float = 0.5
    population: Population = "trajectory"
    episode_norm: Norm = field(default_factory=Norm)
    step_norm: Norm = field(default_factory=Norm)
    reward: Source = "outcome"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        owned = batch.owned.astype(np.float64)
        step = batch.column("process_reward", whole=True)
        tag = combine(batch.turn_group, batch.codes("tag"))
        reward = episode_reward(batch, self.reward, "rlvmr")
        if self.population == "trajectory":
            episode = normalise(reward, batch.group_index, self.episode_norm)[batch.turn_trajectory]
        else:
            episode = normalise(reward[batch.turn_trajectory], batch.turn_group, self.episode_norm, owned)
        scaled = normalise(step, tag, self.step_norm, owned)
        return Credit.from_turns(batch, self.episode_weight * episode + self.step_weight * scaled)


@register(
    "mt_grpo",
    summary="Outcome advantage everywhere, plus the turn reward's before the first tool result.",
    paper="Multi-turn credit assignment, arXiv 2505.11821",
    needs=("process_reward", "tool_result", "outcome"),
    population="trajectories of a group",
    presets={"mt_grpo_released": {"no_result": "combined"}},
)
@dataclass(frozen=True)
class MtGrpo(Parameters):
    """``A_k = A_O + λ A_T`` up to the turn that the first tool result answers, ``A_O`` after; A are group z-scores.

    The turn reward of a trajectory is the sum of its ``process_reward`` (NaN: none). A trajectory that never got a
    result is all "before"; the release gives it the z-score of the summed rewards, on another scale
    (``mt_grpo_released``). Group of one: 0 (NaN in the release).

    Args:
        weight: λ.
        no_result: ``before`` or ``combined``.
        norm: Scale, ddof, eps.
        reward: Of the outcome: ``outcome`` or ``return``.
    """

    weight: float = 1.0
    no_result: Literal["before", "combined"] = "before"
    norm: Norm = field(default_factory=lambda: Norm(eps=1e-4))
    reward: Source = "outcome"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        score = np.nan_to_num(batch.column("process_reward"), nan=0.0)
        turn = np.bincount(batch.turn_trajectory, weights=score, minlength=batch.n_trajectories).astype(np.float64)
        reward = episode_reward(batch, self.reward, "mt_grpo")
        a_turn, a_outcome = (normalise(x, batch.group_index, self.norm) for x in (turn, reward))
        if self.no_result == "combined":
            rest = normalise(turn + reward, batch.group_index, self.norm)
        else:
            rest = a_outcome + self.weight * a_turn
        before, got = before_first_result(batch.column("tool_result"), batch.turn_offsets, batch.turn_trajectory)
        own = batch.turn_trajectory
        return Credit.from_turns(batch, mt_grpo_advantage(a_turn, a_outcome, rest, before, got, own, self.weight))
