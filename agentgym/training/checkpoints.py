"""Checkpoints from which a run goes on as if it had never stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from agentgym.core.errors import ConfigError
from agentgym.rollout.storage import replace


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Writes the state so that a kill leaves the old checkpoint or the new one, never half of one."""
    partial = path.with_suffix(".partial")
    torch.save(dict(state), partial)
    partial.replace(path)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """A state that ``save`` wrote."""
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def open_run(path: Path, config: Mapping[str, Any], *, resume: bool) -> Path | None:
    """Prepares a run's folder. Returns the checkpoint to go on from, None to begin.

    Raises:
        ConfigError: The folder holds a run and ``resume`` wasn't asked for, or that run has another configuration.
    """
    path.mkdir(parents=True, exist_ok=True)
    stored, checkpoint = path / "config.json", path / "checkpoint.pt"
    text = json.dumps(config, indent=2)
    if stored.exists():
        if not resume:
            raise ConfigError(f"{str(path)!r} holds a training run already. Add --resume, or name another folder.")
        before = json.loads(stored.read_text("utf-8"))
        changed = sorted(_changed(before, json.loads(text)))
        if changed:
            raise ConfigError(f"The run in {str(path)!r} was made with another configuration: {', '.join(changed)}.")
    else:
        replace(stored, text + "\n")
    return checkpoint if checkpoint.exists() else None


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> list[str]:
    found = []
    for key in {*before, *now}:
        a, b = before.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _changed(a, b, f"{where}{key}.")
        elif a != b:
            found.append(f"{where}{key}: {a!r} then, {b!r} now")
    return found
