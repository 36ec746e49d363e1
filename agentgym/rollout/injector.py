"""Makes things fail on purpose, so that what a rollout does about failures can be seen and tested.

Whether something fails is drawn from the seed of the episode, the attempt and the turn, so that runs with equal options
have equal records at any concurrency and after any kill. The death of workers goes by the clock; it costs time only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Literal

from agentgym.core.errors import Boundary, ConfigError, Fault, unknown_name
from agentgym.core.seeding import derive_seed
from agentgym.rollout.jobs import Job

Kind = Literal["policy", "tool", "env", "hang"]

_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"^(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h)?$")


@dataclass(frozen=True, slots=True)
class Injection:
    """What to make fail. Chances are those of one turn; a reset counts as a turn."""

    policy: float = 0.0
    """A request to the policy fails; every try again draws anew."""
    tool: float = 0.0
    """A tool fails while the environment uses it."""
    env: float = 0.0
    """The environment itself fails."""
    hang: float = 0.0
    """The policy or the environment, each half the time, does not return."""
    kill_worker: float = 0.0
    """Seconds between kills of a worker; 0 kills none."""

    @classmethod
    def parse(cls, text: str) -> Injection:
        """Reads ``"policy=0.05,tool=0.05,env=0.02,hang=0.01,kill-worker=30s"``, any part of it in any order.

        Raises:
            ConfigError: Names the part that can't be read.
        """
        values: dict[str, float] = {}
        known = [field.name.replace("_", "-") for field in fields(cls)]
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name not in known:
                raise ConfigError(f"--inject: {unknown_name('kind of failure', name, known)}")
            key = name.replace("-", "_")
            if key in values:
                raise ConfigError(f"--inject: {name!r} stands there twice.")
            if not equals or not value:
                raise ConfigError(f"--inject: {name!r} needs a value, as in {name}={_EXAMPLES[key]}.")
            values[key] = _duration(name, value) if key == "kill_worker" else _chance(name, value)
        return cls(**values)

    @property
    def per_turn(self) -> bool:
        """Whether anything is drawn in a turn."""
        return bool(self.policy or self.tool or self.env or self.hang)

    def hits(self, kind: Kind, job: Job, attempt: int, turn: int, tries: int = 0) -> bool:
        """Whether ``kind`` happens here; the same in every process. Turn -1 is the reset."""
        chance: float = getattr(self, kind)
        return chance > 0 and _uniform(job, kind, attempt, turn, tries) < chance

    def hang_of(self, job: Job, attempt: int, turn: int, tries: int = 0) -> Literal["", "policy", "environment"]:
        """What hangs in this turn, if anything."""
        if not self.hits("hang", job, attempt, turn, tries):
            return ""
        return "policy" if _uniform(job, "side", attempt, turn, tries) < 0.5 else "environment"

    def check(self, boundary: Boundary, job: Job, attempt: int, turn: int, tries: int = 0) -> None:
        """Raises the fault that is due here, if one is."""
        kind: Kind = _KINDS[boundary]
        if self.hits(kind, job, attempt, turn, tries):
            raise Fault(boundary, "injected", retryable=True)


_KINDS: dict[Boundary, Kind] = {Boundary.POLICY: "policy", Boundary.TOOL: "tool", Boundary.ENVIRONMENT: "env"}
_EXAMPLES = {"policy": "0.05", "tool": "0.05", "env": "0.02", "hang": "0.01", "kill_worker": "30s"}


def _uniform(job: Job, kind: str, attempt: int, turn: int, tries: int) -> float:
    return derive_seed(job.policy_seed, "inject", kind, attempt, turn, tries) / 2.0**63


def _chance(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"--inject: {name} must be a probability from 0 to 1, got {text!r}.") from None
    if not 0 <= value <= 1:
        raise ConfigError(f"--inject: {name} must be a probability from 0 to 1, got {text}.")
    return value


def _duration(name: str, text: str) -> float:
    match = _DURATION.match(text)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"--inject: {name} must be a time above 0 such as 30s, 500ms or 2m, got {text!r}.")
    return float(match[1]) * _SECONDS[match[2] or "s"]
