"""The one protocol by which numbers that a method needs get into a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agentgym.credit.batch import Batch


class Scorer(Protocol):
    """Adds columns: progress estimates, implicit-reward ratios, beliefs, values, judge scores, group rankings.

    ``batch.with_columns(scorer(batch, model))`` is the batch with the scores. Scorers that learn live in
    ``agentgym.training``; those that need no model take ``model=None``.
    """

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, npt.NDArray[np.generic]]:
        """Columns by name, each of the level that `agentgym.credit.columns.COLUMNS` says."""
        ...
