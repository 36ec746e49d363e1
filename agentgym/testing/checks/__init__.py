"""The checks of the conformance suite. Each fails on one kind of broken environment, and says how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agentgym.testing.checks import declared, determinism, messages, players, rewards, snapshots
from agentgym.testing.checks.subject import CheckFailure, NotApplicable, Subject

CHECKS: tuple[Callable[[Subject], None], ...] = (
    declared.declarations,
    declared.gymnasium_checker,
    declared.tasks_and_splits,
    declared.order,
    determinism.seed_determinism,
    determinism.processes,
    determinism.vector,
    messages.bad_messages,
    messages.refused_actions,
    messages.formats,
    messages.infos,
    snapshots.snapshots,
    snapshots.forks,
    rewards.rewards,
    rewards.budgets,
    players.expert,
    players.mistakes,
    players.cheats,
    declared.render_and_close,
)


def each_check() -> Iterator[tuple[str, str, Callable[[Subject], None]]]:
    """Name, what it says of a good environment, and the function."""
    for check in CHECKS:
        yield check.__name__, (check.__doc__ or "").strip().splitlines()[0], check


__all__ = ["CHECKS", "CheckFailure", "NotApplicable", "Subject", "each_check"]
