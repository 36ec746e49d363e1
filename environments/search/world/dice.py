"""Random choices that are the same in every version of Python.

Only ``random()`` of the standard generator is promised to be reproducible between versions, and it draws ten times as
fast as a numpy generator draws a single number; every choice here comes from it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from agentgym.core.seeding import derive_seed

T = TypeVar("T")


class Dice:
    """A random stream of its own for the path ``parts``."""

    def __init__(self, *parts: int | str) -> None:
        self._draw = random.Random(derive_seed(*parts)).random

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self._draw() < probability

    def below(self, n: int) -> int:
        """An integer in [0, n)."""
        return int(self._draw() * n)

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return low + int(self._draw() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        """One of ``items``, which must not be empty."""
        return items[int(self._draw() * len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """``items`` in random order."""
        found = list(items)
        for i in range(len(found) - 1, 0, -1):
            j = int(self._draw() * (i + 1))
            found[i], found[j] = found[j], found[i]
        return found

    def sample(self, items: Sequence[T], k: int) -> list[T]:
        """At most ``k`` different ones of ``items``, in random order."""
        return self.shuffled(items)[:k]
