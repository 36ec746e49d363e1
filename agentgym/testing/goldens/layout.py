"""How golden inputs are laid out: padded matrices with one row a trajectory, or with one row a turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agentgym.credit import Batch, make
from agentgym.testing.goldens.compare import Masked


def groups_of(rows: int, size: int) -> list[int]:
    """Groups of consecutive rows of that size."""
    return [row // size for row in range(rows)]


def dense_batch(inputs: Mapping[str, Any], columns: Mapping[str, Any] | None = None) -> Batch:
    """One row a trajectory: ``token_level_rewards``, ``response_mask`` and, where there are groups, ``index``."""
    rewards = np.asarray(inputs["token_level_rewards"], dtype=np.float64)
    groups = inputs.get("index", list(range(len(rewards))))
    return Batch.from_dense(groups, rewards, np.asarray(inputs["response_mask"]), columns=columns)


class Rows(NamedTuple):
    """A batch of which each turn was one row, with the way back to the rows' order."""

    batch: Batch
    totals: npt.NDArray[np.float64]
    back: npt.NDArray[np.int64]
    mask: npt.NDArray[np.bool_]

    @property
    def agree(self) -> bool:
        """Whether all rows of a trajectory carry the same episode reward, as they should."""
        return bool(np.array_equal(self.totals, self.batch.outcome[self.batch.turn_trajectory]))

    def masked(self, token: npt.NDArray[np.float64]) -> Masked:
        """Flat token values as one row a turn, in the order of the inputs."""
        return Masked(token.reshape(len(self.back), -1)[self.back], self.mask)


def rows_batch(inputs: Mapping[str, Any], turn_reward: Any, columns: Mapping[str, Any]) -> Rows:
    """One row a turn: ``uid``, ``traj_uid``, ``response_mask`` and token rewards that hold the episode's total.

    Rows are sorted by trajectory, turns kept in their order. The first row's total is the trajectory's outcome.
    """
    keys = list(zip(inputs["uid"], inputs["traj_uid"], strict=True))
    first: dict[Any, int] = {}
    trajectory = np.asarray([first.setdefault(key, len(first)) for key in keys])
    order = np.argsort(trajectory, kind="stable")
    counts = np.bincount(trajectory)
    cuts = np.cumsum(counts)[:-1]
    mask = np.asarray(inputs["response_mask"])[order] > 0
    width = mask.shape[1]
    totals = np.asarray(inputs["token_level_rewards"], dtype=np.float64)[order].sum(axis=1)
    flat = {
        name: np.asarray(value, dtype=object if name == "anchor" else None)[order] for name, value in columns.items()
    }
    batch = Batch.build(
        [uid for uid, _ in first],
        np.split(np.asarray(turn_reward, dtype=np.float64)[order], cuts),
        spans=[[(turn * width, (turn + 1) * width) for turn in range(count)] for count in counts],
        masks=[part.ravel() for part in np.split(mask, cuts)],
        outcomes=totals[np.concatenate([[0], cuts])],
        columns={name: np.split(value, cuts) for name, value in flat.items()},
    )
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return Rows(batch, totals, back, np.asarray(inputs["response_mask"]) > 0)


def dense_outcome(inputs: Mapping[str, Any], method: str, **parameters: Any) -> dict[str, Any]:
    """A method on (B, L) token rewards whose advantages and returns are the same numbers."""
    batch = dense_batch(inputs)
    token = batch.dense(make(method, **parameters)(batch).token)
    found = Masked(token, np.asarray(inputs["response_mask"]) > 0)
    return {"advantages": found, "returns": found}
