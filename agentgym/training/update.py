"""Optimizer steps: supervised ones on given tokens, and policy-gradient ones on advantages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agentgym.credit import Batch, Credit
from agentgym.training.config import RLSection
from agentgym.training.correction import OLD, WEIGHT
from agentgym.training.logprobs import Rows, split_rows, token_logprobs
from agentgym.training.losses import KL_ESTIMATORS, TokenLoss, aggregate, cispo_loss, gspo_loss, masked_mean, ppo_loss

Metrics = dict[str, float]


class Optimizer(Protocol):
    """What a step needs of an optimizer."""

    def step(self) -> object:
        """Changes the parameters."""
        ...

    def zero_grad(self, set_to_none: bool = ...) -> None:
        """Clears the gradients."""
        ...


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 on a GPU, full precision on a CPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def supervised_step(
    model: Any,
    optimizer: Optimizer,
    batch: Batch,
    *,
    max_tokens: int,
    max_grad_norm: float,
    observation_weight: float = 0.0,
) -> Metrics:
    """One step of cross-entropy: mean over the policy's tokens, plus a weighted mean over the environment's.

    Predicting what the environment says teaches a small model to look things up in its context, long before the few
    tokens of the expert's decisions would. ``loss`` is the policy's share alone.
    """
    device = next(model.parameters()).device
    policy = batch.policy_mask
    other = ~policy if observation_weight else np.zeros_like(policy)
    other[batch.sequence_offsets[:-1]] = False  # nothing predicts the first token
    weight = policy / max(policy.sum(), 1) + observation_weight * other / max(other.sum(), 1)
    loss = 0.0
    for rows in split_rows(batch, policy | other, max_tokens=max_tokens, device=device):
        with autocast(device):
            token_loss = -token_logprobs(model, rows).logprob
        each = token_loss * torch.as_tensor(weight[rows.index], dtype=token_loss.dtype, device=device)
        torch.autograd.backward(each.sum())
        loss += each.detach()[torch.as_tensor(policy[rows.index], device=device)].sum().item()
    norm = _step(model, optimizer, max_grad_norm)
    return {"loss": loss, "grad_norm": norm}


def policy_step(
    model: Any,
    optimizer: Optimizer,
    batch: Batch,
    credit: Credit,
    trajectories: npt.NDArray[np.int64],
    section: RLSection,
    temperature: float,
) -> Metrics:
    """One optimizer step on the given trajectories; gradients of pieces of ``max_tokens`` are accumulated.

    The old log-probabilities are those recorded at sampling, or the column ``learner_logprob`` where another engine
    sampled; its column ``rollout_weight`` multiplies the loss. ``sampler_gap`` in the first step of an update is the
    mean ``|log π − log μ|`` between learner and sampler, which should be rounding.
    """
    device = next(model.parameters()).device
    chosen = batch.trained & np.isin(batch.token_trajectory, trajectories)
    tokens, sequences = int(chosen.sum()), len(np.unique(batch.token_trajectory[chosen]))
    if not tokens:
        return {}
    denominator = {"token-mean": tokens, "seq-mean-token-sum-norm": sequences * int(np.diff(batch.token_offsets).max())}
    totals: Metrics = {}
    for rows in split_rows(batch, chosen, max_tokens=section.max_tokens, device=device):
        with autocast(device):
            loss, metrics = _piece_loss(
                model, rows, batch, credit, section, temperature, denominator.get(section.aggregation, sequences)
            )
        torch.autograd.backward(loss)
        for name, value in metrics.items():
            totals[name] = totals.get(name, 0.0) + value * len(rows.index) / tokens
        totals["loss"] = totals.get("loss", 0.0) + loss.item()
    totals["grad_norm"] = _step(model, optimizer, section.max_grad_norm)
    return totals


def _piece_loss(
    model: Any,
    rows: Rows,
    batch: Batch,
    credit: Credit,
    section: RLSection,
    temperature: float,
    denominator: int,
) -> tuple[Tensor, Metrics]:
    """The share of the loss that some rows have, and means over their tokens."""
    device = rows.ids.device

    def column(values: npt.NDArray[Any]) -> Tensor:
        return torch.as_tensor(values[rows.index], dtype=torch.float32, device=device)

    found = token_logprobs(model, rows, temperature=temperature, entropy_gradient=section.entropy_coef != 0)
    sampled, advantage = column(batch.column("logprob")), column(credit.token)
    old = column(batch.column(OLD)) if OLD in batch.extra else sampled
    mask = torch.ones_like(old)
    offsets = _starts(rows)
    loss = _token_loss(section, found.logprob, old, advantage, mask, offsets)
    token_loss = loss.loss * column(batch.column(WEIGHT)) if WEIGHT in batch.extra else loss.loss
    metrics: Metrics = {
        "entropy": found.entropy.detach().mean().item(),
        "clip_fraction": masked_mean(loss.clipped.float(), mask).item(),
        "sampler_gap": (found.logprob.detach() - sampled).abs().mean().item(),
    }
    if section.kl_coef:
        kl = KL_ESTIMATORS[section.kl](found.logprob, column(batch.column("ref_logprob")))
        token_loss = token_loss + section.kl_coef * kl
        metrics["kl"] = kl.detach().mean().item()
    if section.entropy_coef:
        token_loss = token_loss - section.entropy_coef * found.entropy
    return aggregate(token_loss, mask, section.aggregation, denominator=denominator, offsets=offsets), metrics


def _token_loss(
    section: RLSection, logprob: Tensor, old: Tensor, advantage: Tensor, mask: Tensor, offsets: Tensor
) -> TokenLoss:
    if section.loss == "gspo":
        return gspo_loss(
            logprob, old, advantage, mask, clip_low=section.clip_low, clip_high=section.clip_high, offsets=offsets
        )
    if section.loss == "cispo":
        return cispo_loss(logprob, old, advantage, clip_low=section.clip_low, clip_high=section.clip_high)
    return ppo_loss(
        logprob,
        old,
        advantage,
        clip_low=section.clip_low,
        clip_high=section.clip_high,
        dual_clip=section.dual_clip or None,
    )


def _starts(rows: Rows) -> Tensor:
    """Offsets of the trajectories in the flat order of their tokens: a trajectory weighs the same in any segments."""
    counts = torch.bincount(rows.trajectory)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _step(model: Any, optimizer: Optimizer, max_grad_norm: float) -> float:
    """Clips, steps, clears. Returns the norm before clipping."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm or float("inf"))
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm.item()


def minibatches(
    batch: Batch, credit: Credit, section: RLSection, rng: np.random.Generator
) -> Sequence[npt.NDArray[np.int64]]:
    """Trajectories of each optimizer step of an update: all epochs, in random order.

    Trajectories without any advantage are left out, unless a KL or entropy term gives them a gradient.
    """
    if section.kl_coef or section.entropy_coef:
        useful = np.arange(batch.n_trajectories)
    else:
        useful = np.unique(batch.token_trajectory[credit.token != 0.0])
    chosen: list[npt.NDArray[np.int64]] = []
    for _ in range(section.epochs):
        order = rng.permutation(useful)
        chosen += [part for part in np.array_split(order, section.minibatches) if len(part)]
    return chosen
