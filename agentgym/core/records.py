"""What is kept of an episode: one schema for credit, the viewer, the leaderboard and other trainers.

A **Trajectory** holds its turns, its tokens in one or several segments (several where the context was rewritten), the
raw components and what the ledger made of them. Clocks and host facts are kept elsewhere, so that the records of
deterministic policies are equal to the byte. Rules: boundaries are spans; absent is not zero; a failed episode is data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from agentgym.core.ledger import Entry, Ledger
from agentgym.core.policy import Usage
from agentgym.core.rewards import Component, End


class Span(NamedTuple):
    """Tokens ``[start, end)`` of one segment."""

    segment: int
    start: int
    end: int


@dataclass(slots=True)
class Segment:
    """One token sequence as the policy saw it. All lists have one element a token."""

    token_ids: list[int] = field(default_factory=list)
    policy_mask: list[bool] = field(default_factory=list)
    """True on tokens that the policy sampled. A sampled token is True in exactly one segment."""
    logprobs: list[float] = field(default_factory=list)
    """Natural log of the sampled tokens' probabilities under the behaviour policy; 0 elsewhere."""
    versions: list[int] = field(default_factory=list)
    """Weight version that sampled the token; -1 elsewhere."""


@dataclass(slots=True)
class Turn:
    """One policy message and what the environment made of it."""

    index: int
    observation: str
    """What the policy read before it wrote."""
    message: str
    state_key: str
    """Key of the state before the message: the anchor of state-wise baselines."""
    components: dict[str, float]
    """Raw components; one that was not measured is absent."""
    reward: float
    """Causal: what the scheme paid in this turn."""
    attributed: float = 0.0
    """What the turn earned, once all gates are known."""
    action: str = ""
    action_valid: bool = True
    action_executable: bool = True
    tags: list[str] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    """Why the message was not understood."""
    message_truncated: bool = False
    finish_reason: str = "stop"
    policy_span: Span | None = None
    """Tokens that the policy wrote. None: the policy has no tokens."""
    reply_span: Span | None = None
    """Tokens that the environment's reply added, the start of the next message included."""
    owned: bool = True
    """False for a turn that a fork inherited: it is trained once, in the parent."""


class StopReason(StrEnum):
    """Why an episode ended."""

    TERMINATED = "terminated"
    """The task is over."""
    MAX_TURNS = "max_turns"
    MAX_TOOL_CALLS = "max_tool_calls"
    CONTEXT_TOKENS = "context_tokens"
    """The next message would not have fitted into the context."""
    EPISODE_TOKENS = "episode_tokens"
    """The policy has written as many tokens as it may."""
    DEADLINE = "deadline"
    """The episode's wall time is up."""
    FAULT = "fault"
    """Something outside the agent failed; the episode is unscored."""
    OTHER = "other"
    """Whoever drove the environment truncated it for a reason of their own, see ``truncation_reason``."""


@dataclass(slots=True)
class FaultRecord:
    """A failure outside the agent."""

    boundary: str
    message: str
    turn: int
    survived: bool = False
    """The episode went on: the agent was told, and may have tried again."""


