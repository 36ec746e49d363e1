"""ArenaRL's group scorer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.errors import CreditError
from agentgym.credit.kernels import arena
from agentgym.credit.kernels.normalise import Norm, normalise
from agentgym.credit.parameters import Parameters
from agentgym.credit.segments import AnyArray


@dataclass(frozen=True)
class Arena(Parameters):
    """Writes ``arena_reward``: ranks the trajectories of each group by pairwise judgements, then standardises.

    ``1 − rank / (n − 1)`` gives 1 to the best and 0 to the worst; `norm` standardises it. The judge is called pair by
    pair: 2(n − 1) times a group for ``single_elimination``, n(n − 1)/2 for ``round_robin``, n/2 · ceil(log2 n) for
    ``swiss``. Group of one: no call, reward 0 (the release divides by zero). The release's byes shift the bracket
    (``byes="released"``). (https://arxiv.org/abs/2601.06487)

    Args:
        mode: Tournament.
        byes: Of ``single_elimination``: ``top_seeds`` or ``released``.
        rounds: Of ``swiss``; 0 takes ceil(log2 n).
        norm: Standardisation.
    """

    mode: Literal["single_elimination", "round_robin", "swiss"] = "single_elimination"
    byes: Literal["top_seeds", "released"] = "top_seeds"
    rounds: int = 0
    norm: Norm = Norm()  # noqa: RUF009 - frozen

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, AnyArray]:
        """The column ``arena_reward``.

        Args:
            batch: The batch.
            model: The judge: two rows of the batch in, (points of the first, points of the second) out.
        """
        if model is None:
            raise CreditError("arena: the judge is missing; give model=judge with judge(row, row) -> (points, points).")
        judge: arena.Judge = model
        reward = np.zeros(batch.n_trajectories)
        for group in range(batch.n_groups):
            rows = np.flatnonzero(batch.group_index == group)
            reward[rows] = arena.rank_reward(self._ranking(judge, rows.tolist()))
        return {"arena_reward": normalise(reward, batch.group_index, self.norm)}

    def _ranking(self, judge: arena.Judge, rows: list[int]) -> list[int]:
        def match(first: int, second: int) -> tuple[float, float]:
            return judge(rows[first], rows[second])

        if self.mode == "single_elimination":
            return arena.single_elimination(match, len(rows), byes=self.byes)
        if self.mode == "round_robin":
            return arena.round_robin(match, len(rows))
        return arena.swiss(match, len(rows), self.rounds)
