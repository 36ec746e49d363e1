"""Totals over episodes: what a summary shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from agentgym.core.policy import Usage
from agentgym.core.records import Drift, FaultRecord, Trajectory


@dataclass
class Tally:
    """Sums that add up over shards, processes and resumed runs."""

    episodes: int = 0
    turns: int = 0
    scored: int = 0
    successes: int = 0
    reward: float = 0.0
    outcome: float = 0.0
    invalid_turns: int = 0
    faithful: int = 0
    tokens: int = 0
    branches: int = 0
    """Episodes that branched off another one; they count as episodes too."""
    drift: Drift = field(default_factory=Drift)
    usage: Usage = field(default_factory=Usage)
    faults: Counter[str] = field(default_factory=Counter)
    """Failures that left an episode unscored, by boundary."""
    retried: Counter[str] = field(default_factory=Counter)
    """Failures that ended no episode, because something was tried again, by boundary."""
    truncations: Counter[str] = field(default_factory=Counter)
    rewards: Counter[str] = field(default_factory=Counter)
    """Raw reward by component, summed."""
    gates: Counter[str] = field(default_factory=Counter)
    """Scored episodes whose gate opened, by gate."""

    def add(self, trajectory: Trajectory) -> None:
        """Counts one episode."""
        self.episodes += 1
        self.branches += bool(trajectory.parent_id)
        owned = [turn for turn in trajectory.turns if turn.owned]
        self.turns += len(owned)
        self.faithful += trajectory.token_faithful
        self.tokens += _sampled(trajectory)
        self.drift = self.drift.plus(trajectory.drift)
        self.usage = self.usage.plus(trajectory.usage)
        self.invalid_turns += sum(not turn.action_valid for turn in owned)
        for fault in trajectory.faults:
            (self.retried if fault.survived else self.faults)[fault.boundary] += 1
        if not trajectory.scored:
            return
        self.scored += 1
        self.successes += bool(trajectory.success)
        self.reward += trajectory.total_reward
        self.outcome += trajectory.outcome or 0.0
        if trajectory.truncation_reason:
            self.truncations[trajectory.truncation_reason] += 1
        for gate, state in trajectory.gates.items():
            self.gates[gate] += state not in ("closed", "pending")
        for turn in trajectory.turns:
            self.rewards.update(turn.components)

    def add_retried(self, faults: Iterable[FaultRecord]) -> None:
        """Counts failures that were tried again."""
        for fault in faults:
            self.retried[fault.boundary] += 1

    def state(self) -> dict[str, Any]:
        """All sums as plain data."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: dict(sorted(v.items())) if isinstance(v, Counter) else v for name, v in values.items()}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Adds the ``state`` of another tally."""
        for item in fields(self):
            value, own = state.get(item.name), getattr(self, item.name)
            if value is None:
                continue
            if isinstance(own, Counter):
                own.update(value)
            elif isinstance(own, Drift | Usage):
                setattr(self, item.name, own.plus(type(own)(*value)))  # type: ignore[arg-type]
            else:
                setattr(self, item.name, own + value)

    def summary(self) -> dict[str, Any]:
        """Means over scored episodes, and counts. What has no value is absent."""
        result: dict[str, Any] = {"episodes": self.episodes, "scored": self.scored, "turns": self.turns}
        if self.branches:
            result["branches"] = self.branches
        if self.scored:
            result |= {
                "success": self.successes / self.scored,
                "mean_reward": self.reward / self.scored,
                "mean_outcome": self.outcome / self.scored,
                "turns_per_episode": self.turns / self.episodes,
                "components": {name: value / self.scored for name, value in sorted(self.rewards.items())},
                "gates_open": {name: value / self.scored for name, value in sorted(self.gates.items())},
            }
        if self.turns:
            result["invalid_turns"] = self.invalid_turns / self.turns
        if any(self.usage):
            result["usage"] = self.usage._asdict()
        return result | {
            "policy_tokens": self.tokens,
            "token_faithful": self.faithful,
            "contexts": self.drift._asdict(),
            "faults": dict(sorted(self.faults.items())),
            "retried": dict(sorted(self.retried.items())),
            "truncations": dict(sorted(self.truncations.items())),
        }


def _sampled(trajectory: Trajectory) -> int:
    """Tokens that the policy sampled in turns of this episode's own."""
    if not trajectory.parent_id:
        return sum(sum(segment.policy_mask) for segment in trajectory.segments)
    spans = [turn.policy_span for turn in trajectory.turns if turn.owned and turn.policy_span is not None]
    return sum(span.end - span.start for span in spans)
