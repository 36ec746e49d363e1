"""Drawing tokens, with the log-probability that each was drawn with.

One uniform number a token, from the seed of the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agentgym.core.policy import Request, Sampling


class Draws(NamedTuple):
    """What one decoding step drew."""

    tokens: Tensor
    """int64 [B]."""
    logprobs: Tensor
    """float32 [B], natural log under the distribution that was drawn from: after temperature, top-k and top-p."""


class Sampler:
    """Draws the tokens of a batch of requests; row ``b`` follows ``requests[b]`` alone.

    Args:
        requests: One a row. Uniform number ``k`` of a row depends on the request's seed and on ``k`` only.
        device: Where logits live.
    """

    def __init__(self, requests: Sequence[Request], device: torch.device) -> None:
        self._samplings = [request.sampling for request in requests]
        longest = max((sampling.max_tokens for sampling in self._samplings), default=1)
        uniforms = np.empty((longest, len(requests)))
        for row, request in enumerate(requests):
            uniforms[:, row] = np.random.Generator(np.random.Philox(key=request.seed % 2**64)).random(longest)
        self._uniforms_T_B = torch.from_numpy(uniforms).to(device)
        self._device = device

    def draw(self, logits_B_V: Tensor, rows: Tensor, row_list: Sequence[int], step: int) -> Draws:
        """Draws token number ``step`` of each row.

        Args:
            logits_B_V: Of the rows asked for, in their order.
            rows: Which requests those are, int64 [B].
            row_list: The same as Python integers.
            step: How many tokens of the message were drawn before.
        """
        samplings = [self._samplings[row] for row in row_list]
        return draw(logits_B_V, samplings, self._uniforms_T_B[step].index_select(0, rows))


def draw(logits_B_V: Tensor, samplings: Sequence[Sampling], uniform_B: Tensor) -> Draws:
    """Inverse-CDF sampling: the first token whose cumulated probability passes ``uniform``.

    Temperature 0 takes the most likely token (the first of equals), with log-probability 0: it was certain.
    """
    logits = logits_B_V.float()
    temperatures = [sampling.temperature for sampling in samplings]
    greedy = [temperature == 0 for temperature in temperatures]
    if all(greedy):
        return Draws(logits.argmax(-1), logits.new_zeros(len(logits)))
    if any(temperature != 1 for temperature in temperatures):
        divisor = logits.new_tensor([temperature or 1.0 for temperature in temperatures])
        logits = logits / divisor[:, None]
    logits = truncate(logits, samplings)
    logprobs = logits.log_softmax(-1)
    cumulated = logprobs.double().exp().cumsum(-1)
    total = cumulated[:, -1:]
    threshold = torch.minimum(uniform_B[:, None].double() * total, torch.nextafter(total, torch.zeros_like(total)))
    tokens = torch.searchsorted(cumulated, threshold, right=True).squeeze(-1)
    drawn = logprobs.gather(-1, tokens[:, None]).squeeze(-1)
    if any(greedy):
        certain = torch.tensor(greedy, device=logits.device)
        tokens = torch.where(certain, logits.argmax(-1), tokens)
        drawn = torch.where(certain, torch.zeros_like(drawn), drawn)
    return Draws(tokens, drawn)


def truncate(logits_B_V: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """Keeps the ``top_k`` most likely tokens, and of those the fewest whose probability reaches ``top_p``.

    Tokens outside get -inf. Ties at the border of ``top_k`` are all kept; the most likely token always is.
    """
    size = logits_B_V.shape[-1]
    limits = [min(sampling.top_k or size, size) for sampling in samplings]
    if any(limit < size for limit in limits):
        top = logits_B_V.topk(max(limit if limit < size else 1 for limit in limits), dim=-1).values
        index = torch.tensor([limit - 1 if limit < size else 0 for limit in limits], device=logits_B_V.device)
        border = top.gather(-1, index[:, None])
        unlimited = torch.tensor([limit == size for limit in limits], device=logits_B_V.device)
        border = border.masked_fill(unlimited[:, None], float("-inf"))
        logits_B_V = logits_B_V.masked_fill(logits_B_V < border, float("-inf"))
    if any(sampling.top_p < 1 for sampling in samplings):
        ordered, order = logits_B_V.sort(dim=-1, descending=True, stable=True)
        probabilities = ordered.softmax(-1)
        before = probabilities.cumsum(-1) - probabilities
        top_p = logits_B_V.new_tensor([sampling.top_p if sampling.top_p < 1 else 2.0 for sampling in samplings])
        outside = before >= top_p[:, None]
        logits_B_V = logits_B_V.masked_fill(outside.scatter(-1, order, outside), float("-inf"))
    return logits_B_V
