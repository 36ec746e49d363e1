"""Optimizers of training runs. Each group of parameters remembers its full learning rate as ``initial_lr``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

_BETAS = (0.9, 0.95)


class Optimizers:
    """Several optimizers over disjoint parameters, as one.

    Args:
        parts: The optimizers.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self._parts = tuple(parts)
        for group in self.param_groups:
            group["initial_lr"] = group["lr"]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parts."""
        return [group for part in self._parts for group in part.param_groups]

    def scale(self, factor: float) -> None:
        """Sets every learning rate to ``factor`` times its full value."""
        for group in self.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def step(self) -> None:
        """One step of every part."""
        for part in self._parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears all gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The states of all parts."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of ``state_dict``."""
        for part, saved in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(saved)


def adamw(model: torch.nn.Module, lr: float, weight_decay: float) -> Optimizers:
    """AdamW on all trainable parameters."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return Optimizers([torch.optim.AdamW(trainable, lr=lr, weight_decay=weight_decay, betas=_BETAS)])


def muon_adamw(model: Any, lr: float, matrix_lr: float, weight_decay: float) -> Optimizers:
    """Muon for the matrices inside the layers, AdamW for embeddings, output layer and vectors.

    Muon (https://kellerjordan.github.io/posts/muon/) makes the update of a matrix orthogonal, so that all its
    directions learn at one speed. A small model learns to look things up in its context in far fewer steps with it.

    Args:
        model: A causal language model; its trainable parameters are optimised.
        lr: Of AdamW.
        matrix_lr: Of Muon; 0.02 to 0.03 suits models that are trained from scratch.
        weight_decay: Of AdamW.
    """
    ends = {id(layer.weight) for layer in (model.get_input_embeddings(), model.get_output_embeddings())}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trainable if parameter.ndim == 2 and id(parameter) not in ends]
    inside = set(map(id, matrices))
    others = [parameter for parameter in trainable if id(parameter) not in inside]
    return Optimizers(
        [
            torch.optim.Muon(matrices, lr=matrix_lr, momentum=0.95, weight_decay=0.0),
            torch.optim.AdamW(others, lr=lr, weight_decay=weight_decay, betas=_BETAS),
        ]
    )
