"""The turn baselines that the documentation recommends, GiGPO, and turn-level GAE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.kernels.anchors import anchor_advantage, similarity_codes
from agentgym.credit.kernels.baselines import anchored_baseline
from agentgym.credit.kernels.gae import gae
from agentgym.credit.kernels.normalise import CENTRE, Norm, normalise, whiten
from agentgym.credit.methods.common import (
    Anchor,
    Population,
    Source,
    Truncation,
    against_siblings,
    bootstrap,
    episode_reward,
    turn_returns,
)
from agentgym.credit.parameters import Fraction, Parameters
from agentgym.credit.registry import register
from agentgym.credit.result import Credit
from agentgym.credit.segments import FloatArray, IntArray, combine


@register(
    "turn_rloo",
    summary="Return-to-go minus the other trajectories' return-to-go at the same turn, finished ones counted as 0.",
    paper="leave-one-out (arXiv 2402.14740) a turn; unbiased when the policy decides when to stop",
    population="other trajectories of the group",
)
@dataclass(frozen=True)
class TurnRloo(Parameters):
    """``A_{i,t} = G_{i,t} − 1/(n−1) Σ_{j≠i} G_{j,t}``, ``G_{i,t} = Σ_{s≥t} γ^{s−t} r_{i,s}``, 0 once j has finished.

    The baseline never looks at the trajectory itself, so it can't reward stopping early or late. Group of one: 0. A
    group in which nothing was earned: 0. In a tree, inherited turns aren't in the baseline.

    Args:
        gamma: Discount a turn.
    """

    gamma: Fraction = 1.0

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        return Credit.from_turns(batch, against_siblings(batch, turn_returns(batch, batch.turn_reward, self.gamma)))


@register(
    "anchored_rloo",
    summary="Return-to-go minus that of the other trajectories at the same state; turn_rloo where nobody else was.",
    paper="GiGPO's anchors (arXiv 2505.10978) with a leave-one-out baseline",
    needs=("anchor",),
    population="other trajectories' visits to the state",
)
@dataclass(frozen=True)
class AnchoredRloo(Parameters):
    """``A_k = G_k − mean of G over the other trajectories' visits to the state``, else `turn_rloo`'s baseline.

    Visits of the trajectory itself are left out, since a later visit depends on the action being judged.

    Args:
        gamma: Discount a turn.
    """

    gamma: Fraction = 1.0

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        to_go = turn_returns(batch, batch.turn_reward, self.gamma)
        fallback = to_go - against_siblings(batch, to_go)
        anchor = anchor_codes(batch)
        baseline = anchored_baseline(to_go, anchor, batch.turn_trajectory, batch.owned, fallback)
        return Credit.from_turns(batch, to_go - baseline)


@register(
    "gigpo",
    summary="Episode advantage plus the advantage among turns that begin in the same state.",
    paper="GiGPO, arXiv 2505.10978",
    needs=("anchor",),
    population="trajectories of a group; turns of an anchor state",
    presets={
        "gigpo_std": {"episode_norm": Norm(), "step_norm": Norm()},
        "gigpo_released": {"population": "turn", "episode_norm": Norm(scale="none", singleton="raw")},
        "gigpo_released_std": {"population": "turn", "episode_norm": Norm(singleton="raw"), "step_norm": Norm()},
        "gigpo_similar": {"anchor": "similarity"},
    },
)
@dataclass(frozen=True)
class Gigpo(Parameters):
    """``A_k = A^E_i + ω A^S_k``: the trajectory among its group, the turn among turns in the same state.

    ``A^E = (R_i − mean) / F`` over trajectories (equation 3); ``A^S = (G_k − mean) / F`` over the turns of the group
    that begin in the same state, with ``G_k = r_k + γ G_{k+1}``. F is 1 or the standard deviation (`Norm.scale`). A
    state that only one turn visited gives A^S = 0, so unique states give GRPO. Group of one: A^E = 0. The released
    code takes A^E's mean over turns, which weighs long episodes more, and keeps a lone raw reward
    (``gigpo_released``); its penalty for invalid actions is a cost component here.

    Args:
        omega: Weight of A^S.
        gamma: Discount of the step returns.
        population: What A^E's statistics run over: ``trajectory`` or ``turn``.
        episode_norm: F of A^E.
        step_norm: F of A^S.
        reward: The R of A^E: ``return`` or ``outcome``.
        anchor: States are equal by ``key`` (column ``anchor``) or by ``similarity`` (column ``observation``).
        similarity: Smallest ratio for ``similarity``.
    """

    omega: float = 1.0
    gamma: Fraction = 0.95
    population: Population = "trajectory"
    episode_norm: Norm = CENTRE
    step_norm: Norm = CENTRE
    reward: Source = "return"
    anchor: Anchor = "key"
    similarity: Fraction = 0.95

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        owned = batch.owned.astype(np.float64)
        to_go = turn_returns(batch, batch.turn_reward, self.gamma)
        step = anchor_advantage(to_go, anchor_codes(batch, self.anchor, self.similarity), self.step_norm, owned)
        return Credit.from_turns(batch, self._episode(batch, owned) + self.omega * step)

    def _episode(self, batch: Batch, owned: FloatArray) -> FloatArray:
        reward = episode_reward(batch, self.reward, "gigpo")
        if self.population == "trajectory":
            return normalise(reward, batch.group_index, self.episode_norm)[batch.turn_trajectory]
        return normalise(reward[batch.turn_trajectory], batch.turn_group, self.episode_norm, owned)


def anchor_codes(batch: Batch, anchor: Anchor = "key", similarity: float = 1.0) -> IntArray:
    """int64[K]: code of (group, state) of every turn."""
    if anchor == "key":
        return combine(batch.turn_group, batch.codes("anchor"))
    texts = [str(text) for text in batch.column("observation")]
    return similarity_codes(texts, batch.turn_group.tolist(), similarity)


@register(
    "turn_gae",
    summary="GAE with the turn as the step in time.",
    paper="GAE (arXiv 1506.02438) a turn",
    needs=("turn_value",),
    population="turns of the batch (whitening)",
)
@dataclass(frozen=True)
class TurnGae(Parameters):
    """``δ_k = r_k + γ V_{k+1} − V_k``, ``A_k = δ_k + γλ A_{k+1}``, whitened over the turns of the batch.

    Boundaries are spans: a turn with reward 0 is a turn. Group of one: works, no group is used. The critic's target
    for turn k, ``A_k + V_k`` before whitening, stands at every token of the turn.

    Args:
        gamma: Discount a turn.
        lam: λ.
        whiten: Zero mean and unit variance over the owned turns.
        truncation: ``terminal`` (nothing follows) or ``bootstrap`` (column ``bootstrap_value``).
    """

    gamma: Fraction = 1.0
    lam: Fraction = 0.95
    whiten: bool = True
    truncation: Truncation = "terminal"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        end = bootstrap(batch, self.truncation)
        found = gae(batch.turn_reward, batch.column("turn_value"), batch.turn_offsets, self.gamma, self.lam, end)
        advantage = whiten(found.advantage, batch.owned) if self.whiten else found.advantage
        credit = Credit.from_turns(batch, advantage)
        return Credit(credit.token, credit.turn, credit.trajectory, batch.over_turns(found.returns), credit.diagnostics)
