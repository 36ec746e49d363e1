"""SPA's progress estimator: how much each turn contributed to the outcome (https://arxiv.org/abs/2505.20732).

A language model with one more linear layer over its vocabulary logits, read at the last token of each turn, gives ĉ_k;
it is trained so that ``Σ_k ĉ_k`` is the outcome of the episode. The released training data script then overwrites ĉ_k
with one number an episode; here the estimates themselves come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from agentgym.credit import Batch
from agentgym.training.logprobs import Rows, logits_at, split_rows


class ProgressEstimator(nn.Module):
    """``ĉ = w · logits + b`` at given tokens. All weights of the language model are trained with it.

    Args:
        backbone: A causal language model, usually a copy of the policy after its warm start.
        seed: Of the new layer's initial weights.
    """

    def __init__(self, backbone: Any, seed: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        weight = backbone.get_output_embeddings().weight
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(weight.shape[0], 1)
        self.head.to(device=weight.device, dtype=weight.dtype)

    def forward(self, ids_B_L: Tensor, places_B_L: Tensor) -> Tensor:
        """ĉ [M] at the M True places (bool [B, L]), in float32."""
        return contributions(logits_at(self.backbone, ids_B_L, places_B_L), self.head)


def contributions(logits_M_V: Tensor, head: nn.Linear) -> Tensor:
    """``ĉ = head(logits)``, float32 [M]. Neither sign nor size is bounded."""
    found: Tensor = head(logits_M_V).squeeze(-1)
    return found.float()


def predicted_totals(contribution_K: Tensor, trajectory_K: Tensor, count: int) -> Tensor:
    """``Σ_k ĉ_k`` of each of ``count`` episodes; 0 for one without turns."""
    return contribution_K.new_zeros(count).index_add(0, trajectory_K, contribution_K)


def progress_loss(contribution_K: Tensor, trajectory_K: Tensor, outcome_N: Tensor) -> Tensor:
    """Mean over episodes of ``(Σ_k ĉ_k − R)²``.

    Args:
        contribution_K: ĉ of each turn.
        trajectory_K: int64, episode of each turn.
        outcome_N: R of each episode.
    """
    return (predicted_totals(contribution_K, trajectory_K, len(outcome_N)) - outcome_N).square().mean()


class ProgressScorer:
    """Trains a progress estimator on episodes and fills in the column ``progress``. A `Scorer`.

    Args:
        estimator: What is trained.
        lr: Of AdamW (the paper's 3e-6 is for a model of 3B parameters).
        weight_decay: Of AdamW.
        batch_size: Episodes of one step.
        max_tokens: Padded tokens of one forward pass.
        seed: Of the order of episodes.
    """

    def __init__(
        self,
        estimator: ProgressEstimator,
        *,
        lr: float = 1e-4,
        weight_decay: float = 0.01,
        batch_size: int = 32,
        max_tokens: int = 16_384,
        seed: int = 0,
    ) -> None:
        self.estimator = estimator
        self.batch_size, self.max_tokens = batch_size, max_tokens
        self._device: torch.device = estimator.head.weight.device
        self._optimizer = torch.optim.AdamW(estimator.parameters(), lr=lr, weight_decay=weight_decay)
        self._rng = np.random.default_rng(seed)

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, npt.NDArray[np.generic]]:
        """``progress``: ĉ of every turn, 0 for a turn without policy tokens. ``model`` isn't used."""
        progress = np.zeros(batch.n_turns)
        self.estimator.eval()
        with torch.no_grad():
            for rows in self._split(batch, None):
                progress[batch.token_turn[rows.index]] = self.estimator(rows.ids, rows.mask).double().cpu().numpy()
        return {"progress": progress}

    def fit(self, batch: Batch) -> dict[str, float]:
        """One pass over the episodes with a known outcome. Returns the mean loss before each step."""
        known = np.flatnonzero(~np.isnan(batch.outcome))
        self.estimator.train()
        losses = [self._step(batch, chosen) for chosen in _chunks(self._rng.permutation(known), self.batch_size)]
        self.estimator.eval()
        return {"progress_loss": float(np.mean(losses))} if losses else {}

    def _step(self, batch: Batch, chosen: npt.NDArray[np.int64]) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for rows in self._split(batch, chosen):
            here = batch.token_trajectory[rows.index]
            trajectories, position = np.unique(here, return_inverse=True)
            outcome = torch.as_tensor(batch.outcome[trajectories], dtype=torch.float32, device=self._device)
            found = self.estimator(rows.ids, rows.mask)
            loss = progress_loss(found, torch.as_tensor(position, device=self._device), outcome)
            share = loss * (len(trajectories) / len(chosen))
            torch.autograd.backward(share)
            total += share.item()
        self._optimizer.step()
        return total

    def _split(self, batch: Batch, trajectories: npt.NDArray[np.int64] | None) -> list[Rows]:
        ends = np.zeros(batch.n_tokens, dtype=np.bool_)
        last = batch.turn_last_token[batch.turn_tokens > 0]
        ends[last] = True
        if trajectories is not None:
            asked = np.unique(batch.token_trajectory[last])
            trajectories = np.intersect1d(trajectories, asked)
        return split_rows(batch, ends, max_tokens=self.max_tokens, device=self._device, trajectories=trajectories)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next ``fit`` depends on."""
        return {
            "estimator": self.estimator.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state_dict`` was taken."""
        self.estimator.load_state_dict(state["estimator"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._rng.bit_generator.state = state["rng"]


def _chunks(order: npt.NDArray[np.int64], size: int) -> list[npt.NDArray[np.int64]]:
    return [order[begin : begin + size] for begin in range(0, len(order), size)]