class Drift(NamedTuple):
    """How the contexts of an episode followed one another, one count a message after the first."""

    clean: int = 0
    """The context was the one before, with the message and the reply appended, token for token."""
    realigned: int = 0
    """A server spelled the end of what was sampled with other tokens; a new segment begins."""
    forked: int = 0
    """The context was rewritten (a window, a summary, thinking stripped); a new segment begins."""
    drifted_tokens: int = 0
    """Tokens that were spelled differently, over all realigned contexts."""

    def plus(self, other: Drift) -> Drift:
        """Both together."""
        return Drift(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(slots=True)
class Trajectory:
    """Data of one episode."""

    trajectory_id: str
    group_id: str
    """Trajectories of equal group play the same task with the same seed."""
    env_id: str
    task_id: str
    split: str
    seed: int
    policy: str
    system_prompt: str
    turns: list[Turn] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    final_observation: str = ""
    ledger: list[Entry] = field(default_factory=list)
    """Every component of every turn, and whether it was paid, held or dropped."""
    gates: dict[str, str] = field(default_factory=dict)
    """Rule -> open, closed, or the factor that it applied."""
    terminated: bool = False
    truncated: bool = False
    truncation_reason: str = ""
    faults: list[FaultRecord] = field(default_factory=list)
    outcome: float | None = None
    """Last value of the first outcome component, its lowest value where the episode ended without one; None after a
    fault: such an episode is unscored."""
    success: bool | None = None
    """Whether the task was solved; None after a fault."""
    total_reward: float = 0.0
    progress: float = 0.0
    """Training progress that scheduled schemes saw."""
    difficulty: float = 0.0
    reference: dict[str, Any] = field(default_factory=dict)
    """Accepted answers, goal. Dropped from public exports."""
    token_faithful: bool = False
    """The stored tokens are the ones that were sampled."""
    drift: Drift = field(default_factory=Drift)
    usage: Usage = field(default_factory=Usage)
    """What the policy's server counted; zeros where it counts nothing."""
    parent_id: str = ""
    fork_turn: int = 0

    @property
    def scored(self) -> bool:
        """Whether the episode ended by itself or by a limit, and not by a fault."""
        return self.fatal is None and (self.terminated or self.truncated)

    @property
    def fatal(self) -> FaultRecord | None:
        """The failure that ended the episode."""
        return next((fault for fault in self.faults if not fault.survived), None)

    def settle(self, ledger: Ledger, components: Sequence[Component], success: bool | None) -> None:
        """Takes over what the closed books say."""
        self.ledger = ledger.entries
        self.gates = ledger.gates
        for turn, attributed in zip(self.turns, ledger.attributed, strict=True):
            turn.attributed = attributed
        self.total_reward = ledger.total
        if not self.scored:
            return
        self.success = bool(success)
        first = next((component for component in components if component.kind == "outcome"), None)
        if first is not None:
            values = [turn.components[first.name] for turn in self.turns if first.name in turn.components]
            self.outcome = values[-1] if values else first.low

    @property
    def stop_reason(self) -> StopReason:
        """Why it ended."""
        if self.fatal is not None:
            return StopReason.FAULT
        if self.terminated:
            return StopReason.TERMINATED
        known = self.truncation_reason in StopReason.__members__.values()
        return StopReason(self.truncation_reason) if known else StopReason.OTHER

    @property
    def end(self) -> End:
        """How the episode ended, as ledgers spell it."""
        return "terminated" if self.terminated else "truncated"

    def to_dict(self, *, shallow: bool = False) -> dict[str, Any]:
        """Plain data in a fixed order. Shares lists with the record: read it, don't change it.

        Args:
            shallow: Leave turns, segments and ledger as they are, for writers that have a form of their own for them.
        """
        values = fields_of(self)
        if shallow:
            values["faults"] = [fields_of(fault) for fault in self.faults]
            values["drift"], values["usage"] = self.drift._asdict(), self.usage._asdict()
            return values
        for key in ("turns", "segments", "ledger", "faults"):
            values[key] = [fields_of(item) for item in values[key]]
        for key in ("drift", "usage"):
            values[key] = values[key]._asdict()
        return values

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trajectory:
        """Inverse of ``to_dict``."""
        values = dict(data)
        values["turns"] = [_turn_from_dict(turn) for turn in values["turns"]]
        values["segments"] = [Segment(**segment) for segment in values["segments"]]
        values["ledger"] = [Entry(**entry) for entry in values["ledger"]]
        values["faults"] = [FaultRecord(**fault) for fault in values["faults"]]
        values["drift"] = Drift(**values.get("drift") or {})
        values["usage"] = Usage(**values.get("usage") or {})
        return cls(**values)


def fields_of(item: Any) -> dict[str, Any]:
    """Fields of a dataclass; ``dataclasses.asdict`` copies every token, which costs more than an episode's turn."""
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def _turn_from_dict(data: Mapping[str, Any]) -> Turn:
    values = dict(data)
    for key in ("policy_span", "reply_span"):
        values[key] = None if values[key] is None else Span(*values[key])
    return Turn(**values)
