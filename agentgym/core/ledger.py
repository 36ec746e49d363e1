"""The ledger: folds raw components through a scheme, and can say for every number why it was paid, held or dropped.

One fold, two views. **Causal**: what ``step`` pays as the episode goes; nothing is paid before its gate is known, and
what a gate held is released in the turn in which it opens. **Attributed**: each turn gets what it earned, if its gate
opened. For every closed episode the two totals agree within 1e-9, undiscounted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.core.rewards import Effect, End, Floor, RewardScheme, Tracker

Status = Literal["paid", "held", "dropped", "unweighted"]


@dataclass(slots=True)
class Entry:
    """One component of one turn, on its way through the scheme."""

    turn: int
    component: str
    raw: float
    status: Status
    value: float = 0.0
    """What it pays, weighted and transformed. 0 while held and when dropped."""
    paid_turn: int = -1
    """The turn in which it was paid (causal view); -1 while held and when dropped."""
    held_by: str = ""
    """The rule that holds or dropped it."""


class Ledger:
    """Books of one episode under one scheme.

    Args:
        scheme: What counts.
        progress: Training progress in [0, 1], stamped for the whole episode (``Schedule``).
    """

    def __init__(self, scheme: RewardScheme, progress: float = 0.0) -> None:
        if not 0.0 <= progress <= 1.0:
            raise ConfigError(f"progress must be in [0, 1], got {progress}.")
        self.scheme = scheme
        self.progress = progress
        self.entries: list[Entry] = []
        self.causal: list[float] = []
        """Reward paid in each turn."""
        self.end: End | None = None
        self.faulted = False
        """A fault ended the episode: it has no score, and its rewards must not be trained on."""
        self._trackers = {name: Tracker() for name in scheme.watched}
        self._effects: list[Effect | None] = [None] * len(scheme.rules)
        self._floor_turn: tuple[int, float] | None = None
        self._held: list[Entry] = []
        self._resolve(None)

    def add(self, components: Mapping[str, float], end: End | None = None) -> float:
        """Books one turn and returns the reward that it pays now. ``end`` when it is the last turn."""
        if self.end is not None or self.faulted:
            raise ConfigError("The ledger is closed: the episode has ended.")
        turn = len(self.causal)
        for name, value in components.items():
            if not math.isfinite(value):
                raise Fault(Boundary.ENVIRONMENT, f"Component {name!r} of turn {turn} is {value}; it must be finite.")
        self.causal.append(0.0)
        weights, trackers = self.scheme.weights, self._trackers
        fresh: list[Entry] = []
        for name, value in components.items():
            if name in trackers:
                trackers[name].add(value)
            if name in weights:
                entry = Entry(turn, name, value, "held")
                fresh.append(entry)
            else:
                entry = Entry(turn, name, value, "unweighted")
            self.entries.append(entry)
        return self._settle(turn, end, fresh)

    def close(self, end: End) -> float:
        """Ends the episode after its last turn (a limit outside the environment). Returns what that still pays."""
        if self.end is not None or self.faulted:
            return 0.0
        if not self.causal:
            self._resolve(end)
            self.end = end
            return 0.0
        return self._settle(len(self.causal) - 1, end, [])

    def fault(self) -> None:
        """Marks the episode as unscored."""
        self.faulted = True

    @property
    def attributed(self) -> list[float]:
        """Reward that each turn earned. Entries still held count as nothing yet."""
        rewards = [0.0] * len(self.causal)
        for entry in self.entries:
            rewards[entry.turn] += entry.value
        if self._floor_turn is not None:
            rewards[self._floor_turn[0]] += self._floor_turn[1]
        return rewards

    @property
    def total(self) -> float:
        """Undiscounted reward paid so far."""
        return math.fsum(self.causal)

    @property
    def gates(self) -> dict[str, str]:
        """Rule name -> ``open``, ``closed``, ``pending``, or the factor that it applies."""
        return {rule.name: _state(effect) for rule, effect in zip(self.scheme.rules, self._effects, strict=True)}

    def _resolve(self, end: End | None) -> bool:
        """Asks the rules that are still open. Returns whether one of them is known now."""
        known = False
        for i, rule in enumerate(self.scheme.rules):
            if self._effects[i] is None:
                self._effects[i] = effect = rule.resolve(self._trackers, end, self.progress)
                known = known or effect is not None
        return known

    def _settle(self, turn: int, end: End | None, fresh: list[Entry]) -> float:
        """Pays or drops every entry whose rules are all known. Old ones can change only when a rule becomes known."""
        paid = 0.0
        if self._resolve(end):
            fresh, self._held = self._held + fresh, []
        for entry in fresh:
            if not self._book(entry, turn):
                self._held.append(entry)
            elif entry.status == "paid":
                paid += entry.value
        if end is not None:
            self.end = end
            for rule, effect in zip(self.scheme.rules, self._effects, strict=True):
                if isinstance(rule, Floor) and effect is not None and effect.scale == 0.0:
                    self._floor_turn = (turn, rule.floor)
                    paid += rule.floor
                    break
        self.causal[turn] += paid
        return paid

    def _book(self, entry: Entry, turn: int) -> bool:
        """Whether all rules of the entry are known; if so, fills in what it pays."""
        value, dropped_by = entry.raw, ""
        for i in self.scheme.rules_of(entry.component):
            effect = self._effects[i]
            if effect is None:
                entry.held_by = self.scheme.rules[i].name
                return False
            value = effect.scale * value + effect.shift
            if effect.scale == 0.0 and effect.shift == 0.0 and not dropped_by:
                dropped_by = self.scheme.rules[i].name
        entry.held_by = dropped_by
        if dropped_by:
            entry.status, entry.value = "dropped", 0.0
        else:
            entry.status, entry.value, entry.paid_turn = "paid", self.scheme.weights[entry.component] * value, turn
        return True


def _state(effect: Effect | None) -> str:
    if effect is None:
        return "pending"
    if effect.shift:
        return f"x {effect.scale:g} {effect.shift:+g}"
    return {0.0: "closed", 1.0: "open"}.get(effect.scale, f"x {effect.scale:g}")


def rescore(turns: Sequence[Mapping[str, float]], scheme: RewardScheme, end: End, *, progress: float = 0.0) -> Ledger:
    """The ledger of a recorded episode under any scheme. ``turns``: raw components, one mapping a turn."""
    ledger = Ledger(scheme, progress)
    for components in turns:
        ledger.add(components)
    ledger.close(end)
    return ledger
