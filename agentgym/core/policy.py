"""What a policy is: something that continues a conversation.

A policy sees requests, never environments. Token-faithful policies read ``prompt_ids`` and return the ids that they
sampled; policies behind a chat server read ``messages``; scripted ones are bound to the live environment.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from agentgym.core.errors import ConfigError
from agentgym.core.text import Message

FinishReason = Literal["stop", "length", "abort"]
"""``stop``: end token or stop string. ``length``: cut by ``max_tokens``. ``abort``: the engine gave up."""

Layout = Literal["chat", "inline"]
"""``chat``: one chat message a turn. ``inline``: observations go into the same assistant stream (Search-R1, IGPO)."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a policy samples. Temperature 0 is greedy."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0: no limit."""
    max_tokens: int = 256
    """New tokens a message."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(f"temperature must be at least 0 and finite, got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be in (0, 1], got {self.top_p}.")
        if self.top_k < 0:
            raise ConfigError(f"top_k must be at least 0 (0 means no limit), got {self.top_k}.")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1, got {self.max_tokens}.")


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a policy: write the next message of this conversation."""

    episode_id: str
    """Stable within an episode: the key of caches and of sticky routing."""
    turn: int
    messages: Sequence[Message]
    """The conversation so far, oldest first. Ends with what the environment said last."""
    prompt_ids: Sequence[int] | None
    """The same context as tokens, with everything sampled before kept as it was. None without a renderer."""
    stop: tuple[str, ...]
    """Stop strings. They stay in the output."""
    seed: int
    """Of this message. Equal requests with equal seeds give equal completions, whatever else is in the batch."""
    sampling: Sampling
    tools: Sequence[dict[str, Any]] = ()
    """JSON schemas of what can be called, in OpenAI's form."""
    layout: Layout = "chat"
    env: Any = None
    """The live environment, for policies that are bound to it (``Policy.bound``). None for all others."""


class Usage(NamedTuple):
    """What messages cost, as the server counts it."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    """In the currency of the price table; 0 without one."""

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """What a policy wrote."""

    text: str
    token_ids: Sequence[int] | None = None
    """Ids that were sampled, end token included where one was sampled. None: the policy has no tokens."""
    logprobs: Sequence[float] | None = None
    """Natural log of each sampled token's probability under the distribution that it was drawn from."""
    finish_reason: FinishReason = "stop"
    weight_version: int = 0
    versions: Sequence[int] | None = None
    """Weight version of each token, where an update came while the message was written. None: ``weight_version``."""
    prompt_ids: Sequence[int] | None = None
    """What the engine read, where it rendered the messages itself and says so."""
    usage: Usage | None = None


class Renderer(Protocol):
    """Turns what the environment says into tokens. Never re-tokenises what the policy wrote.

    A renderer whose template writes earlier messages differently once more follow (thinking stripped, tools beside the
    last question) also has ``rewrites = True`` and ``continues``, see `RewritingRenderer`.
    """

    def initial(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]], layout: Layout) -> list[int]:
        """Tokens of the first prompt, up to where the policy starts to write."""
        ...

    def suffix(self, messages: Sequence[Message], layout: Layout, *, closed: bool) -> list[int]:
        """Tokens to append after a sampled message: its end where missing, the reply, the next message's start.

        Args:
            messages: What the environment replied.
            layout: As in ``initial``.
            closed: Whether the sampled ids already end with the end-of-message token.
        """
        ...

    def is_closed(self, token_ids: Sequence[int]) -> bool:
        """Whether sampled ids end with the end-of-message token."""
        ...

    def encode(self, text: str) -> list[int]:
        """Tokens of plain text, without special tokens added. Used for messages that no model sampled."""
        ...

    def end_message(self) -> list[int]:
        """The end-of-message token(s) that a model is expected to sample."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of sampled ids, without the end-of-message token."""
        ...


class RewritingRenderer(Renderer, Protocol):
    """A renderer whose chat template rewrites history."""

    rewrites: bool
    """Whether it may happen at all. False: ``continues`` is never asked."""

    def continues(
        self,
        before: Sequence[Message],
        answer: Message,
        reply: Sequence[Message],
        tools: Sequence[dict[str, Any]],
    ) -> bool:
        """Whether ``before`` and ``answer`` stand unchanged in the rendering of ``before + answer + reply``."""
        ...


class Policy(ABC):
    """Continues conversations. Implement ``act``, or subclass ``BatchPolicy`` and implement ``generate``."""

    name: str = "policy"
    renderer: Renderer | None = None
    """None: the policy has no tokens, and its records are not token-faithful."""
    weight_version: int = 0
    context: int | None = None
    """Longest sequence that it can read and write, in tokens; rollouts end an episode before it is exceeded."""
    bound: bool = False
    """Whether requests must carry the live environment (experts, people)."""
    deterministic: bool = True
    """Whether equal requests give equal completions to the byte, in any batch."""

    @abstractmethod
    async def act(self, request: Request) -> Completion:
        """The next message. Raises ``Fault("policy", ...)`` when the engine fails."""

    def close(self) -> None:  # noqa: B027 - most policies hold nothing
        """Frees what the policy holds. Safe to call twice."""


class BatchPolicy(Policy):
    """A policy that answers many requests at once.

    ``act`` gathers the requests of all episodes that are waiting and answers them together: the first waiting request
    schedules a flush for the next turn of the event loop, by which time every other runnable episode has asked too.
    No timers, so batches are the same from run to run.
    """

    max_batch: int = 64
    threaded: bool = True
    """Run ``generate`` in a thread, so that the event loop stays free."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Request, asyncio.Future[Completion]]] = []
        self._busy = False

    @abstractmethod
    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion a request, in order."""

    async def act(self, request: Request) -> Completion:
        """See ``Policy.act``."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Completion] = loop.create_future()
        self._waiting.append((request, future))
        if not self._busy:
            self._busy = True
            self._flush_task = loop.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # let every other runnable episode ask first
                batch, self._waiting = self._waiting[: self.max_batch], self._waiting[self.max_batch :]
                requests = [request for request, _ in batch]
                try:
                    if self.threaded:
                        completions = await asyncio.to_thread(self.generate, requests)
                    else:
                        completions = self.generate(requests)
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, future), completion in zip(batch, completions, strict=True):
                    if not future.done():
                        future.set_result(completion)
                await asyncio.sleep(0)
        finally:
            self._busy = False


@dataclass
class PolicySpec:
    """How to build a policy again: registry name and keyword arguments. Stored with every run."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
