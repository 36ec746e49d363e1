"""Which episodes a run consists of: a list that follows from the configuration alone."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from agentgym.core.seeding import derive_seed


@dataclass(frozen=True, slots=True)
class Job:
    """One episode to play."""

    index: int
    """Position in the run."""
    group: int
    """Members of a group play the same task with the same environment seed."""
    env_seed: int
    policy_seed: int
    task_id: str | None = None
    """None: the environment seed draws the task."""
    progress: float = 0.0

    @property
    def trajectory_id(self) -> str:
        """Name of the episode within its run."""
        return f"e{self.index:07d}"

    @property
    def group_id(self) -> str:
        """Name of the group within its run."""
        return f"g{self.group:07d}"

    def turn_seed(self, turn: int) -> int:
        """Seed of one message."""
        return derive_seed(self.policy_seed, turn)


def plan(
    episodes: int,
    group_size: int,
    seed: int,
    *,
    task_ids: Sequence[str] | None = None,
    progress: float = 0.0,
    skip: Container[int] = (),
    first: int = 0,
) -> Iterator[Job]:
    """The episodes of a run in order: groups of ``group_size`` after one another, the last one perhaps smaller.

    With ``task_ids``, group g plays ``task_ids[g % len(task_ids)]``. Jobs whose number is in ``skip`` are left out.
    ``first`` is the number of the first job: with a multiple of the group size the plan goes on where another ended.
    """
    for index in range(first, first + episodes):
        if index in skip:
            continue
        group, member = divmod(index, group_size)
        yield Job(
            index=index,
            group=group,
            env_seed=derive_seed(seed, "group", group),
            policy_seed=derive_seed(seed, "policy", group, member),
            task_id=task_ids[group % len(task_ids)] if task_ids else None,
            progress=progress,
        )
