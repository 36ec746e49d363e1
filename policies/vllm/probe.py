"""Does the engine hold the learner's weights? A fixed prompt's log-probabilities under both say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from agentgym.core.errors import AgentGymError

PROMPTS, LENGTH = 2, 48


class WeightsError(AgentGymError, RuntimeError):
    """The engine and the learner disagree after an update. Training on such samples is training on another policy."""


@dataclass(frozen=True)
class Probe:
    """Prompts of fixed random tokens, and what the learner makes of them.

    Attributes:
        prompts: ``PROMPTS`` rows of ``LENGTH`` token ids.
        expected: float64 [PROMPTS, LENGTH - 1], natural logs, of all tokens but the first ones.
    """

    prompts: list[list[int]]
    expected: npt.NDArray[np.float64]

    @classmethod
    def of(cls, learner: Any) -> Probe:
        """What ``learner`` makes of the prompts."""
        size = int(learner.get_input_embeddings().weight.shape[0])
        length = min(LENGTH, (getattr(learner.config, "max_position_embeddings", None) or LENGTH) - 1)
        prompts = np.random.Generator(np.random.Philox(key=20)).integers(0, size, (PROMPTS, length))
        training = learner.training
        learner.eval()
        try:
            with torch.inference_mode():
                ids = torch.as_tensor(prompts, device=next(learner.parameters()).device)
                logprobs = learner(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)
                found = logprobs[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
        finally:
            learner.train(training)
        return cls(prompts.tolist(), found.double().cpu().numpy())

    def check(self, found: Sequence[Sequence[float]], before: Probe | None, tolerance: float) -> float:
        """The largest difference to what the engine found.

        Args:
            found: The engine's log-probabilities of the prompts.
            before: The probe of the weights before: an engine closer to those has kept them, in whole or in part, even
                where the difference is too small for the tolerance.
            tolerance: Largest mean difference in nats: of rounding.

        Raises:
            WeightsError: They disagree.
        """
        values = np.asarray(found, dtype=np.float64)
        difference = np.abs(values - self.expected)
        why = ""
        if not np.isfinite(values).all():
            why = "the engine's are not numbers"
        elif difference.mean() > tolerance:
            why = f"they differ by {difference.mean():.2g} on average and by up to {difference.max():.2g}"
        elif before is not None and before.expected.shape == self.expected.shape:
            moved = np.abs(before.expected - self.expected).mean()
            if np.abs(values - before.expected).mean() < difference.mean() and moved > 4 * _NOISE:
                why = "the engine's are still those of the weights before"
        if why:
            raise WeightsError(
                f"After the update the engine doesn't have the learner's weights: of the log-probabilities of a fixed"
                f" prompt, {why}. On a CPU vLLM keeps the old output layer of models with tied embeddings: serve an"
                " untied copy (agentgym.policies.vllm.weights:untie). Else compare the model's configuration, dtype and"
                " parameter names on both sides."
            )
        return float(difference.max())


_NOISE = 1e-6
"""Nats by which two float32 forward passes differ."""
