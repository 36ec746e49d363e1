"""Metrics of a training run: JSON lines always, TensorBoard and W&B where asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from agentgym.core.errors import ConfigError
from agentgym.training.config import LogSection


class MetricsLog:
    """Appends rows to ``metrics.jsonl``. After a resume, rows of steps that will be done again are dropped first.

    Args:
        path: Folder of the run.
        section: Where else rows go.
        config: The run's configuration, for W&B.
        keep: Number of rows to keep of what is there.
    """

    def __init__(self, path: Path, section: LogSection, config: Mapping[str, Any], keep: int) -> None:
        self._file = path / "metrics.jsonl"
        rows = self._file.read_text("utf-8").splitlines(keepends=True)[:keep] if self._file.exists() else []
        self._file.write_text("".join(rows), "utf-8")
        self.rows = len(rows)
        self._out: IO[str] = self._file.open("a", encoding="utf-8")
        self._board = _tensorboard(path) if section.tensorboard else None
        self._wandb = _wandb(section.wandb, config) if section.wandb else None

    def write(self, phase: str, step: int, values: Mapping[str, Any]) -> None:
        """One row. ``phase``: ``warm_start``, ``rl`` or ``evaluation``."""
        self._out.write(json.dumps({"phase": phase, "step": step, **values}) + "\n")
        self._out.flush()
        self.rows += 1
        numbers = {f"{phase}/{key}": value for key, value in values.items() if isinstance(value, int | float)}
        if self._board is not None:
            for key, value in numbers.items():
                self._board.add_scalar(key, value, step)
        if self._wandb is not None:
            self._wandb.log({**numbers, f"{phase}/step": step})

    def close(self) -> None:
        """Closes every sink."""
        self._out.close()
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def read_metrics(path: Path, phase: str = "") -> list[dict[str, Any]]:
    """Rows of a run, of one phase or all."""
    lines = (path / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if not phase or row["phase"] == phase]


def _tensorboard(path: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise ConfigError("log.tensorboard needs tensorboard. Install it with: pip install tensorboard") from error
    return SummaryWriter(str(path / "tensorboard"))


def _wandb(project: str, config: Mapping[str, Any]) -> Any:
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise ConfigError("log.wandb needs wandb. Install it with: pip install wandb") from error
    return wandb.init(project=project, config=dict(config))
