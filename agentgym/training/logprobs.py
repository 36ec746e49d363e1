"""Log-probabilities of recorded tokens under a model, without the logits of all the others.

An agent's context is mostly text that the environment wrote. The output layer, which costs the most memory of a forward
pass, is applied at the policy's tokens alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from agentgym.core.errors import ConfigError, DataError
from agentgym.credit import Batch

_DIRECT_ELEMENTS = 1 << 24
"""Logits up to this many are handled at once; larger ones in chunks that the backward pass computes again."""


class TokenLogprobs(NamedTuple):
    """What a model says about M tokens."""

    logprob: Tensor
    """float32 [M], natural log, after temperature."""
    entropy: Tensor
    """float32 [M] in nats, of the whole distribution at that place. Without gradient unless asked for."""


@dataclass(frozen=True)
class Rows:
    """Some trajectories as one padded tensor, ready for a forward pass. One row a token sequence.

    A trajectory whose context was rewritten has several rows, one after the other.

    Attributes:
        ids: int64 [B, L], padded at the right. A row ends with the last token that is asked about.
        mask: bool [B, L], the tokens that are asked about. Never the first of a row: nothing predicts it.
        index: int64 [M], where those tokens stand in the batch's token columns, in the order of ``mask``'s True.
        row: int64 [M], which of the B rows each belongs to.
        trajectory: int64 [M], which of the N trajectories that are in the rows each belongs to.
    """

    ids: Tensor
    mask: Tensor
    index: npt.NDArray[np.int64]
    row: Tensor
    trajectory: Tensor


def split_rows(
    batch: Batch,
    tokens: npt.NDArray[np.bool_],
    *,
    max_tokens: int,
    device: torch.device | str = "cpu",
    trajectories: npt.NDArray[np.int64] | None = None,
) -> list[Rows]:
    """Trajectories of similar lengths together, at most ``max_tokens`` padded tokens at a time.

    A trajectory is never divided between pieces, so that a loss may sum over it; one that is larger than ``max_tokens``
    is a piece of its own.

    Args:
        batch: With the column ``token_id``.
        tokens: bool [T], which tokens are asked about.
        max_tokens: Size of a piece, padding included.
        device: Where the tensors go.
        trajectories: Which trajectories to take. None: all that have tokens to ask about.

    Raises:
        DataError: The first token of a sequence is asked about; no context predicts it.
    """
    ids = batch.column("token_id")
    first = batch.sequence_offsets[:-1]
    if tokens[first].any():
        row = int(batch.token_trajectory[first[tokens[first]][0]])
        raise DataError(f"Trajectory {row} begins with a policy token, which no context predicts. Start with a prompt.")
    if trajectories is None:
        trajectories = np.unique(batch.token_trajectory[tokens])
    pieces: list[list[_Sequences]] = []
    rows = 0
    for sequences in sorted(_asked(batch, tokens, trajectories), key=lambda found: found.longest):
        # Ascending, so this one has the longest row.
        if not pieces or sequences.longest * (rows + len(sequences.starts)) > max_tokens:
            pieces.append([])
            rows = 0
        pieces[-1].append(sequences)
        rows += len(sequences.starts)
    return [_rows(ids, tokens, piece, device) for piece in pieces]


class _Sequences(NamedTuple):
    """Bounds, in the batch's tokens, of the sequences of one trajectory that have tokens to ask about."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    longest: int


def _asked(batch: Batch, tokens: npt.NDArray[np.bool_], trajectories: npt.NDArray[np.int64]) -> list[_Sequences]:
    """Of each trajectory; a sequence ends with the last token that is asked about, since nothing needs what follows."""
    offsets, owner = batch.sequence_offsets, batch.sequence_trajectory
    last = np.maximum.accumulate(np.where(tokens, np.arange(len(tokens)), -1))
    ends = last[offsets[1:] - 1] + 1 if len(tokens) else offsets[1:]
    asked = ends > offsets[:-1]
    found = []
    for low, high in np.searchsorted(owner, np.stack([trajectories, trajectories + 1], axis=1)).tolist():
        keep = np.arange(low, high)[asked[low:high]]
        if len(keep):
            found.append(_Sequences(offsets[keep], ends[keep], int((ends[keep] - offsets[keep]).max())))
    return found


def _rows(
    ids: npt.NDArray[np.int64],
    tokens: npt.NDArray[np.bool_],
    piece: list[_Sequences],
    device: torch.device | str,
) -> Rows:
    starts = np.concatenate([sequences.starts for sequences in piece])
    ends = np.concatenate([sequences.ends for sequences in piece])
    owner = np.repeat(np.arange(len(piece)), [len(sequences.starts) for sequences in piece])
    columns = np.arange(int((ends - starts).max()))
    flat = starts[:, None] + columns
    inside = flat < ends[:, None]
    flat = np.where(inside, flat, 0)
    mask = inside & tokens[flat]
    row = np.nonzero(mask)[0]
    return Rows(
        ids=torch.from_numpy(np.where(inside, ids[flat], 0)).to(device),
        mask=torch.from_numpy(mask).to(device),
        index=flat[mask],
        row=torch.from_numpy(row).to(device),
        trajectory=torch.from_numpy(owner[row]).to(device),
    )


