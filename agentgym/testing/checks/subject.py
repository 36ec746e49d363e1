"""What is under test, and how a check says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import gymnasium
import numpy as np

from agentgym.core.env import AgentEnv
from agentgym.core.seeding import derive_rng
from agentgym.testing.walk import Trace

WANDER_TURNS = 8


class CheckFailure(AssertionError):
    """A check failed. The message says what was seen, what was expected and how to mend it."""


class NotApplicable(Exception):
    """The check doesn't apply, and why."""


@dataclass
class Subject:
    """The environment under test: how to make it, and how much to test."""

    target: str
    """``"module:attribute"`` of the game."""
    kwargs: dict[str, Any]
    env_id: str | None = None
    tasks: int = 20
    """Tasks a split on which the expert must succeed."""
    cheat_tasks: int = 200
    seed: int = 0

    def make(self, **overrides: Any) -> AgentEnv:
        """A fresh environment."""
        if self.env_id is not None:
            return cast(AgentEnv, gymnasium.make(self.env_id, **{**self.kwargs, **overrides}))
        return AgentEnv(self.target, **{**self.kwargs, **overrides})

    def rng(self, *parts: int | str) -> np.random.Generator:
        """A random stream of a check."""
        return derive_rng(self.seed, "check", *parts)


def expect(condition: bool, message: str) -> None:
    """Raises CheckFailure unless ``condition``."""
    if not condition:
        raise CheckFailure(message)


def same(a: Trace, b: Trace, what: str) -> None:
    """Raises CheckFailure unless two traces are equal; ``what`` says what was compared."""
    for i, (x, y) in enumerate(zip(a.observations, b.observations, strict=False)):
        expect(x == y, f"{what}: observation {i} differs.\n  first:  {x[:200]!r}\n  second: {y[:200]!r}")
    expect(a.keys == b.keys, f"{what}: state keys differ: {a.keys} and {b.keys}.")
    expect(a.components == b.components, f"{what}: reward components differ: {a.components} and {b.components}.")
    expect(a.rewards == b.rewards, f"{what}: rewards differ: {a.rewards} and {b.rewards}.")
    expect(a.digest() == b.digest(), f"{what}: how the episodes ended differs.")


def continued(trace: Trace) -> Trace:
    """A new trace that begins where ``trace`` stands."""
    return Trace(observations=trace.observations[-1:], keys=trace.keys[-1:])
