"""Methods on trees of samples: PORTool on forked rollouts, TEMPO on shared prefixes or shared states."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.kernels import tempo
from agentgym.credit.kernels.normalise import CENTRE, Norm, deviation, group_mean, normalise
from agentgym.credit.kernels.tree import fork_relative, node_of_turn, step_reward
from agentgym.credit.methods.common import Source, episode_reward
from agentgym.credit.methods.turns import anchor_codes
from agentgym.credit.parameters import Fraction, Parameters
from agentgym.credit.registry import register
from agentgym.credit.result import Credit
from agentgym.credit.segments import FloatArray


@register(
    "portool",
    summary="Fork-relative plus trajectory-relative advantages of steps of a rollout tree.",
    paper="PORTool, arXiv 2510.26020",
    population="siblings at a fork; trajectories of a group",
)
@dataclass(frozen=True)
class PorTool(Parameters):
    """``A_s = w_t · mean over trajectories through s of z(R_i) + w_f (R(s) − mean over its siblings)``.

    ``R(s) = mean over trajectories through s of γ^{turns after s} R_i + format``; a shared step has one value. Siblings
    are steps played from the same point: the fork's branches, and the first turns of a group. Without siblings: 0. No
    code was found; weights and centring are choices. Forks come from ``parent`` and ``fork_turn``.

    Args:
        trajectory_weight: w_t.
        fork_weight: w_f.
        gamma: γ.
        format_weight: Weight of the column ``format_reward``; not read at 0.
        norm: Of R.
        fork_norm: Of R(s) among siblings.
        reward: The R: ``outcome`` or ``return``.
    """

    trajectory_weight: float = 1.0
    fork_weight: float = 1.0
    gamma: Fraction = 0.95
    format_weight: float = 0.0
    norm: Norm = field(default_factory=Norm)
    fork_norm: Norm = CENTRE
    reward: Source = "outcome"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        own, index = batch.turn_trajectory, batch.turn_index
        node = node_of_turn(batch.owned, batch.parent, batch.turn_offsets, own, index)
        reward = episode_reward(batch, self.reward, "portool")
        distance = batch.turn_counts[own] - 1 - index
        value = step_reward(reward, distance, node, own, self.gamma)
        if self.format_weight != 0.0:
            value = value + self.format_weight * batch.column("format_reward")[node]
        relative = group_mean(normalise(reward, batch.group_index, self.norm)[own], node)[node]
        fork = fork_relative(value, node, batch.owned, index, batch.turn_group, self.fork_norm)
        return Credit.from_turns(batch, self.trajectory_weight * relative + self.fork_weight * fork)


@register(
    "tempo",
    summary="GRPO plus temporal differences where sampled token sequences part.",
    paper="TEMPO, arXiv 2509.18314",
    needs=("token_id",),
    population="responses of a group that share a prefix",
)
@dataclass(frozen=True)
class Tempo(Parameters):
    """``A_t = (R_i − mean_g R + V(s_{t+1}) − V(s_t)) / (std_g R + eps)``, V(prefix) = mean R of the responses with it.

    The difference is 0 except at tokens where responses that share at least one policy token part; so without shared
    prefixes it is GRPO. Group of one: 0. The place of the division is from memory of the paper; no code was found.

    Args:
        reward: ``return`` or ``outcome``.
        norm: Scale, ddof, eps, applied to both terms.
    """

    reward: Source = "return"
    norm: Norm = field(default_factory=Norm)

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        reward = episode_reward(batch, self.reward, "tempo")
        tokens, mask = batch.column("token_id"), batch.policy_mask
        td = tempo.prefix_tree_td(tokens, mask, batch.token_offsets, batch.group_index, reward)
        base = normalise(reward, batch.group_index, self.norm)
        lengths = np.diff(batch.token_offsets)
        scale = _scale(reward, base, batch)
        return Credit.from_tokens(batch, np.repeat(base, lengths) + td * np.repeat(scale, lengths))


@register(
    "tempo_turns",
    summary="GRPO plus temporal differences between states that several trajectories visit.",
    paper="TEMPO (arXiv 2509.18314) with states as in GiGPO",
    needs=("anchor",),
    population="trajectories of a group that visit a state",
)
@dataclass(frozen=True)
class TempoTurns(Parameters):
    """``A_k = (R_i − mean_g R + V(s_{k+1}) − V(s_k)) / (std_g R + eps)``, V(state) = mean R of its visitors.

    After the last turn V is the trajectory's own reward. First turns have no difference: the state there is the task,
    whose value the group-relative term already subtracts. Unique states: GRPO. Group of one: 0.

    Args:
        reward: ``return`` or ``outcome``.
        norm: Scale, ddof, eps, applied to both terms.
    """

    reward: Source = "return"
    norm: Norm = field(default_factory=Norm)

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        reward = episode_reward(batch, self.reward, "tempo_turns")
        anchor = anchor_codes(batch)
        td = tempo.anchored_td(anchor, reward, batch.owned, batch.turn_offsets, batch.turn_trajectory)
        base = normalise(reward, batch.group_index, self.norm)
        scale = _scale(reward, base, batch)
        return Credit.from_turns(batch, base[batch.turn_trajectory] + td * scale[batch.turn_trajectory])


def _scale(reward: FloatArray, scaled: FloatArray, batch: Batch) -> FloatArray:
    """float64[N]: what `normalise` multiplied the deviations of the group by; 0 in a group of equal rewards."""
    spread = np.bincount(batch.group_index, np.abs(deviation(reward, batch.group_index)), batch.n_groups)
    total = np.bincount(batch.group_index, np.abs(scaled), batch.n_groups)
    factor = np.divide(total, spread, out=np.zeros(len(spread)), where=spread > 0)
    return factor[batch.group_index]
