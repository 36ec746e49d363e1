"""VeRPO's test weights as a scorer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentgym.credit.batch import Batch
from agentgym.credit.kernels.verpo import carried_forward, difficulty_weights, newly_passed_reward
from agentgym.credit.parameters import Parameters
from agentgym.credit.segments import AnyArray


@dataclass(frozen=True)
class Verpo(Parameters):
    """Writes ``test_reward``: tests newly passed in the turn, weighted by how few of the group pass them.

    ``batch.with_turn_rewards(test_reward + batch.turn_reward)`` adds it to the outcome; any turn method then assigns
    credit. Telescopes to the weighted share passed at the end. Group of one, or all alike: 0.
    """

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, AnyArray]:
        """The column ``test_reward``; the model isn't used."""
        state = carried_forward(batch.column("test_passed"), batch.turn_offsets, batch.turn_trajectory)
        weight = difficulty_weights(state[batch.turn_offsets[1:] - 1], batch.group_index)
        return {"test_reward": newly_passed_reward(state, weight, batch.turn_group, batch.turn_index == 0)}
