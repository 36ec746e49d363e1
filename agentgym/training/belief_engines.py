"""Which forward pass to measure beliefs with, on which device, for which model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from agentgym.core.errors import ConfigError, UnsupportedError
from agentgym.training.belief_passes import (
    Branch,
    Context,
    cached_pass,
    implementation,
    inference,
    naive_pass,
    packed_length,
    packed_pass,
)

Engine = Literal["auto", "packed", "cached", "naive"]

DENSE_TOKENS = 1024
"""On a CPU: longest context under a dense mask, whose cost grows with its square. Longer ones are cached."""
PACK_TOKENS = 512
"""On a CPU: tokens that short contexts share a row up to. Beyond it the mask costs more than calls save."""
FLEX_TOKENS = 16_384
"""On a GPU: tokens that share a row under FlexAttention, which skips the blocks that nobody sees."""

_log = logging.getLogger(__name__)
_verdicts: WeakKeyDictionary[Any, dict[tuple[str, str], bool]] = WeakKeyDictionary()
_PROBE = Context(tuple(range(3, 15)), (1, 7, 12), (Branch((4, 2, 9, 5, 3), 2, 4), Branch((7, 6), 0, 2)))


def answer_logprobs(model: Any, contexts: Sequence[Context], engine: Engine = "auto") -> list[Tensor]:
    """Mean log-probability of every context's answers at its points, (points, branches) a context, in order.

    ``auto`` takes ``packed`` with FlexAttention on a GPU; on a CPU ``packed`` with a dense mask for short contexts and
    ``cached`` for long ones; and ``naive`` for a model that can't do either (sliding windows, recurrent layers, an
    attention kernel without masks).

    Raises:
        ConfigError: An unknown engine.
        UnsupportedError: The model can't do what was asked for by name.
    """
    if engine not in get_args(Engine):
        raise ConfigError(f"engine must be one of {', '.join(get_args(Engine))}, got {engine!r}.")
    with inference(model):
        if engine == "naive":
            means = [naive_pass(model, context) for context in contexts]
        elif engine == "packed":
            _need(model, engine)
            means = _in_packs(model, contexts, _limit(model))
        elif engine == "cached":
            _need(model, engine)
            means = [cached_pass(model, context) for context in contexts]
        else:
            means = _auto(model, contexts)
    return [m.view(len(c.points), len(c.branches)) for m, c in zip(means, contexts, strict=True)]


def can(model: Any, engine: Literal["packed", "cached"]) -> bool:
    """Whether the model gives the same numbers by this pass as by the naive one. Tried once on a few tokens."""
    key = (engine, implementation(model))
    verdicts = _verdicts.setdefault(model, {})
    if key not in verdicts:
        verdicts[key] = not _has_windows(model.config) and _agrees(model, engine)
    return verdicts[key]


def _auto(model: Any, contexts: Sequence[Context]) -> list[Tensor]:
    if model.device.type == "cuda":
        with _flex_attention(model):
            if can(model, "packed"):
                return _in_packs(model, contexts, FLEX_TOKENS)
    packed, cached = can(model, "packed"), can(model, "cached")
    if not packed and not cached:
        _log.warning("%s takes no attention mask of ours; beliefs cost a forward a turn.", type(model).__name__)
    short = [row for row, context in enumerate(contexts) if packed and packed_length(context) <= DENSE_TOKENS]
    means = dict(zip(short, _in_packs(model, [contexts[row] for row in short], PACK_TOKENS), strict=True))
    rest = cached_pass if cached else naive_pass
    return [means[row] if row in means else rest(model, context) for row, context in enumerate(contexts)]


def _in_packs(model: Any, contexts: Sequence[Context], limit: int) -> list[Tensor]:
    means: list[Tensor] = []
    pack: list[Context] = []
    filled = 0
    for context in contexts:
        length = packed_length(context)
        if pack and filled + length > limit:
            means += packed_pass(model, pack)
            pack, filled = [], 0
        pack.append(context)
        filled += length
    return means + (packed_pass(model, pack) if pack else [])


def _limit(model: Any) -> int:
    return FLEX_TOKENS if implementation(model) == "flex_attention" else PACK_TOKENS


def _need(model: Any, engine: Literal["packed", "cached"]) -> None:
    if not can(model, engine):
        raise UnsupportedError(
            f"{type(model).__name__} with {implementation(model) or 'its'} attention can't score beliefs {engine}: "
            "the numbers differ from plain forward passes. Use engine='naive' or 'auto'."
        )


def _has_windows(config: Any) -> bool:
    """Sliding or chunked attention: a mask of ours would open what these layers must not see."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    kinds = set(getattr(text, "layer_types", None) or ())
    if kinds:
        return bool(kinds - {"full_attention"})
    return bool(getattr(text, "sliding_window", None)) and getattr(text, "use_sliding_window", True)


def _agrees(model: Any, engine: Literal["packed", "cached"]) -> bool:
    try:
        expected = naive_pass(model, _PROBE)
        got = packed_pass(model, [_PROBE, _PROBE])[1] if engine == "packed" else cached_pass(model, _PROBE)
    except (TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError, IndexError) as error:
        _log.info("%s can't score beliefs %s: %s", type(model).__name__, engine, error)
        return False
    tolerance = 2e-5 if model.dtype in (torch.float32, torch.float64) else 5e-2
    return bool(((got - expected).abs() <= tolerance * (1 + expected.abs())).all())


@contextmanager
def _flex_attention(model: Any) -> Iterator[None]:
    before = implementation(model)
    try:
        model.set_attn_implementation("flex_attention")
    except (AttributeError, ValueError, ImportError) as error:
        _log.info("%s has no FlexAttention: %s", type(model).__name__, error)
    try:
        yield
    finally:
        if implementation(model) != before:
            model.set_attn_implementation(before)
