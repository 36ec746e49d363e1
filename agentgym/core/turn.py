"""What the calls of one message add up to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from agentgym.core.actions import Action, clip
from agentgym.core.errors import Fault
from agentgym.core.game import Outcome
from agentgym.core.rewards import EXECUTABLE, FORMAT, TURN_COST

NATIVE_COMPONENTS: Final = (FORMAT, EXECUTABLE, TURN_COST)
"""Components that AgentEnv fills in itself, for every game."""


class Turn:
    """What the calls of one message added up to."""

    __slots__ = ("components", "executable", "faults", "problem", "replies", "success", "tags", "terminal", "valid")

    def __init__(self, valid: bool) -> None:
        self.valid = valid
        self.executable = True
        self.terminal = False
        self.success: bool | None = None
        self.problem = ""
        self.components: dict[str, float] = {}
        self.tags: list[str] = []
        self.faults: list[Fault] = []
        self.replies: list[tuple[Action | None, str]] = []

    def take(self, action: Action, outcome: Outcome) -> None:
        """Adds one call. Components of parallel calls are summed."""
        self.replies.append((action, outcome.observation))
        for name, value in outcome.components.items():
            self.components[name] = self.components.get(name, 0.0) + value
        self.executable = self.executable and outcome.executable
        self.terminal = outcome.terminal
        if outcome.success is not None:
            self.success = outcome.success
        self.tags.extend(outcome.tags)
        if outcome.fault is not None:
            self.faults.append(outcome.fault)

    _VALUES: ClassVar[Mapping[str, Any]] = {
        FORMAT.name: lambda turn: float(turn.valid),
        EXECUTABLE.name: lambda turn: float(turn.valid and turn.executable),
        TURN_COST.name: lambda turn: -1.0,
    }

    def native(self, name: str) -> float:
        """Value of a component that AgentEnv fills in."""
        return float(self._VALUES[name](self))


def clip_observation(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` characters, the note about it included."""
    if len(text) <= limit:
        return text
    room = max(limit - 48, 0)
    return clip(text, room)[:limit]
