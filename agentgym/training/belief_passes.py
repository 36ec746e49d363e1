"""Forward passes that measure how probable a model finds an answer at several points of one conversation.

A **context** is a conversation (the trunk), the points in it where an answer is asked for, and the answers. A **leg**
is one answer at one point: tokens that continue the trunk there. Legs of a context share the trunk's computation:

- ``packed``: one forward over trunk and legs laid end to end. A block mask lets a token see its own leg and the trunk
  up to its point; positions continue from the point. Several contexts share a row. FlexAttention or a dense mask.
- ``cached``: the trunk once, then the legs against its keys and values. Less arithmetic for long trunks.
- ``naive``: one forward a leg. Always right; the reference for the others.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

LEG_TOKENS = 512
"""Leg tokens that ``cached`` runs at once: enough to fill a matrix product, few enough for small masks and logits."""
FLEX_LENGTH = 1024
"""Rows for FlexAttention are filled up to a multiple of this: its kernel is compiled anew for every length."""


class Branch(NamedTuple):
    """Tokens to append at a point; ``ids[start:end]`` are the answer's."""

    ids: tuple[int, ...]
    start: int
    end: int


class Context(NamedTuple):
    """A conversation, the points (numbers of tokens before them) where answers are asked for, and the answers."""

    token_ids: Sequence[int]
    points: Sequence[int]
    branches: Sequence[Branch]


class Leg(NamedTuple):
    """``tokens`` after ``prefix`` tokens of the trunk; from ``first_row`` on they predict ``targets``, one each."""

    tokens: tuple[int, ...]
    prefix: int
    first_row: int
    targets: tuple[int, ...]


def legs_of(context: Context) -> list[Leg]:
    """One leg a point and branch, points outermost. What follows the answer, and its last token, needn't be run."""
    return [_leg(context.token_ids, point, branch) for point in context.points for branch in context.branches]


def _leg(token_ids: Sequence[int], point: int, branch: Branch) -> Leg:
    tokens, targets = branch.ids[: branch.end - 1], branch.ids[branch.start : branch.end]
    if branch.start > 0:
        return Leg(tokens, point, branch.start - 1, targets)
    # The trunk's last token predicts the answer's first: run it again as part of the leg.
    return Leg((token_ids[point - 1], *tokens), point - 1, 0, targets)


def naive_pass(model: Any, context: Context) -> Tensor:
    """Mean log-probability of each leg's answer, one forward a leg.

    Returns:
        (points · branches,), points outermost.
    """
    means = []
    for leg in legs_of(context):
        ids = torch.tensor([[*context.token_ids[: leg.prefix], *leg.tokens]], device=model.device)
        rows = torch.arange(leg.prefix + leg.first_row, ids.shape[1], device=model.device)
        means.append(_means(_logits(model, rows, input_ids=ids, use_cache=False), [leg]))
    return torch.cat(means)


def cached_pass(model: Any, context: Context) -> Tensor:
    """Same values; the trunk runs once, and its keys and values serve every leg."""
    from transformers import DynamicCache

    legs = legs_of(context)
    states = _trunk_states(model, context.token_ids[: max(leg.prefix for leg in legs)])
    means = []
    for chunk in _chunks(legs):
        visible = max(leg.prefix for leg in chunk)
        view = DynamicCache()
        for index, (keys, values) in enumerate(states):
            view.update(keys[:, :, :visible], values[:, :, :visible], index)
        ids, positions, rows = _layout(chunk, model.device)
        mask = _closed(len(ids), visible + len(ids), model)
        _open_legs(mask, chunk, first_key=visible, trunk_key=0)
        logits = _logits(
            model,
            rows,
            input_ids=ids[None],
            position_ids=positions[None],
            attention_mask=mask[None, None],
            past_key_values=view,
        )
        means.append(_means(logits, chunk))
    return torch.cat(means)


