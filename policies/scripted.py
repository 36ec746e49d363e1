"""The expert of an environment as a policy, with as many mistakes as asked for."""

from __future__ import annotations

from typing import Any

from agentgym.core.errors import ConfigError
from agentgym.core.policy import Completion, FinishReason, Policy, Renderer, Request
from agentgym.core.seeding import derive_rng
from agentgym.core.text import TruncatedMessage


class ScriptedPolicy(Policy):
    """Writes what the game's expert would write.

    Args:
        mistake_rate: Probability that a message is a plausible wrong one instead.
        renderer: Of the model that is to learn from the episodes: they then hold its tokens, marked as policy tokens
            with log-probability 0 (the expert was certain). None: the episodes are text.
    """

    name = "scripted"
    bound = True

    def __init__(self, mistake_rate: float = 0.0, renderer: Renderer | None = None) -> None:
        if not 0 <= mistake_rate <= 1:
            raise ConfigError(f"mistake_rate must be a probability, got {mistake_rate}.")
        self.mistake_rate = mistake_rate
        self.renderer = renderer

    async def act(self, request: Request) -> Completion:
        """See ``Policy.act``."""
        rng = derive_rng(request.seed, "expert")
        text = live(request, self.name).expert_message(mistake_rate=self.mistake_rate, rng=rng)
        return written(text, self.renderer)


def live(request: Request, name: str) -> Any:
    """The environment of a request, for policies that need it.

    Raises:
        ConfigError: The request carries none.
    """
    if request.env is None:
        raise ConfigError(f"The policy {name!r} plays live environments; this request carries none (`Request.env`).")
    return request.env


def written(text: str, renderer: Renderer | None) -> Completion:
    """A message that no model sampled, as tokens of ``renderer`` where there is one. A cut message has no end token."""
    cut = isinstance(text, TruncatedMessage)
    reason: FinishReason = "length" if cut else "stop"
    if renderer is None:
        return Completion(text, finish_reason=reason)
    ids = [*renderer.encode(text), *(() if cut else renderer.end_message())]
    return Completion(text, ids, [0.0] * len(ids), reason)
