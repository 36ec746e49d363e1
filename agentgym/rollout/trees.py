"""Where episodes branch: the state is forked, and from there on each branch has seeds of its own.

A branch shares what came before to the token. It is stored whole, its inherited turns marked ``owned=False``: they are
trained once, in the episode that it branched off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from agentgym.core.errors import ConfigError
from agentgym.core.records import Trajectory

_FORK = re.compile(r"^(\d+):(\d+)$")


class ForkRule(Protocol):
    """Decides where episodes branch. Must be a pure function of the record, so that equal runs have equal trees."""

    def branches(self, record: Trajectory) -> int:
        """How many branches leave an episode before its next turn, which has the number ``len(record.turns)``."""
        ...


@dataclass(frozen=True, slots=True)
class ForkAt:
    """Branches before given turns.

    Branches branch again at later ones: ``2:1,4:1`` makes four trajectories of a job whose episodes all last five
    turns.
    """

    at: tuple[tuple[int, int], ...]
    """Pairs of a turn and the number of branches that leave there."""

    @classmethod
    def parse(cls, text: str) -> ForkAt:
        """Reads ``"2:3"`` (after two turns, three branches beside the episode itself) or several with commas.

        Raises:
            ConfigError: Names the part that can't be read.
        """
        found: dict[int, int] = {}
        for part in text.split(","):
            match = _FORK.match(part.strip())
            if match is None or int(match[2]) < 1:
                raise ConfigError(f"--tree takes TURN:BRANCHES, such as 2:3 or 2:1,4:1, got {part.strip()!r}.")
            turn = int(match[1])
            if turn in found:
                raise ConfigError(f"--tree names the turn {turn} twice.")
            found[turn] = int(match[2])
        return cls(tuple(sorted(found.items())))

    def branches(self, record: Trajectory) -> int:
        """See ``ForkRule.branches``."""
        turn = len(record.turns)
        if record.parent_id and turn <= record.fork_turn:
            return 0
        return next((branches for at, branches in self.at if at == turn), 0)

    def __str__(self) -> str:
        return ",".join(f"{turn}:{branches}" for turn, branches in self.at)
