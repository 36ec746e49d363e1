"""Adapters for the golden files of policy losses and KL estimators, with their gradients. Needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

import agentgym.training.losses as losses

Inputs = Mapping[str, Any]
Outputs = dict[str, Any]


def _tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _outputs(loss: torch.Tensor, logprob: torch.Tensor, **more: Any) -> Outputs:
    loss.backward()  # type: ignore[no-untyped-call]
    grad = logprob.grad if logprob.grad is not None else torch.zeros_like(logprob)
    return {"loss": float(loss.detach()), "grad_log_prob": grad.numpy(), **more}


def policy_losses(inputs: Inputs) -> Outputs:
    """verl's PPO with dual clip, GSPO and CISPO, by the case's name."""
    name = inputs["_case"]
    logprob = _tensor(inputs["log_prob"]).requires_grad_()
    old, advantage, mask = (_tensor(inputs[key]) for key in ("old_log_prob", "advantages", "response_mask"))
    clip = {"clip_low": inputs["clip_low"], "clip_high": inputs["clip_high"]}
    if name.startswith("gspo"):
        found = losses.gspo_loss(logprob, old, advantage, mask, **clip)
        return _outputs(losses.aggregate(found.loss, mask, "seq-mean-token-mean"), logprob)
    if name.startswith("cispo"):
        found = losses.cispo_loss(logprob, old, advantage, **clip)
        return _outputs(losses.aggregate(found.loss, mask, inputs.get("loss_agg_mode", "token-mean")), logprob)
    found = losses.ppo_loss(logprob, old, advantage, **clip, dual_clip=inputs["clip_c"])
    with torch.no_grad():
        metrics = {
            "actor/pg_clipfrac": float(losses.masked_mean(found.clipped.double(), mask)),
            "actor/pg_clipfrac_lower": float(losses.masked_mean(found.dual_clipped.double(), mask)),
            "actor/ppo_kl": float(losses.masked_mean(old - logprob, mask)),
        }
    return _outputs(losses.aggregate(found.loss, mask, inputs["loss_agg_mode"]), logprob, metrics=metrics)


def trl_losses(inputs: Inputs) -> Outputs:
    """TRL's loss types, by the case's name: no dual clip, CISPO with an absolute upper bound."""
    name = inputs["_case"]
    logprob = _tensor(inputs["log_prob"]).requires_grad_()
    old, advantage, mask = (_tensor(inputs[key]) for key in ("old_log_prob", "advantages", "mask"))
    clip = {"clip_low": inputs["epsilon_low"], "clip_high": inputs["epsilon_high"]}
    if name.endswith("sequence"):
        found = losses.gspo_loss(logprob, old, advantage, mask, **clip)
    elif name.startswith("cispo"):
        found = losses.cispo_loss(
            logprob, old, advantage, clip_low=None, clip_high=inputs["epsilon_high"], bound="absolute"
        )
    else:
        found = losses.ppo_loss(logprob, old, advantage, **clip, dual_clip=None)
    if name.startswith("grpo"):
        return _outputs(losses.aggregate(found.loss, mask, "seq-mean-token-mean"), logprob)
    if name.startswith("dr_grpo"):
        size = float(len(mask) * inputs["max_completion_length"])
        return _outputs(losses.aggregate(found.loss, mask, "seq-mean-token-sum-norm", denominator=size), logprob)
    return _outputs(losses.aggregate(found.loss, mask, "token-mean"), logprob)


def kl_estimators(inputs: Inputs) -> Outputs:
    """The estimator that the case is named after."""
    estimator = losses.KL_ESTIMATORS[inputs["_case"]]
    return {"kl": estimator(_tensor(inputs["logprob"]), _tensor(inputs["ref_logprob"])).numpy()}


ADAPTERS: dict[str, Any] = {"policy_losses": policy_losses, "trl_losses": trl_losses, "kl_estimators": kl_estimators}
