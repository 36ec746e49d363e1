"""Implicit process rewards: how much likelier a reward model, itself a policy, finds what was written.

``r_k = β Σ_{tokens of turn k} log π_φ / π_old`` (OPRL, also iStar, https://arxiv.org/abs/2509.19199). π_φ is trained on
whole episodes: with a DPO loss on pairs of a success and a failure of the same task (OPRL), or by classifying successes
(PRIME, https://arxiv.org/abs/2502.01456). In the released OPRL code no gradient reaches π_φ; here it does, and a test
says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from agentgym.core.errors import ConfigError
from agentgym.credit import Batch
from agentgym.training.logprobs import Rows, batch_logprobs, split_rows, token_logprobs

PrmLoss = Literal["dpo", "ce"]
Pool = Literal["sum", "mean"]


def trajectory_scores(
    token_log_ratio_M: Tensor, trajectory_M: Tensor, turns_N: Tensor, beta: float, pool: Pool = "sum"
) -> Tensor:
    """Q [N] of each episode: ``β Σ_tokens log π_φ/π_old``.

    Args:
        token_log_ratio_M: Of the tokens.
        trajectory_M: int64, their episodes.
        turns_N: How many turns each episode has.
        beta: Of the implicit reward.
        pool: ``sum`` over turns (paper), or their ``mean`` (released code).
    """
    total = beta * token_log_ratio_M.new_zeros(len(turns_N)).index_add(0, trajectory_M, token_log_ratio_M)
    return total if pool == "sum" else total / turns_N.clamp(min=1)


def success_pairs(group_N: Tensor, success_N: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of every (success, failure) pair within a group."""
    pairs = (group_N[:, None] == group_N) & success_N[:, None] & ~success_N
    better, worse = pairs.nonzero(as_tuple=True)
    return better, worse


def trajectory_dpo_loss(score_N: Tensor, group_N: Tensor, success_N: Tensor) -> Tensor:
    """``mean over pairs of −log σ(Q⁺ − Q⁻)``; all pairs of a success and a failure of one group.

    Args:
        score_N: Q of each episode.
        group_N: int64.
        success_N: bool.

    Returns:
        0 without gradient information where no group has both.
    """
    better, worse = success_pairs(group_N, success_N)
    if not len(better):
        return score_N.sum() * 0.0
    return -functional.logsigmoid(score_N[better] - score_N[worse]).mean()


def classification_loss(score_N: Tensor, success_N: Tensor) -> Tensor:
    """PRIME's cross-entropy: ``BCE(σ(Q), success)``, mean over episodes."""
    return functional.binary_cross_entropy_with_logits(score_N, success_N.to(score_N.dtype))


def detached_dpo_loss(
    score_N: Tensor,
    success_N: Tensor,
    other_score_N_M: Tensor,
    other_success_N_M: Tensor,
    weighting: Literal["none", "best_of_n_success", "best_of_n_score"] = "none",
) -> Tensor:
    """PRIME's DPO against fixed scores: ``−log σ(±(Q_i − mean Q of the episodes that ended the other way))``.

    The sign is + for a success. Nobody ended the other way: compared with 0. ``weighting`` "none" takes the mean; the
    others weigh episode i by ``M F_i^{M−1}``, the density of the best of M, F_i being the share of the M that are no
    better by success or by score, and take the sum.

    Args:
        score_N: Q of each episode.
        success_N: Its success, 0 or 1.
        other_score_N_M: Q of the M samples of the same task, no gradient.
        other_success_N_M: Their success.
        weighting: As above.
    """
    others = other_score_N_M.detach()
    succeeded = success_N[:, None] > 0
    opposite = torch.where(succeeded, other_success_N_M < success_N[:, None], other_success_N_M > success_N[:, None])
    count = opposite.sum(-1)
    compared = (others * opposite).sum(-1) / count.clamp(min=1)
    sign = torch.where(success_N > 0, 1.0, -1.0)
    loss = -functional.logsigmoid(sign * (score_N - compared))
    if weighting == "none":
        return loss.mean()
    if weighting == "best_of_n_success":
        no_better = other_success_N_M <= success_N[:, None]
    elif weighting == "best_of_n_score":
        no_better = others <= score_N.detach()[:, None]
    else:
        raise ConfigError(f"weighting must be none, best_of_n_success or best_of_n_score, got {weighting!r}.")
    samples = others.shape[-1]
    weight = samples * no_better.float().mean(-1).pow(samples - 1)
    return (loss * weight).sum()


