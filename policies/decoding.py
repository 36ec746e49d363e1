"""The decoding loop, and the two ways to run a model under it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from agentgym.core.policy import FinishReason, Request
from agentgym.policies.kv_cache import RowCache
from agentgym.policies.sampling import Sampler
from agentgym.policies.stopping import StopStrings

_PREFILL_TOKENS = 16_384
"""Tokens of one forward pass over prompts. Longer prompts are read in several."""

_EXACT = (torch.float32, torch.float64)
_PROBE_TOLERANCE = 1e-3
_COARSE_TOLERANCE = 0.3
"""Largest difference of log-probabilities at which two ways of running a model count as equal: of 32 bits, of 16."""


@dataclass
class Message:
    """What one request has got so far."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason = "length"


class Decoder(Protocol):
    """Runs a model over growing contexts, one row each."""

    def start(self, episodes: Sequence[str], prompts: Sequence[list[int]], room: int) -> tuple[list[int], Tensor]:
        """Reads prompts.

        Args:
            episodes: Distinct names.
            prompts: At least one token each.
            room: How many tokens will follow at most.

        Returns:
            The index of each row's prompt (rows may stand in another order), and the logits [B, V] that follow.
        """
        ...

    def step(self, tokens: Sequence[int], alive: Sequence[bool], device_tokens: Tensor) -> Tensor:
        """Appends a token to the rows that are alive; the logits [B, V] that follow. Others' logits mean nothing."""
        ...

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Goes on with these rows (sorted) only. Returns, for each row from now on, which one it was."""
        ...

    def forget(self) -> None:
        """Drops what was computed with weights that have changed since."""
        ...


@torch.inference_mode()
def decode(
    decoder: Decoder,
    requests: Sequence[Request],
    prompts: Sequence[list[int]],
    ends: frozenset[int],
    to_text: Callable[[Sequence[int]], str],
    context: int,
    device: torch.device,
) -> list[Message]:
    """Samples one message for each request.

    Args:
        decoder: Runs the model.
        requests: Of distinct episodes.
        prompts: Their contexts.
        ends: Tokens that end a message.
        to_text: Decodes tokens, to look for stop strings.
        context: Tokens that a context holds at most.
        device: Where the model lives.

    Returns:
        The messages, in the order of the requests.
    """
    if not requests:
        return []
    limits = [
        min(request.sampling.max_tokens, context - len(prompt))
        for request, prompt in zip(requests, prompts, strict=True)
    ]
    messages = [Message() for _ in requests]
    stops = [StopStrings(request.stop, to_text) for request in requests]
    sampler = Sampler(requests, device)
    rows, logits = decoder.start([request.episode_id for request in requests], prompts, max(limits))
    alive = [True] * len(rows)
    index = torch.tensor(rows, device=device)
    for step in range(max(limits)):
        draws = sampler.draw(logits, index, rows, step)
        tokens, logprobs = draws.tokens.tolist(), draws.logprobs.tolist()
        for row, request in enumerate(rows):
            if alive[row]:
                message = messages[request]
                message.tokens.append(tokens[row])
                message.logprobs.append(logprobs[row])
                if tokens[row] in ends or stops[request].hit(message.tokens):
                    message.finish_reason = "stop"
                    alive[row] = False
                elif step + 1 == limits[request]:
                    alive[row] = False
        if not any(alive):
            break
        drawn = draws.tokens
        if sum(alive) <= len(rows) // 2:  # most rows are done: go on with the others alone
            kept = decoder.keep([row for row, lives in enumerate(alive) if lives])
            rows, tokens = [rows[row] for row in kept], [tokens[row] for row in kept]
            alive = [True] * len(rows)
            index = torch.tensor(rows, device=device)
            drawn = drawn[torch.tensor(kept, device=device)]
        logits = decoder.step(tokens, alive, drawn)
    return messages


class CachedDecoder:
    """Keeps keys and values per episode, and reads only what is new."""

    def __init__(self, model: Any, cache_rows: int) -> None:
        self._model = model
        self._cache = RowCache(cache_rows)
        self._device: torch.device = next(model.parameters()).device
        self._dtype = next(model.parameters()).dtype
        kinds = getattr(model.config, "layer_types", None) or ()
        self._window = getattr(model.config, "sliding_window", None)
        self._kinds = sorted(set(kinds)) or (["sliding_attention"] if self._window else ["full_attention"])
        self._boolean = getattr(model.config, "_attn_implementation", None) == "sdpa"
        self._rows = 0

    def start(self, episodes: Sequence[str], prompts: Sequence[list[int]], room: int) -> tuple[list[int], Tensor]:
        """See ``Decoder.start``."""
        order = self._cache.claim(episodes)
        self._rows = len(order)
        self._cache.reserve(max(map(len, prompts)) + room)
        news = []
        for row, request in enumerate(order):
            prompt, held = prompts[request], self._cache.tokens[row]
            common = min(_common_prefix(held, prompt), len(prompt) - 1)
            news.append(prompt[common:])
            self._cache.tokens[row] = list(prompt)
        width = max(map(len, news))
        # New tokens stand at the right, so that every row's last logits are in the last column.
        ids = torch.tensor([[0] * (width - len(new)) + new for new in news], device=self._device)
        starts = [len(self._cache.tokens[row]) - width for row in range(self._rows)]
        positions = torch.tensor(starts, device=self._device)[:, None] + torch.arange(width, device=self._device)
        padding = torch.tensor([width - len(new) for new in news], device=self._device)[:, None]
        positions = positions.masked_fill(torch.arange(width, device=self._device) < padding, -1)
        chunk = max(1, _PREFILL_TOKENS // self._rows)
        pieces = zip(torch.split(ids, chunk, dim=1), torch.split(positions, chunk, dim=1), strict=True)
        *_, logits = (self._forward(*piece) for piece in pieces)
        return order, logits

    def step(self, tokens: Sequence[int], alive: Sequence[bool], device_tokens: Tensor) -> Tensor:
        """See ``Decoder.step``."""
        positions = []
        for row, (token, lives) in enumerate(zip(tokens, alive, strict=True)):
            positions.append(len(self._cache.tokens[row]) if lives else -1)
            if lives:
                self._cache.tokens[row].append(token)
        return self._forward(device_tokens[:, None], torch.tensor(positions, device=self._device)[:, None])

    def keep(self, rows: Sequence[int]) -> list[int]:
        """See ``Decoder.keep``."""
        kept = list(range(len(rows)))
        for a, b in self._cache.to_front(rows):
            kept[a] = b
        self._rows = len(rows)
        return kept

    def forget(self) -> None:
        """See ``Decoder.forget``."""
        self._cache.forget()

    def _forward(self, ids_B_S: Tensor, positions_B_S: Tensor) -> Tensor:
        """Logits [B, V] after the last column. Negative positions are padding."""
        length = int(positions_B_S.max()) + 1
        self._cache.begin(positions_B_S, length)
        clamped = positions_B_S.clamp(min=0)
        output = self._model(
            input_ids=ids_B_S,
            position_ids=clamped,
            attention_mask=self._masks(clamped, length),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1]
        return logits

    def _masks(self, positions_B_S: Tensor, length: int) -> Any:
        """Who sees whom, [B, 1, S, length]: columns up to the own one, and inside the window where there is one."""
        columns = torch.arange(length, device=self._device)
        causal = columns <= positions_B_S[:, None, :, None]
        masks = {}
        for kind in self._kinds:
            seen = causal
            if kind == "sliding_attention" and self._window:
                seen = causal & (columns > positions_B_S[:, None, :, None] - self._window)
            masks[kind] = seen if self._boolean else self._additive(seen)
        return masks if len(masks) > 1 else masks[self._kinds[0]]

    def _additive(self, seen: Tensor) -> Tensor:
        zeros = torch.zeros(seen.shape, dtype=self._dtype, device=self._device)
        return zeros.masked_fill(~seen, torch.finfo(self._dtype).min)

    @torch.inference_mode()
    def agrees(self) -> bool:
        """Whether two turns through the cache give the log-probabilities of one plain forward pass."""
        vocabulary = self._model.get_input_embeddings().weight.shape[0]
        first, second = [[3, 5, 7], [11, 13, 17, 19, 23]], [[29, 31], [37]]
        first, second = ([[token % vocabulary for token in row] for row in part] for part in (first, second))
        wholes = [a + b for a, b in zip(first, second, strict=True)]
        try:
            self.start(["probe 0", "probe 1"], first, 4)
            order, logits = self.start(["probe 0", "probe 1"], wholes, 4)
            plain = [self._model(torch.tensor([wholes[row]], device=self._device)).logits[0, -1] for row in order]
        except (TypeError, ValueError, RuntimeError, NotImplementedError, AttributeError, IndexError):
            return False
        finally:
            self.forget()
        difference = logits.float().log_softmax(-1) - torch.stack(plain).float().log_softmax(-1)
        exact = self._dtype in _EXACT and not torch.is_autocast_enabled(self._device.type)
        return bool(difference.abs().max() <= (_PROBE_TOLERANCE if exact else _COARSE_TOLERANCE))


class RecomputingDecoder:
    """Reads the whole context for every token. For models that keep a state other than keys and values."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._device: torch.device = next(model.parameters()).device
        self._contexts: list[list[int]] = []

    def start(self, episodes: Sequence[str], prompts: Sequence[list[int]], room: int) -> tuple[list[int], Tensor]:
        """See ``Decoder.start``."""
        self._contexts = [list(prompt) for prompt in prompts]
        return list(range(len(prompts))), self._forward()

    def step(self, tokens: Sequence[int], alive: Sequence[bool], device_tokens: Tensor) -> Tensor:
        """See ``Decoder.step``."""
        for context, token in zip(self._contexts, tokens, strict=True):
            context.append(token)
        return self._forward()

    def keep(self, rows: Sequence[int]) -> list[int]:
        """See ``Decoder.keep``."""
        self._contexts = [self._contexts[row] for row in rows]
        return list(rows)

    def forget(self) -> None:
        """Nothing is kept."""

    def _forward(self) -> Tensor:
        # Padding stands at the right, where neither attention nor a recurrent state reaches it from the left.
        width = max(map(len, self._contexts))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in self._contexts], device=self._device)
        logits = self._model(input_ids=ids, use_cache=False).logits
        last = torch.tensor([len(row) - 1 for row in self._contexts], device=self._device)
        following: Tensor = logits[torch.arange(len(last), device=self._device), last]
        return following


def _common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    length = min(len(left), len(right))
    if left[:length] == right[:length]:
        return length
    return next(index for index in range(length) if left[index] != right[index])
