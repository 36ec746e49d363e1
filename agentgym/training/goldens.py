"""Which of this package's functions compute which golden outputs. Read by ``agentgym.testing.golden``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from agentgym.training.implicit_prm import (
    classification_loss,
    detached_dpo_loss,
    trajectory_dpo_loss,
    trajectory_scores,
)
from agentgym.training.progress import contributions, predicted_totals, progress_loss

Inputs = Mapping[str, Any]


def spa_progress(inputs: Inputs) -> dict[str, Any]:
    """Totals and loss of the progress head in float32 and in bfloat16."""
    found: dict[str, Any] = {}
    for suffix, dtype in (("", torch.float32), ("_bf16", torch.bfloat16)):
        logits = torch.tensor(inputs["backbone_logits"]).to(dtype)
        mask = torch.tensor(inputs["assistant_mask"], dtype=torch.bool)
        following = nn.functional.pad(mask[:, 1:], (0, 1))
        ends = mask & ~following
        weight = torch.tensor(inputs["head_weight"])
        head = nn.Linear(weight.shape[1], 1)
        with torch.no_grad():
            head.weight.copy_(weight)
            head.bias.copy_(torch.tensor(inputs["head_bias"]))
        labels = torch.tensor(inputs["labels"], dtype=torch.float32).to(dtype)
        each = contributions(logits[ends], head.to(dtype)).to(dtype)
        trajectory = ends.nonzero()[:, 0]
        found[f"predicted_total{suffix}"] = predicted_totals(each, trajectory, len(labels)).float().tolist()
        found[f"loss_mse{suffix}"] = progress_loss(each, trajectory, labels).item()
    return found


def istar_dpo_loss(inputs: Inputs) -> dict[str, Any]:
    """The pair loss of the released code, whose score of an episode is the mean over its steps, and its gradient."""
    if "token_logratio_q" not in inputs:  # only the outcomes are given: with equal ones there is nothing to compare
        success = torch.tensor(inputs["acc"]) > 0
        return {"loss": float(trajectory_dpo_loss(torch.zeros(len(success)), torch.zeros(len(success)), success))}
    ratio = torch.tensor(inputs["token_logratio_q"], requires_grad=True)
    mask = torch.tensor(inputs["response_mask"])
    trajectory, first = _codes(inputs["traj_uid"])
    group, _ = _codes(inputs["uid"])
    success = torch.tensor(inputs["acc"]) > 0
    score = trajectory_scores((ratio * mask).sum(-1), trajectory, trajectory.bincount(), inputs["beta"], "mean")
    loss = trajectory_dpo_loss(score, group[first], success[first])
    (gradient,) = torch.autograd.grad(loss, ratio)
    return {"loss": loss.item(), "grad_q": gradient.tolist()}


def implicit_prm_losses(inputs: Inputs) -> dict[str, Any]:
    """PRIME's cross-entropy and detached DPO losses; every row is an episode, compared with all rows."""
    raw = (torch.tensor(inputs["token_level_scores"]) * torch.tensor(inputs["response_mask"])).sum(-1)
    score, success = inputs["beta"] * raw, torch.tensor(inputs["acc"])
    if "bon_mode" not in inputs:
        return {"loss": float(classification_loss(score, success))}
    weighting: Any = {"none": "none", "bon_acc": "best_of_n_success", "bon_rm": "best_of_n_score"}[inputs["bon_mode"]]
    others, successes = _everyone(inputs.get("Q_bc"), raw), _everyone(inputs.get("acc_bc"), success)
    return {"loss": float(detached_dpo_loss(score, success, inputs["beta"] * others, successes, weighting))}


def _everyone(rows: Any, values: Tensor) -> Tensor:
    """The (N, M) comparison values: given ones, or those of all rows where the file describes them in words."""
    return torch.tensor(rows) if isinstance(rows, list) else values.expand(len(values), -1)


def _codes(names: list[str]) -> tuple[Tensor, Tensor]:
    """Names as 0, 1, ... in order of appearance, and the row where each appears first."""
    order = list(dict.fromkeys(names))
    return torch.tensor([order.index(name) for name in names]), torch.tensor([names.index(name) for name in order])


ADAPTERS: dict[str, Callable[[Inputs], Mapping[str, Any]]] = {
    "spa_progress": spa_progress,
    "istar_dpo_loss": istar_dpo_loss,
    "implicit_prm_losses": implicit_prm_losses,
}
