"""Sums over sequences and turns of batched (B, L) tensors, or of flat (N,) ones with offsets (B + 1,)."""

from __future__ import annotations

import torch
from torch import Tensor

from agentgym.core.errors import DataError


def sum_rows(values: Tensor, mask: Tensor, offsets: Tensor | None) -> Tensor:
    """Sum over the unmasked tokens of each sequence, (B,)."""
    kept = values * mask
    if offsets is None:
        return kept.sum(-1)
    return kept.new_zeros(len(offsets) - 1).index_add(0, _rows(offsets), kept)


def spread(per_row: Tensor, offsets: Tensor | None, like: Tensor) -> Tensor:
    """Each sequence's value, (B,), on all of its tokens."""
    return per_row.unsqueeze(-1).expand_as(like) if offsets is None else per_row[_rows(offsets)]


def turn_sums(values: Tensor, turns: Tensor, offsets: Tensor | None) -> Tensor:
    """Each token's turn's sum; tokens of no turn (index below 0) keep their own value."""
    if turns.shape != values.shape:
        raise DataError(f"turns must have the shape of the log-probabilities {_size(values)}, got {_size(turns)}.")
    width = int(turns.max().item()) + 1 if turns.numel() else 0
    if width <= 0:
        return values
    rows = torch.arange(len(values), device=values.device).unsqueeze(-1) if offsets is None else _rows(offsets)
    index = rows * width + turns.clamp(min=0)
    belongs = turns >= 0
    count = len(values) if offsets is None else len(offsets) - 1
    sums = values.new_zeros(count * width).index_add(0, index[belongs], values[belongs])
    return torch.where(belongs, sums[index], values)


def _rows(offsets: Tensor) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(offsets) - 1, device=offsets.device), offsets.diff())


def longest(like: Tensor, offsets: Tensor | None) -> Tensor:
    """Width of a batched tensor, or tokens of the longest sequence of a flat one."""
    return like.new_tensor(like.shape[-1]) if offsets is None else offsets.diff().max()


def per_token(advantage: Tensor, logprob: Tensor, *others: Tensor) -> Tensor:
    """Advantages in the shape of the log-probabilities, after checking that all shapes fit."""
    check_shapes(logprob, *others)
    if advantage.dim() == logprob.dim() - 1:
        advantage = advantage.unsqueeze(-1).expand_as(logprob)
    check_shapes(logprob, advantage)
    return advantage


def check_shapes(first: Tensor, *others: Tensor) -> None:
    """Raises ``DataError`` unless all tensors have the first one's shape."""
    for other in others:
        if other.shape != first.shape:
            raise DataError(
                f"Log-probabilities, advantages and mask must have one shape, got {_size(first)} and {_size(other)}. "
                "Advantages may also be one a sequence, (B,), where the others are (B, L)."
            )


def _size(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
