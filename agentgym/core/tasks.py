"""Tasks, where they come from, and which is drawn next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from agentgym.core.errors import ConfigError, UnknownNameError, did_you_mean, unknown_name

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Task:
    """One problem. Its id fixes its bytes for given keyword arguments of the environment."""

    task_id: str
    split: str
    data: Mapping[str, Any] = field(default_factory=dict)
    """What the game needs to start it."""
    reference: Mapping[str, Any] = field(default_factory=dict)
    """Accepted answers, goal, gold patch. Reaches records, never an observation or ``info``."""
    difficulty: float = 0.0
    """0 (easiest) to 1; what a curriculum sorts by."""


class TaskSource(Protocol):
    """Tasks of a game, in splits that share nothing."""

    @property
    def splits(self) -> Sequence[str]:
        """Names of the splits."""
        ...

    def get(self, task_id: str) -> Task:
        """The task of that id. Raises UnknownNameError."""
        ...

    def draw(self, split: str, rng: np.random.Generator) -> Task:
        """A random task of a split."""
        ...

    def ids(self, split: str) -> Sequence[str] | None:
        """All ids of a split in their fixed order; None where there is no end of them."""
        ...


class GeneratedTasks:
    """Tasks made from a number: ids are ``"<split>/<number>"``, and there are ``size`` of them a split.

    Args:
        make: ``(split, number) -> Task``, a pure function of its arguments. The two must not give equal tasks for
            different splits.
        size: How many numbers a split has.
    """

    def __init__(self, make: Callable[[str, int], Task], splits: Sequence[str] = SPLITS, size: int = 1 << 31) -> None:
        self._make = make
        self.splits = tuple(splits)
        self.size = size

    def get(self, task_id: str) -> Task:
        """See ``TaskSource.get``."""
        split, slash, number = task_id.rpartition("/")
        if not slash or split not in self.splits or not number.isdecimal() or int(number) >= self.size:
            raise UnknownNameError(
                f"Unknown task {task_id!r}. Expected '<split>/<number>' with a split of "
                f"{', '.join(self.splits)} and a number below {self.size}."
            )
        return self._make(split, int(number))

    def draw(self, split: str, rng: np.random.Generator) -> Task:
        """See ``TaskSource.draw``."""
        return self._make(check_split(split, self.splits), int(rng.integers(self.size)))

    def ids(self, split: str) -> Sequence[str] | None:
        """None: they are generated."""
        return None


class ListedTasks:
    """A finite set of tasks.

    Args:
        ids: Split -> ids in their fixed order.
        load: ``(task_id, split) -> Task``.
    """

    def __init__(self, ids: Mapping[str, Sequence[str]], load: Callable[[str, str], Task]) -> None:
        self._ids = {split: tuple(names) for split, names in ids.items()}
        self._split_of = {name: split for split, names in self._ids.items() for name in names}
        self._load = load
        if len(self._split_of) != sum(map(len, self._ids.values())):
            raise ConfigError("A task id stands in two splits, or twice in one.")

    @property
    def splits(self) -> Sequence[str]:
        """See ``TaskSource.splits``."""
        return tuple(self._ids)

    def get(self, task_id: str) -> Task:
        """See ``TaskSource.get``."""
        split = self._split_of.get(task_id)
        if split is None:
            raise UnknownNameError(f"Unknown task {task_id!r}.{did_you_mean(task_id, self._split_of)}")
        return self._load(task_id, split)

    def draw(self, split: str, rng: np.random.Generator) -> Task:
        """See ``TaskSource.draw``."""
        names = self._ids[check_split(split, self.splits)]
        if not names:
            raise ConfigError(f"The split {split!r} has no tasks.")
        return self._load(names[int(rng.integers(len(names)))], split)

    def ids(self, split: str) -> Sequence[str] | None:
        """See ``TaskSource.ids``."""
        return self._ids[check_split(split, self.splits)]


def check_split(split: str, known: Sequence[str]) -> str:
    """``split`` itself. Raises UnknownNameError when it isn't one of ``known``."""
    if split not in known:
        raise unknown_name("split", split, known)
    return split


@dataclass(frozen=True, slots=True)
class Curriculum:
    """Which difficulties are drawn: a window that moves linearly with training progress in [0, 1]."""

    start: tuple[float, float] = (0.0, 0.3)
    stop: tuple[float, float] = (0.0, 1.0)

    def window(self, progress: float) -> tuple[float, float]:
        """Lowest and highest difficulty at ``progress``."""
        low, high = (a + (b - a) * progress for a, b in zip(self.start, self.stop, strict=True))
        return low, high


class TaskSampler:
    """Draws tasks of one split, with weights and a curriculum.

    Args:
        source: Where tasks come from.
        split: Which of its splits.
        weight: Relative chance of a task, at most 1 (drawn, then kept with this chance). None: all alike.
        curriculum: Which difficulties are wanted. None: all.
        tries: Draws before the task that comes closest is taken.
    """

    def __init__(
        self,
        source: TaskSource,
        split: str = "train",
        *,
        weight: Callable[[Task], float] | None = None,
        curriculum: Curriculum | None = None,
        tries: int = 256,
    ) -> None:
        self.source = source
        self.split = check_split(split, source.splits)
        self.weight = weight
        self.curriculum = curriculum
        self.tries = tries

    def draw(self, rng: np.random.Generator, progress: float = 0.0) -> Task:
        """The next task; a pure function of the generator's state and the progress."""
        low, high = self.curriculum.window(progress) if self.curriculum else (-np.inf, np.inf)
        best: Task | None = None
        best_miss = np.inf
        for _ in range(self.tries):
            task = self.source.draw(self.split, rng)
            if self.weight is not None and rng.random() >= self.weight(task):
                continue
            miss = max(low - task.difficulty, task.difficulty - high, 0.0)
            if miss == 0.0:
                return task
            if miss < best_miss:
                best, best_miss = task, miss
        if best is None:
            raise ConfigError(
                f"No task of the split {self.split!r} was kept in {self.tries} draws: weights are too low."
            )
        return best
