"""Any causal language model of the transformers library, on a CPU or a GPU, as a policy.

The decoding loop is our own: requests are answered together, the keys and values of an episode stay in memory from turn
to turn, and only what the environment added is read. Masks and positions are always explicit. Models without plain
attention caches (state-space and hybrid ones) are recomputed at every token: correct, and slow.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentgym.core.errors import ConfigError
from agentgym.core.policy import BatchPolicy, Completion, Request
from agentgym.policies.decoding import CachedDecoder, Decoder, RecomputingDecoder, decode
from agentgym.policies.rendering import HFRenderer

_log = logging.getLogger(__name__)

_THREAD_ABOVE = 20_000_000
"""Parameters above which generation leaves the event loop: below, a thread costs more than it frees."""


class TransformersPolicy(BatchPolicy):
    """A causal language model that continues conversations.

    Args:
        model: A model, a local path or a name on the Hugging Face hub.
        tokenizer: Its tokenizer. By default the one that lies beside the weights.
        device: Such as ``"cpu"`` or ``"cuda:0"``. By default a GPU if there is one; a model that is given stays put.
        dtype: Of the weights that are loaded, such as ``"bfloat16"``. By default bfloat16 on a GPU, float32 on a CPU.
        autocast: Type that forward passes compute in while weights keep theirs, such as ``"bfloat16"``, as a learner
            does that keeps its weights in float32. By default the weights' own.
        template_kwargs: Passed to the chat template, such as ``{"enable_thinking": False}``.
        max_batch: Requests that are answered together.
        cache_rows: Episodes whose keys and values are kept; at least ``max_batch``.

    Raises:
        ConfigError: There is no such model, or no tokenizer for it.
    """

    name = "transformers"
    deterministic = False  # rounding depends on what else is in the batch

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        device: str | None = None,
        dtype: str | None = None,
        autocast: str | None = None,
        template_kwargs: dict[str, Any] | None = None,
        max_batch: int = 64,
        cache_rows: int = 128,
    ) -> None:
        super().__init__()
        if isinstance(model, str | Path):
            model, tokenizer = load_model(str(model), tokenizer, device=device, dtype=dtype)
        elif tokenizer is None:
            raise ConfigError("A model that is given as an object needs its tokenizer: pass `tokenizer=`.")
        self.model = model
        self.tokenizer = tokenizer
        self.renderer = self._renderer = HFRenderer(tokenizer, template_kwargs)
        self.max_batch = max_batch
        self.device: torch.device = next(model.parameters()).device
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)
        self.threaded = sum(parameter.numel() for parameter in model.parameters()) > _THREAD_ABOVE
        self._ends = self._renderer.final_ids | _generation_ends(model)
        self._autocast = None if autocast is None else _torch_dtype(autocast)
        with self._precision():
            self._decoder = _decoder(model, max(cache_rows, max_batch))

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One message for each request, sampled together."""
        prompts = [self._prompt(request) for request in requests]
        context = self.context or sys.maxsize
        completions: list[Completion | None] = [None] * len(requests)
        for batch in _without_repeats(requests):
            fitting = [index for index in batch if len(prompts[index]) < context]
            with self._precision():
                drawn = decode(
                    self._decoder,
                    [requests[index] for index in fitting],
                    [prompts[index] for index in fitting],
                    self._ends,
                    self._renderer.decode,
                    context,
                    self.device,
                )
            for index, message in zip(fitting, drawn, strict=True):
                completions[index] = Completion(
                    text=self._renderer.decode(message.tokens),
                    token_ids=message.tokens,
                    logprobs=message.logprobs,
                    finish_reason=message.finish_reason,
                    weight_version=self.weight_version,
                )
        full = Completion("", [], [], "length", self.weight_version)  # the context has no room for another token
        return [completion or full for completion in completions]

    def updated(self, weight_version: int) -> None:
        """Call after the weights changed: what was computed with the old ones is dropped."""
        self.weight_version = weight_version
        self._decoder.forget()

    def close(self) -> None:
        """Frees the memory of the cache."""
        self._decoder.forget()

    def _precision(self) -> AbstractContextManager[Any]:
        """Entered in the thread that computes: autocast is a thread's own."""
        return torch.autocast(self.device.type, dtype=self._autocast, enabled=self._autocast is not None)

    def _prompt(self, request: Request) -> list[int]:
        if request.prompt_ids is not None:
            return list(request.prompt_ids)
        return self._renderer.initial(request.messages, request.tools, request.layout)


def _torch_dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise ConfigError(f"Unknown type {name!r}. Expected one of torch, such as 'bfloat16' or 'float32'.")
    return dtype


def load_model(
    name: str, tokenizer: Any = None, *, device: str | None = None, dtype: str | None = None
) -> tuple[Any, Any]:
    """A causal language model and its tokenizer from a local path or the hub; arguments as for the policy.

    Raises:
        ConfigError: There is no such model, or no tokenizer for it.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
    try:
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, attn_implementation="sdpa")
        tokenizer = tokenizer or AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Can't load a causal language model from {name!r}: {error} Expected a folder with weights and a tokenizer,"
            " or a name on the Hugging Face hub."
        ) from error
    module: Any = model
    return module.to(device).eval(), tokenizer


def _generation_ends(model: Any) -> frozenset[int]:
    ends = getattr(model.generation_config, "eos_token_id", None)
    return frozenset([ends] if isinstance(ends, int) else ends or ())


def _decoder(model: Any, cache_rows: int) -> Decoder:
    """The cached decoder where it gives what the plain forward pass gives, else the one that recomputes."""
    takes_positions = "position_ids" in inspect.signature(model.forward).parameters or hasattr(model, "peft_config")
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    if takes_positions and kinds <= {"full_attention", "sliding_attention"}:
        cached = CachedDecoder(model, cache_rows)
        if cached.agrees():
            return cached
    _log.warning("%s: no key-value reuse; every token recomputes its context.", type(model).__name__)
    return RecomputingDecoder(model)


def _without_repeats(requests: Sequence[Request]) -> list[list[int]]:
    """Indices of requests in batches in which no episode occurs twice: each has one row of the cache."""
    batches: list[list[int]] = []
    seen: dict[str, int] = {}
    for index, request in enumerate(requests):
        batch = seen.get(request.episode_id, 0)
        seen[request.episode_id] = batch + 1
        if batch == len(batches):
            batches.append([])
        batches[batch].append(index)
    return batches
