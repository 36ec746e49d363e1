"""Methods with a critic over tokens: masked GAE and bi-level GAE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.errors import CreditError
from agentgym.credit.kernels.gae import Estimate, bilevel_gae, masked_gae
from agentgym.credit.kernels.normalise import whiten
from agentgym.credit.methods.common import Truncation, bootstrap
from agentgym.credit.parameters import Fraction, Parameters
from agentgym.credit.registry import register
from agentgym.credit.result import Credit
from agentgym.credit.segments import FloatArray, IntArray, segment_ids


@register(
    "gae",
    summary="Token GAE that skips the environment's tokens.",
    paper="GAE, arXiv 1506.02438; masked as in verl",
    needs=("value",),
    population="policy tokens of the batch (whitening)",
)
@dataclass(frozen=True)
class Gae(Parameters):
    """``δ_t = r_t + γ V_{t+1} − V_t``, ``A_t = δ_t + γλ A_{t+1}`` over policy tokens, whitened over the batch.

    t + 1 is the next *policy* token. Rewards are the column ``token_reward``, else turn rewards at the turn's last
    token. Exactly 0 on masked tokens (verl leaves whitened values there).

    Args:
        gamma: Discount a token.
        lam: λ.
        whiten: Zero mean and unit variance over the trained tokens.
        truncation: ``terminal`` or ``bootstrap`` (column ``bootstrap_value``).
    """

    gamma: Fraction = 1.0
    lam: Fraction = 0.95
    whiten: bool = True
    truncation: Truncation = "terminal"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        end = bootstrap(batch, self.truncation)
        value = batch.column("value")
        found = masked_gae(
            batch.token_rewards, value, batch.policy_mask, batch.token_offsets, self.gamma, self.lam, end
        )
        return _credit(batch, found, self.whiten)


@register(
    "bilevel_gae",
    summary="GAE over turns whose returns reward a GAE inside each turn.",
    paper="RAGEN (arXiv 2504.20073), VAGEN",
    needs=("value",),
    population="policy tokens of the batch (whitening)",
    presets={"bilevel_gae_released": {"boundaries": "nonzero_reward"}},
)
@dataclass(frozen=True)
class BilevelGae(Parameters):
    """``δ_k = r_k + γ_h V(e_{k+1}) − V(e_k)``, ``A_k = δ_k + γ_h λ A_{k+1}``; token GAE of ``A_k + V(e_k)`` inside.

    e_k is the last policy token of turn k. Boundaries are spans. The released code finds turns as tokens with a
    non-zero reward: a turn of reward 0 merges into the next one, and a last turn of reward 0 is an error
    (``bilevel_gae_released`` does the same). With one turn a trajectory it is token GAE.

    Args:
        gamma: Discount a token, inside a turn.
        lam: λ at both levels.
        turn_gamma: γ_h, discount a turn.
        whiten: Zero mean and unit variance over the trained tokens.
        boundaries: ``spans`` or ``nonzero_reward``.
        truncation: ``terminal`` or ``bootstrap`` (column ``bootstrap_value``).
    """

    gamma: Fraction = 1.0
    lam: Fraction = 1.0
    turn_gamma: Fraction = 0.95
    whiten: bool = True
    boundaries: Literal["spans", "nonzero_reward"] = "spans"
    truncation: Truncation = "terminal"

    def __call__(self, batch: Batch) -> Credit:
        """The credit of the batch."""
        end = bootstrap(batch, self.truncation)
        if self.boundaries == "spans":
            turns = (batch.turn_reward, batch.token_turn, batch.turn_last_token, batch.turn_offsets)
        else:
            turns = _turns_by_reward(batch)
        reward, turn_of_token, last, offsets = turns
        mask = batch.policy_mask
        found = bilevel_gae(
            reward,
            batch.column("value"),
            mask,
            turn_of_token,
            last,
            offsets,
            self.gamma,
            self.lam,
            self.turn_gamma,
            end,
        )
        return _credit(batch, found, self.whiten)


def _turns_by_reward(batch: Batch) -> tuple[FloatArray, IntArray, IntArray, IntArray]:
    """Turns as the released code finds them: each ends at a token whose reward isn't 0."""
    reward, mask = batch.token_rewards, batch.policy_mask
    is_end = (reward != 0.0) & mask
    ends = np.flatnonzero(is_end)
    of_trajectory = segment_ids(batch.token_offsets)
    open_end = mask & (np.cumsum(is_end) - is_end >= np.searchsorted(ends, batch.token_offsets[1:])[of_trajectory])
    if open_end.any():
        row = int(np.flatnonzero(open_end)[0])
        raise CreditError(
            f"bilevel_gae, trajectory {of_trajectory[row]}: the last turn's reward is 0, so the released rule finds no "
            "end for it. Use boundaries='spans'."
        )
    turn_of_token = np.where(mask, np.cumsum(is_end) - is_end, -1)
    return reward[ends], turn_of_token, ends, np.searchsorted(ends, batch.token_offsets)


def _credit(batch: Batch, found: Estimate, whitened: bool) -> Credit:
    advantage = whiten(found.advantage, batch.trained) if whitened else found.advantage
    return Credit.from_tokens(batch, advantage, found.returns)
