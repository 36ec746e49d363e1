"""A training run in a folder, which can be interrupted and resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentgym.core.registry import load
from agentgym.training import checkpoints
from agentgym.training.config import TrainConfig
from agentgym.training.metrics import MetricsLog
from agentgym.training.trainer import Trainer

OnStep = Callable[[str, int, int, Mapping[str, Any]], None]
"""``(phase, step, steps, row)``, after each step: for progress displays."""


def train(
    config: TrainConfig, out: Path, *, resume: bool = False, policy: Any = None, on_step: OnStep | None = None
) -> Trainer:
    """A whole run in a folder: ``config.json``, ``metrics.jsonl``, ``checkpoint.pt``, and ``model/`` at the end.

    Args:
        config: The run.
        out: Its folder.
        resume: Go on from the last checkpoint.
        policy: A ready policy, as for ``Trainer``.
        on_step: Called after each step.
    """
    checkpoint = checkpoints.open_run(out, config.to_dict(), resume=resume)
    trainer = Trainer(config, policy)
    rows = 0
    if checkpoint is not None:
        state = checkpoints.load(checkpoint, trainer.device)
        trainer.load_state_dict(state["trainer"])
        rows = state["rows"]
    log = MetricsLog(out, config.log, config.to_dict(), rows)

    def report(phase: str, step: int, steps: int, row: Mapping[str, Any]) -> None:
        log.write(phase, step, row)
        if on_step is not None:
            on_step(phase, step, steps, row)

    def save(force: bool = False) -> None:
        step, every = (trainer.updates, 1) if trainer.updates else (trainer.warm_steps, 10)
        if force or step % (config.log.save_every * every) == 0:
            checkpoints.save(out / "checkpoint.pt", {"trainer": trainer.state_dict(), "rows": log.rows})

    def evaluate() -> None:
        for name in ("greedy", "sampled"):
            if getattr(config.evaluation, name):
                report(
                    f"evaluation_{name}", trainer.updates, config.rl.updates, trainer.evaluate(greedy=name == "greedy")
                )

    try:
        while trainer.warm_steps < config.warm_start.steps:
            row = trainer.warm_step()
            report("warm_start", trainer.warm_steps, config.warm_start.steps, row)
            save()
        if config.rl.updates and trainer.state_dict()["phase"] != "rl":
            if config.evaluation.every:
                evaluate()
            trainer.begin_rl()
            save(force=True)
        while trainer.updates < config.rl.updates:
            row = trainer.rl_step()
            report("rl", trainer.updates, config.rl.updates, row)
            every = config.evaluation.every
            if trainer.updates == config.rl.updates or (every and trainer.updates % every == 0):
                evaluate()
            save()
        save(force=True)
    finally:
        log.close()
        trainer.close()
    load("agentgym.policies.tiny:save")(trainer.model, trainer.policy.tokenizer, out / "model")
    return trainer