class ImplicitPrmScorer:
    """Trains π_φ on episodes and fills in the column ``prm_logprob``. A `Scorer`.

    The credit method takes the ratio to the column ``logprob``, the policy that wrote the episodes.

    Args:
        model: π_φ, usually a copy of the policy after its warm start.
        loss: ``dpo`` (OPRL) or ``ce`` (PRIME).
        beta: Of the implicit reward.
        pool: How turns make the score of an episode, see ``trajectory_scores``.
        lr: Of AdamW.
        success_above: An episode is a success when its outcome is above this.
        grad_clip: Largest norm of a step's gradient.
        temperature: Of the sampling.
        max_tokens: Padded tokens of one forward pass.
    """

    def __init__(
        self,
        model: Any,
        *,
        loss: PrmLoss = "dpo",
        beta: float = 0.05,
        pool: Pool = "sum",
        lr: float = 1e-4,
        success_above: float = 0.5,
        grad_clip: float = 10.0,
        temperature: float = 1.0,
        max_tokens: int = 16_384,
    ) -> None:
        if loss not in ("dpo", "ce"):
            raise ConfigError(f"The loss of an implicit reward model must be 'dpo' or 'ce', got {loss!r}.")
        self.model = model
        if pool not in ("sum", "mean"):
            raise ConfigError(f"pool must be 'sum' (paper) or 'mean' (released code), got {pool!r}.")
        self.loss, self.beta, self.success_above, self.grad_clip = loss, beta, success_above, grad_clip
        self.pool: Pool = pool
        self.temperature, self.max_tokens = temperature, max_tokens
        self._device: torch.device = next(model.parameters()).device
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, npt.NDArray[np.generic]]:
        """``prm_logprob`` of every policy token. ``model`` isn't used."""
        self.model.eval()
        found = batch_logprobs(
            self.model, batch, temperature=self.temperature, max_tokens=self.max_tokens, device=self._device
        )
        return {"prm_logprob": found}

    def fit(self, batch: Batch) -> dict[str, float]:
        """One step on all episodes. Returns the loss before it and the number of pairs; {} with nothing to learn.

        The loss compares episodes with each other, so scores are computed without gradient first; each piece of the
        batch is then run again with the derivative of the loss by its scores. Exact, in the memory of one piece.
        """
        group = torch.as_tensor(batch.group_index, device=self._device)
        known = torch.as_tensor(~np.isnan(batch.outcome), device=self._device)
        success = torch.as_tensor(np.nan_to_num(batch.outcome) > self.success_above, device=self._device)
        pairs = len(success_pairs(group[known], success[known])[0])
        if not bool(known.any()) or (self.loss == "dpo" and not pairs):
            return {}
        self.model.train()
        pieces = split_rows(batch, batch.policy_mask, max_tokens=self.max_tokens, device=self._device)
        with torch.no_grad():
            score = sum((self._scores(batch, rows) for rows in pieces), torch.zeros(len(group), device=self._device))
        score.requires_grad_()
        if self.loss == "dpo":
            loss = trajectory_dpo_loss(score[known], group[known], success[known])
        else:
            loss = classification_loss(score[known], success[known])
        (slope,) = torch.autograd.grad(loss, score)
        self._optimizer.zero_grad(set_to_none=True)
        for rows in pieces:
            torch.autograd.backward((self._scores(batch, rows) * slope).sum())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self._optimizer.step()
        self.model.eval()
        return {"prm_loss": loss.item(), "prm_pairs": float(pairs)}

    def _scores(self, batch: Batch, rows: Rows) -> Tensor:
        """float32 [N]: Q of the episodes in ``rows``, 0 elsewhere."""
        recorded = torch.as_tensor(batch.column("logprob")[rows.index], dtype=torch.float32, device=self._device)
        ratio = token_logprobs(self.model, rows, temperature=self.temperature).logprob - recorded
        trajectory = torch.as_tensor(batch.token_trajectory[rows.index], device=self._device)
        turns = torch.as_tensor(batch.turn_counts, device=self._device)
        return trajectory_scores(ratio, trajectory, turns, self.beta, self.pool)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next ``fit`` depends on."""
        return {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state_dict`` was taken."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