def _trunk_states(model: Any, trunk: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of the trunk, one pair a layer, (1, heads, tokens, head size)."""
    from transformers import DynamicCache

    if not trunk:
        return []
    cache = DynamicCache()
    ids = torch.tensor([list(trunk)], device=model.device)
    _logits(model, torch.zeros(1, dtype=torch.long, device=model.device), input_ids=ids, past_key_values=cache)
    layers: list[Any] = cache.layers
    return [(layer.keys, layer.values) for layer in layers]


def packed_pass(model: Any, contexts: Sequence[Context]) -> list[Tensor]:
    """Same values for several contexts from one forward over one row; one tensor a context."""
    pieces = [_trunk_and_legs(context) for context in contexts]
    flex = implementation(model) == "flex_attention"
    if flex:
        pieces.append([_filler(sum(map(packed_length, contexts)))])
    flat = [leg for piece in pieces for leg in piece]
    ids, positions, rows = _layout(flat, model.device)
    if flex:
        mask: Any = _flex_mask(pieces, positions)
    else:
        mask = _dense_mask(pieces, len(ids), model)[None, None]
    logits = _logits(
        model, rows, input_ids=ids[None], position_ids=positions[None], attention_mask=mask, use_cache=False
    )
    means = _means(logits, flat)
    return list(torch.split(means, [len(context.points) * len(context.branches) for context in contexts]))


def packed_length(context: Context) -> int:
    """Tokens that ``packed_pass`` runs for a context."""
    return sum(len(leg.tokens) for leg in _trunk_and_legs(context))


def _trunk_and_legs(context: Context) -> list[Leg]:
    """The trunk as a leg that predicts nothing, then the legs."""
    legs = legs_of(context)
    trunk = tuple(context.token_ids[: max(leg.prefix for leg in legs)])
    return [Leg(trunk, 0, len(trunk), ()), *legs]


def _filler(length: int) -> Leg:
    """Tokens that bring a row to a multiple of ``FLEX_LENGTH``, in a context of their own."""
    missing = -length % FLEX_LENGTH
    return Leg((0,) * missing, 0, missing, ())


def _layout(legs: Sequence[Leg], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, positions, and rows to take logits at, of legs laid end to end."""
    ids = [token for leg in legs for token in leg.tokens]
    positions = [leg.prefix + i for leg in legs for i in range(len(leg.tokens))]
    rows: list[int] = []
    start = 0
    for leg in legs:
        rows += range(start + leg.first_row, start + len(leg.tokens))
        start += len(leg.tokens)
    return (torch.tensor(ids, device=device), torch.tensor(positions, device=device), torch.tensor(rows, device=device))


def _closed(queries: int, keys: int, model: Any) -> Tensor:
    return torch.full((queries, keys), torch.finfo(model.dtype).min, dtype=model.dtype, device=model.device)


def _open_legs(mask: Tensor, legs: Sequence[Leg], *, first_key: int, trunk_key: int, first_query: int = 0) -> None:
    """Lets each leg see the trunk up to its prefix and, causally, itself."""
    query = first_query
    for leg in legs:
        n = len(leg.tokens)
        mask[query : query + n, trunk_key : trunk_key + leg.prefix] = 0
        key = first_key + query - first_query
        mask[query : query + n, key : key + n].triu_(1)
        query += n


def _dense_mask(pieces: Sequence[Sequence[Leg]], length: int, model: Any) -> Tensor:
    """Additive (length, length) mask of contexts laid end to end: 0 where a token may look, else the lowest number."""
    mask = _closed(length, length, model)
    start = 0
    for piece in pieces:
        _open_legs(mask, piece, first_key=start, trunk_key=start, first_query=start)
        start += sum(len(leg.tokens) for leg in piece)
    return mask


def _flex_mask(pieces: Sequence[Sequence[Leg]], positions: Tensor) -> Any:
    """The same mask as a block mask for FlexAttention, which skips what nobody sees."""
    from torch.nn.attention.flex_attention import create_block_mask

    n, device = len(positions), positions.device
    sees = visibility(pieces, positions)
    return create_block_mask(lambda _b, _h, query, key: sees(query, key), None, None, n, n, device=device)


def visibility(pieces: Sequence[Sequence[Leg]], positions: Tensor) -> Any:
    """Function of query and key indices (tensors) that says whether the one may look at the other."""
    legs = [leg for piece in pieces for leg in piece]
    lengths = torch.tensor([len(leg.tokens) for leg in legs])

    def per_token(values: list[int]) -> Tensor:
        return torch.repeat_interleave(torch.tensor(values), lengths).to(positions.device)

    context = per_token([index for index, piece in enumerate(pieces) for _ in piece])
    trunk = per_token([int(number == 0) for piece in pieces for number, _ in enumerate(piece)])
    prefix = per_token([leg.prefix for leg in legs])
    leg = per_token(list(range(len(legs))))

    def sees(query: Tensor, key: Tensor) -> Tensor:
        on_trunk = (context[query] == context[key]) & (trunk[key] == 1) & (positions[key] < prefix[query])
        return on_trunk | ((leg[query] == leg[key]) & (key <= query))

    return sees


def _chunks(legs: Sequence[Leg]) -> Iterator[list[Leg]]:
    chunk: list[Leg] = []
    for leg in legs:
        if chunk and sum(len(other.tokens) for other in chunk) + len(leg.tokens) > LEG_TOKENS:
            yield chunk
            chunk = []
        chunk.append(leg)
    yield chunk


def _logits(model: Any, rows: Tensor, **inputs: Any) -> Tensor:
    """(len(rows), vocabulary): the head is applied to these rows only, where the model can be told so."""
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        inputs["logits_to_keep"] = rows
    logits: Tensor = model(**inputs).logits[0]
    return logits if len(logits) == len(rows) else logits[rows]


def _means(logits: Tensor, legs: Sequence[Leg]) -> Tensor:
    """Mean over each leg's targets of their log-probability; in float32 at least."""
    legs = [leg for leg in legs if leg.targets]
    targets = torch.tensor([token for leg in legs for token in leg.targets], device=logits.device)
    wide = logits if logits.dtype == torch.float64 else logits.float()
    logprobs = wide.gather(1, targets[:, None])[:, 0] - wide.logsumexp(1)
    return torch.stack([part.mean() for part in torch.split(logprobs, [len(leg.targets) for leg in legs])])


def implementation(model: Any) -> str:
    """Name of the attention implementation that the model uses."""
    return str(getattr(model.config, "_attn_implementation", ""))


@contextmanager
def inference(model: Any) -> Iterator[None]:
    """Evaluation mode without gradients; training mode is restored."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)
