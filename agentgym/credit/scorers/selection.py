"""PROF's and DCPO's selections as scorers; ``batch.select(batch.column("selected"))`` applies one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentgym.credit.batch import Batch
from agentgym.credit.kernels.selection import dcpo_selection, prof_selection
from agentgym.credit.parameters import Count, Parameters
from agentgym.credit.segments import AnyArray, segment_sum


@dataclass(frozen=True)
class Prof(Parameters):
    """Writes ``selected``: process-consistent trajectories, correct and incorrect in balance. See `prof_selection`.

    Reads ``process_reward`` (mean over the steps where it is known; 0 for a trajectory without any) and outcomes.

    Args:
        keep: Trajectories that stay of each group.
        threshold: Outcomes above it are correct.
        rank_incorrect: False ranks only the correct ones.
    """

    keep: Count = 4
    threshold: float = 0.5
    rank_incorrect: bool = True

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, AnyArray]:
        """The column ``selected``; the model isn't used."""
        score = batch.column("process_reward")
        known = ~np.isnan(score)
        total = segment_sum(np.where(known, score, 0.0), batch.turn_offsets)
        quality = total / np.maximum(segment_sum(known, batch.turn_offsets), 1)
        correct = batch.outcomes("prof") > self.threshold
        chosen = prof_selection(quality, correct, batch.group_index, self.keep, rank_incorrect=self.rank_incorrect)
        return {"selected": chosen}


@dataclass(frozen=True)
class Dcpo(Parameters):
    """Writes ``selected``: the best and shortest against the worst and longest of each group. See `dcpo_selection`.

    Length is counted in policy tokens, or turns in a batch without tokens.

    Args:
        pairs: Trajectories kept at each end.
    """

    pairs: Count = 1

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, AnyArray]:
        """The column ``selected``; the model isn't used."""
        tokens = segment_sum(batch.turn_tokens, batch.turn_offsets) if batch.n_tokens else batch.turn_counts
        length = np.asarray(tokens, dtype=np.float64)
        return {"selected": dcpo_selection(batch.outcomes("dcpo"), length, batch.group_index, self.pairs)}
