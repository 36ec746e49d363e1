"""Reward components and schemes: gated accumulation (G-RA, arXiv 2508.10548) and its ablations."""

from __future__ import annotations

from agentgym.core.rewards import EXECUTABLE, FORMAT, TURN_COST, Component, RewardScheme, accumulate

COMPONENTS = (
    FORMAT,
    EXECUTABLE,
    Component("tool_choice", "process", 0.0, 1.0, "1 for a call that is no repetition and has no better-suited tool."),
    Component("edit_applies", "process", 0.0, 1.0, "Edits only: 1 when the edit was made."),
    Component("localised", "process", 0.0, 1.0, "1 when the file that matters is opened or edited, once an episode."),
    Component(
        "test_progress", "process", 0.0, 1.0, "run_tests only: newly passing share of the failing visible tests."
    ),
    Component("submission", "outcome", 0.0, 1.0, "At submit: 1/3 empty patch, 2/3 patch fails, 1 patch passes."),
    Component("test_share", "outcome", 0.0, 1.0, "At submit: weighted share of hidden failing tests that pass."),
    Component("solved", "outcome", 0.0, 1.0, "At submit: 1 when every test that should pass passes."),
    TURN_COST,
)
IMMEDIATE = ("format", "executable", "tool_choice", "edit_applies", "localised", "test_progress")
_WEIGHTS = {
    "format": 0.005, "executable": 0.005, "tool_choice": 0.005, "edit_applies": 0.02, "localised": 0.05,
    "test_progress": 0.1, "turn_cost": 0.02,
}  # fmt: skip
"""Small beside the outcome, and together less than a turn costs, so that idling never pays."""


def gated_accumulation(at_least: float = 1.0, *, strict: bool = False, on: str = "solved") -> RewardScheme:
    """G-RA: immediate rewards count only if the outcome reaches its gate.

    Args:
        at_least: Threshold of the outcome.
        strict: Whether the outcome must lie above it.
        on: Which outcome: ``solved``, ``test_share``, or the four levels of ``submission`` (none, 1/3, 2/3, 1).
    """
    gate = accumulate((*IMMEDIATE, "turn_cost"), on=on, at_least=at_least, strict=strict)
    return RewardScheme("gated", {"solved": 1.0, **_WEIGHTS}, (gate,))


SCHEMES = {
    "gated": gated_accumulation(),
    "outcome": RewardScheme("outcome", {"solved": 1.0}),
    "dense": RewardScheme("dense", {"solved": 1.0, "test_share": 0.5, **_WEIGHTS}),
    "levels": RewardScheme("levels", {"submission": 1.0}),
    "tests": RewardScheme("tests", {"test_share": 1.0}),
    "direct": RewardScheme("direct", {"submission": 1.0, **_WEIGHTS}),
}
"""``direct`` is the paper's D-RA: the levels of the outcome plus every immediate reward, ungated."""
