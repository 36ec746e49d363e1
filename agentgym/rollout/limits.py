"""Budgets of an episode, how often a failure is tried again, and what is kept beside the records."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from agentgym.core.errors import ConfigError
from agentgym.core.records import FaultRecord


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets that the rollout keeps; the environment keeps those of turns and tool calls. None: no limit."""

    context_tokens: int | None = None
    """Prompt and message of one turn together. Checked for policies with a renderer."""
    episode_tokens: int | None = None
    """Tokens that the policy writes in an episode."""
    seconds: float | None = None
    """Wall time of an episode: reset, turns and grading. A policy that is still writing then is left behind and the
    episode closed with the reason ``deadline``; an environment that does not return is a fault."""
    call_seconds: float | None = None
    """Wall time of one request to the policy or one call of the environment. Longer is a fault at that boundary."""

    def __post_init__(self) -> None:
        for name in ("context_tokens", "episode_tokens", "seconds", "call_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} must be above 0 and finite, got {value}.")


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a failure is tried again before it is final."""

    requests: int = 3
    """A request to the policy, again with the same seed. Safe: a request changes nothing."""
    episodes: int = 2
    """The whole episode from its reset, with the same seeds and a fresh environment, after a failure of the
    environment, a tool, a sandbox, a grader or the grammar."""

    def __post_init__(self) -> None:
        for name in ("requests", "episodes"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} to try again must be at least 0, got {getattr(self, name)}.")


@dataclass(slots=True)
class Timing:
    """Clocks of an episode, in seconds, and failures that were tried again: kept beside the records, never in them.

    Both differ between runs that end in equal records.
    """

    policy: float = 0.0
    environment: float = 0.0
    total: float = 0.0
    attempts: int = 1
    """How often the episode was begun."""
    deaths: int = 0
    """How often the worker that played it died."""
    retried: list[FaultRecord] = field(default_factory=list)
    """Failures after which something was tried again."""
    host: str = ""
    """Machine and worker that played it."""