def token_logprobs(
    model: Any, rows: Rows, *, temperature: float = 1.0, entropy_gradient: bool = False
) -> TokenLogprobs:
    """Log-probabilities and entropies at ``rows.mask``, with gradient where gradients are on.

    Args:
        model: A Hugging Face causal language model, or one wrapped by peft.
        rows: What to read.
        temperature: That the tokens were sampled with, so that the learner's distribution is the sampler's.
        entropy_gradient: Whether the entropies carry gradient too.

    Raises:
        ConfigError: The temperature isn't above 0.
    """
    if temperature <= 0:
        raise ConfigError(
            f"A training temperature must be above 0, got {temperature}: greedy samples have no gradient."
        )
    predicts = torch.zeros_like(rows.mask)
    predicts[:, :-1] = rows.mask[:, 1:]
    logits = logits_at(model, rows.ids, predicts)
    return gather_logprobs(logits, rows.ids[rows.mask], temperature, entropy_gradient=entropy_gradient)


def logits_at(model: Any, ids_B_L: Tensor, places_B_L: Tensor) -> Tensor:
    """Logits [M, V] after the tokens at ``places`` (bool), rows one after the other.

    Args:
        model: A causal language model.
        ids_B_L: Padded at the right, where causal attention needs no mask to keep padding out.
        places_B_L: M are True.
    """
    with _output_only_at(model, places_B_L):
        logits: Tensor = model(input_ids=ids_B_L, use_cache=False).logits
    return logits[0]


@contextmanager
def _output_only_at(model: Any, places: Tensor) -> Iterator[None]:
    """Hands the output layer the hidden states at ``places`` (bool [B, L]) only, as [1, M, H]."""

    def select(module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0][places].unsqueeze(0), *inputs[1:])

    head = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


def gather_logprobs(
    logits_M_V: Tensor, targets_M: Tensor, temperature: float = 1.0, *, entropy_gradient: bool = False
) -> TokenLogprobs:
    """``log softmax(logits / temperature)`` at the targets, and the entropies, in float32.

    Large logits are handled in chunks, so that no float32 copy of all of them ever exists.
    """
    if not len(targets_M):
        empty = logits_M_V.new_zeros(0, dtype=torch.float32)
        return TokenLogprobs(empty, empty)
    size = max(1, _DIRECT_ELEMENTS // logits_M_V.shape[-1])
    if len(targets_M) <= size:
        return TokenLogprobs(*_gather(logits_M_V, targets_M, temperature, entropy_gradient))
    parts = [
        checkpoint(_gather, logits, targets, temperature, entropy_gradient, use_reentrant=False)
        for logits, targets in zip(torch.split(logits_M_V, size), torch.split(targets_M, size), strict=True)
    ]
    return TokenLogprobs(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _gather(logits: Tensor, targets: Tensor, temperature: float, entropy_gradient: bool) -> tuple[Tensor, Tensor]:
    scaled = logits.float() / temperature
    normaliser = scaled.logsumexp(-1)
    logprob = scaled.gather(-1, targets[:, None])[:, 0] - normaliser
    with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
        entropy = normaliser - (scaled.softmax(-1) * scaled).sum(-1)
    return logprob, entropy


@torch.no_grad()
def batch_logprobs(
    model: Any, batch: Batch, *, temperature: float = 1.0, max_tokens: int = 16_384, device: torch.device | str = "cpu"
) -> npt.NDArray[np.float64]:
    """float64 [T]: log-probability of every policy token under ``model``; 0 elsewhere."""
    found = np.zeros(batch.n_tokens)
    for rows in split_rows(batch, batch.policy_mask, max_tokens=max_tokens, device=device):
        found[rows.index] = token_logprobs(model, rows, temperature=temperature).logprob.double().cpu().numpy()
    return found


@dataclass(frozen=True)
class LogprobScorer:
    """A `Scorer` that writes a model's log-probabilities into a column: of the reference, or of the learner.

    Args:
        column: ``ref_logprob`` or ``learner_logprob``.
        temperature: Of the sampling.
        max_tokens: Padded tokens of one forward pass.
    """

    column: str = "ref_logprob"
    temperature: float = 1.0
    max_tokens: int = 16_384

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, npt.NDArray[np.generic]]:
        """The column."""
        device = next(model.parameters()).device
        return {
            self.column: batch_logprobs(
                model, batch, temperature=self.temperature, max_tokens=self.max_tokens, device=device
            )
        }
