"""What a policy gets to read of an episode that grows: everything, a sliding window, or a summary and what came last.

A strategy says which exchanges stand in the next context and which text stands for those before. The conversation turns
that into messages and tokens; where the context isn't the one before with something appended, a new segment begins.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from agentgym.core.errors import ConfigError
from agentgym.core.registry import Registry, load
from agentgym.core.text import Message


@dataclass(slots=True)
class Exchange:
    """One message of the policy and what the environment replied."""

    message: str
    reply: Sequence[Message]
    ids: Sequence[int] | None
    """Tokens of both, up to where the next message starts, as they stand in the segment; None without tokens."""


class View(NamedTuple):
    """What stands in a context: the opening always, then ``summary``, then the exchanges from ``first`` on."""

    first: int = 0
    summary: str = ""


class ContextStrategy(ABC):
    """Chooses what stands in the next context. Holds no state of an episode, so that one object serves all of them."""

    blocking: bool = False
    """Whether ``view`` may take long (a model that summarises): it is then called in a thread."""

    @abstractmethod
    def view(self, exchanges: Sequence[Exchange], before: View) -> View:
        """The view of the next message.

        Args:
            exchanges: All of the episode so far, oldest first.
            before: The view of the message before.
        """


class Full(ContextStrategy):
    """The whole history. What a message is sampled from is what came before it, so an episode is one segment."""

    def view(self, exchanges: Sequence[Exchange], before: View) -> View:
        """See ``ContextStrategy.view``."""
        return before


class Window(ContextStrategy):
    """The opening and the last exchanges.

    Args:
        turns: How many exchanges are kept.
        tokens: Or: as many as fit into this many tokens, one at least. Needs a policy with tokens.
    """

    def __init__(self, turns: int | None = None, tokens: int | None = None) -> None:
        if (turns is None) == (tokens is None) or (turns or tokens or 0) < 1:
            raise ConfigError(f"A window holds a number of turns or of tokens above 0, got {turns} and {tokens}.")
        self.turns, self.tokens = turns, tokens

    _SIZE: ClassVar = re.compile(r"(\d+)( ?tokens)?")

    @classmethod
    def parse(cls, argument: str) -> Window:
        """``"8"`` is eight turns, ``"4096tokens"`` as many as fit."""
        found = cls._SIZE.fullmatch(argument)
        if found is None:
            raise ConfigError(
                f"A window is written 'window:8' (turns) or 'window:4096tokens', got 'window:{argument}'."
            )
        size = int(found[1])
        return cls(tokens=size) if found[2] else cls(turns=size)

    def view(self, exchanges: Sequence[Exchange], before: View) -> View:
        """See ``ContextStrategy.view``."""
        if self.turns is not None:
            return View(max(0, len(exchanges) - self.turns))
        assert self.tokens is not None
        first, left = len(exchanges), self.tokens
        while first > 0:
            ids = exchanges[first - 1].ids
            if ids is None:
                raise ConfigError("A window of tokens needs a policy with tokens; count turns instead: 'window:8'.")
            left -= len(ids)
            if left < 0 and first < len(exchanges):
                break
            first -= 1
        return View(max(first, before.first))


Summariser = Callable[[str, Sequence[Exchange]], str]
"""``(summary so far, exchanges that leave the context) -> new summary``. Equal arguments must give equal texts."""


class Summary(ContextStrategy):
    """A summary of the older exchanges, and the last ones as they were.

    Args:
        summarise: Writes the summary. An attribute ``blocking = True`` on it has it called in a thread.
        keep: Exchanges that stay when older ones are summarised.
        every: Exchanges beyond which older ones are summarised; contexts in between only grow.
    """

    def __init__(self, summarise: Summariser, keep: int = 2, every: int = 8) -> None:
        if not 0 < keep <= every:
            raise ConfigError(f"A summary keeps at least 1 turn and at most `every` ({every}), got keep={keep}.")
        self.summarise, self.keep, self.every = summarise, keep, every
        self.blocking = bool(getattr(summarise, "blocking", False))

    @classmethod
    def parse(cls, argument: str) -> Summary:
        """``"clip"``, ``"clip,keep=2,every=8"``, or ``module:function`` in the place of a registered name."""
        name, *pairs = (part.strip() for part in (argument or "clip").split(","))
        sizes: dict[str, int] = {}
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key not in ("keep", "every") or not value.isdecimal():
                raise ConfigError(f"A summary is written 'summary:clip,keep=2,every=8', got 'summary:{argument}'.")
            sizes[key] = int(value)
        summarise = load(name) if ":" in name else SUMMARISERS.get(name)
        return cls(summarise, **sizes)

    def view(self, exchanges: Sequence[Exchange], before: View) -> View:
        """See ``ContextStrategy.view``."""
        if len(exchanges) - before.first <= self.every:
            return before
        first = len(exchanges) - self.keep
        return View(first, self.summarise(before.summary, exchanges[before.first : first]))


def clip(summary: str, exchanges: Sequence[Exchange]) -> str:
    """A summariser without a model: the beginning of every message and reply."""
    lines = [summary] if summary else []
    for exchange in exchanges:
        reply = " ".join(message["content"] for message in exchange.reply)
        lines += [f"- wrote: {_start(exchange.message)}", f"  read: {_start(reply)}"]
    return "\n".join(lines)


def _start(text: str, limit: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


SUMMARISERS: Registry[Summariser] = Registry("summariser")
SUMMARISERS.register("clip", clip, "the beginning of every message and reply")

CONTEXTS: Registry[Callable[[str], ContextStrategy]] = Registry("context strategy")
"""Name -> what builds the strategy from the text behind the colon."""


def _full(argument: str) -> ContextStrategy:
    if argument:
        raise ConfigError(f"The context strategy 'full' takes no argument, got {argument!r}.")
    return Full()


CONTEXTS.register("full", _full, "the whole history")
CONTEXTS.register("window", Window.parse, "the opening and the last turns: window:8, window:4096tokens")
CONTEXTS.register("summary", Summary.parse, "a summary of older turns: summary:clip,keep=2,every=8")


def context_strategy(text: str) -> ContextStrategy:
    """The strategy that ``"name"`` or ``"name:argument"`` means.

    Raises:
        ConfigError: The argument isn't one. UnknownNameError: No such strategy.
    """
    name, _, argument = text.partition(":")
    if name.isdecimal():
        raise ConfigError(
            f"{text!r} is no context strategy; known: {', '.join(CONTEXTS)}. To limit its length use"
            f" --context-tokens {text}."
        )
    return CONTEXTS.get(name)(argument)
