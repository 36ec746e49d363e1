"""Curves over several runs, from the metrics that they left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from agentgym.evaluation.chart import Curve
from agentgym.training.metrics import read_metrics


def curves(runs: Mapping[str, Sequence[Path]], phase: str, key: str, smooth: int = 1) -> list[Curve]:
    """A metric of each group of runs: the mean over its seeds, with the band from the lowest to the highest.

    Args:
        runs: Name of a curve -> folders of its runs, one a seed.
        phase: Whose rows, such as ``rl``.
        key: The metric. Steps at which a seed lacks it are left out.
        smooth: Rows that are averaged, the row itself and those before it.
    """
    found = []
    for name, paths in runs.items():
        # an update without any signal has no entropy or clip fraction
        per_seed = [{row["step"]: row[key] for row in read_metrics(path, phase) if key in row} for path in paths]
        x = sorted(set.intersection(*map(set, per_seed)))
        values = np.array([_smooth([rows[step] for step in x], smooth) for rows in per_seed])
        band = (values.min(0).tolist(), values.max(0).tolist()) if len(paths) > 1 else ((), ())
        found.append(Curve(name, x, values.mean(0).tolist(), *band))
    return found


def _smooth(values: Sequence[float], width: int) -> list[float]:
    return [float(np.mean(values[max(i - width + 1, 0) : i + 1])) for i in range(len(values))]
