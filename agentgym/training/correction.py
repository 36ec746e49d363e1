"""Correcting the loss for episodes that another engine, or older weights, sampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from agentgym.core.records import Trajectory
from agentgym.credit import Batch
from agentgym.training.config import EngineSection
from agentgym.training.logprobs import batch_logprobs
from agentgym.training.losses import rollout_weights

OLD, WEIGHT = "learner_logprob", "rollout_weight"


def corrected(
    batch: Batch, model: Any, section: EngineSection, *, temperature: float, max_tokens: int
) -> tuple[Batch, dict[str, float]]:
    """The batch with the learner's own log-probabilities, from which the policy ratio starts, and importance weights
    π_old / μ, by which the loss is multiplied (TIS and MIS; see ``losses.rollout_weights``).

    Returns:
        The batch, and means over the policy's tokens: ``sampler_gap`` |log π_old − log μ|, ``correction`` (the weight),
        ``correction_share`` of tokens whose ratio lay outside the bounds.
    """
    device = next(model.parameters()).device
    old = batch_logprobs(model, batch, temperature=temperature, max_tokens=max_tokens, device=device)
    columns = {OLD: old}
    mask = batch.policy_mask
    gap = old[mask] - batch.column("logprob")[mask]
    metrics = {"sampler_gap": float(np.abs(gap).mean())}
    if section.correction == "none":
        return batch.with_columns(columns), metrics

    arguments: dict[str, Any] = {
        "level": section.correction,
        "outside": section.correction_outside,
        "turns": torch.tensor(np.where(mask, batch.turn_index[batch.token_turn], -1)),
        "offsets": torch.tensor(batch.token_offsets),
    }
    tensors = [torch.tensor(values, dtype=torch.float64) for values in (old, batch.column("logprob"), mask)]
    bounded = rollout_weights(*tensors, high=section.correction_high, **arguments).numpy()
    free = rollout_weights(*tensors, high=None, **arguments).numpy()
    columns[WEIGHT] = bounded
    metrics["correction"] = float(bounded[mask].mean())
    metrics["correction_share"] = float((bounded != free)[mask].mean())
    return batch.with_columns(columns), metrics


def staleness(trajectories: Sequence[Trajectory], version: int) -> float:
    """Updates between the weights that sampled a token and those that learn from it, as a mean over sampled tokens."""
    ages = [
        version - sampled
        for trajectory in trajectories
        for segment in trajectory.segments
        for sampled, policy in zip(segment.versions, segment.policy_mask, strict=True)
        if policy
    ]
    return float(np.mean(ages)) if ages else 0.0
