"""What the web environments measure, and which of it counts."""

from __future__ import annotations

from collections.abc import Mapping

from agentgym.core.rewards import EXECUTABLE, FORMAT, TURN_COST, Component, RewardScheme, accumulate

MAX_WRONG = 40
"""Wrong changes after which more count no more."""
MAX_REPEATS = 5
"""Repeated actions that cost."""
MAX_READING = 100.0

GOAL = Component("goal", "outcome", 0.0, 1.0, "At the end: 1 when all of the goal holds and nothing else was changed.")
ANSWER = Component("answer", "outcome", 0.0, 1.0, "At an answer: 1 when it is right by its type.")
GOAL_DELTA = Component(
    "goal_delta", "process", -1.0, 1.0, "Change of the fulfilled share of what the database has to hold."
)
WRONG_WRITE = Component(
    "wrong_write",
    "process",
    -float(MAX_WRONG),
    float(MAX_WRONG),
    "Minus the change of the number of rows and columns that differ and shouldn't; undoing gives back.",
)
MILESTONE = Component("milestone", "process", 0.0, 1.0, "Share of a good route that was gone now for the first time.")
EVIDENCE = Component("evidence", "process", 0.0, 1.0, "At an answer: share of what it rests on that was seen before.")
FORM_PROGRESS = Component(
    "form_progress", "process", 0.0, 1.0, "At a sent form: by how much the best share of right fields rose."
)
INVALID = Component(
    "invalid_action", "cost", -100.0, 0.0, "-1 for an action that names what isn't there or may not be."
)
REPEAT = Component(
    "repeat", "cost", -1.0, 0.0, f"-1 for doing again what was done in the same state, {MAX_REPEATS} times at most."
)
READING = Component("reading", "cost", -MAX_READING, 0.0, "Minus the thousands of characters of the observation.")

COMPONENTS = (
    GOAL, ANSWER, GOAL_DELTA, WRONG_WRITE, MILESTONE, EVIDENCE, FORM_PROGRESS, FORMAT, EXECUTABLE, INVALID, REPEAT,
    READING, TURN_COST,
)  # fmt: skip

_WEIGHTS = {
    "goal": 1.0,
    "goal_delta": 0.2,
    "wrong_write": 0.1,
    "milestone": 0.1,
    "evidence": 0.05,
    "form_progress": 0.1,
    "format": 0.01,
    "invalid_action": 0.02,
    "repeat": 0.02,
    "reading": 0.002,
    "turn_cost": 0.01,
}
_SHAPED = tuple(name for name in _WEIGHTS if name != "goal")

SCHEMES: Mapping[str, RewardScheme] = {
    # Costs are gated too: otherwise giving up at once would beat trying and failing.
    "gated": RewardScheme("gated", _WEIGHTS, (accumulate(_SHAPED, on="goal", at_least=1.0, name="goal reached"),)),
    "outcome": RewardScheme("outcome", {"goal": 1.0}),
    "dense": RewardScheme("dense", _WEIGHTS),
}
