"""A million-parameter model learns to search: held-out F1 on SearchTiny before and after RL with GRPO, IGPO and SPA.

One supervised warm start a seed, from which every method goes on with the same tasks and the same budget. Evaluated
greedily on 300 questions of the test split, whose names never occur in training.

Usage: python benchmarks/search_learning.py --out runs/search_tiny [--seeds 0,1,2] [--methods grpo,igpo,spa]
       [--updates 40] [--warm 300]. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agentgym.core.policy import Sampling
from agentgym.core.records import Trajectory
from agentgym.credit import Batch
from agentgym.rollout.jobs import plan
from agentgym.training import scoring
from agentgym.training.beliefs import BeliefScorer, Template
from agentgym.training.config import TrainConfig, load
from agentgym.training.trainer import Trainer

SETTINGS = Path(__file__).parents[1] / "examples" / "search_tiny.toml"
METHODS: Mapping[str, Mapping[str, Any]] = {
    "grpo": {"credit.method": "grpo", "env.kwargs.scheme": "f1"},
    "igpo": {"credit.method": "igpo", "env.kwargs.scheme": "f1"},
    "spa": {"credit.method": "spa", "credit.scorer_warmup": 2, "env.kwargs.scheme": "f1"},
}
HELD_OUT = 300


class _NoBeliefs:
    """Stands where a scorer is expected; the trainer below fills in the beliefs itself."""

    def __init__(self, model: Any, config: TrainConfig) -> None:
        pass

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, Any]:
        return {}

    def fit(self, batch: Batch) -> dict[str, float]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


scoring.MAKERS.setdefault("belief", _NoBeliefs)


class SearchTrainer(Trainer):
    """A trainer that measures beliefs for the methods that need them."""

    def batch(self, trajectories: Sequence[Trajectory]) -> Batch:
        self._played = [t for t in trajectories if t.scored and t.token_faithful and t.turns]
        return super().batch(trajectories)

    def score(self, batch: Batch) -> tuple[Batch, dict[str, Any]]:
        batch, metrics = super().score(batch)
        if "belief" in self.scorers:
            before, after = str(self._played[0].reference["belief_template"]).split("{answer}")
            scorer = BeliefScorer(self.policy.renderer, self._played, Template(before, after))
            batch = batch.with_columns(scorer(batch, self.model))
        return batch, metrics

    def f1(self) -> dict[str, float]:
        """Greedy F1 and success on held-out questions, the same ones for every run."""
        sampling = Sampling(0.0, max_tokens=self.config.sampling.max_tokens)
        jobs = list(plan(HELD_OUT, 1, 0))
        found = self._play(jobs, self.policy, sampling, split="test")
        values = [t.turns[-1].components.get("answer_f1", 0.0) for t in found]
        recall = [sum(turn.components.get("retrieval_recall", 0.0) for turn in t.turns) for t in found]
        return {
            "f1": float(np.mean(values)),
            "success": float(np.mean([bool(t.success) for t in found])),
            "recall": float(np.mean(recall)),
            "turns": float(np.mean([len(t.turns) for t in found])),
        }


def _config(seed: int, options: argparse.Namespace, method: str | None) -> TrainConfig:
    overrides: dict[str, Any] = {"seed": seed, "rl.updates": options.updates, "warm_start.steps": options.warm}
    overrides |= METHODS[method] if method else {}
    return load(SETTINGS, overrides)


def warm_start(seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Weights after the warm start, and how well they do."""
    path = options.out / f"warm_{seed}_{options.warm}.pt"
    if not path.exists():
        trainer = SearchTrainer(_config(seed, options, None))
        for _ in range(options.warm):
            trainer.warm_step()
        torch.save({"model": trainer.model.state_dict(), "before": trainer.f1()}, path)
    found: dict[str, Any] = torch.load(path, weights_only=False)
    return found


def learn(seed: int, method: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of a run: one an evaluation, the first before RL."""
    path = options.out / f"{method}_{seed}_{options.warm}_{options.updates}.json"
    if path.exists():
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return rows
    warm = warm_start(seed, options)
    trainer = SearchTrainer(_config(seed, options, method))
    trainer.model.load_state_dict(warm["model"])
    trainer.begin_rl()
    rows = [{"update": 0, **warm["before"]}]
    began = time.process_time()
    for update in range(1, options.updates + 1):
        row = trainer.rl_step()
        if update % options.every == 0 or update == options.updates:
            rows.append({"update": update, **trainer.f1(), "train_outcome": row["outcome"]})
            print(method, seed, {key: round(value, 3) for key, value in rows[-1].items()}, flush=True)
    rows[-1]["processor_seconds"] = time.process_time() - began
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", default="grpo,igpo,spa")
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--warm", type=int, default=300)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    runs = {method: [learn(seed, method, options) for seed in seeds] for method in options.methods.split(",")}
    print("| method | F1 before | F1 after | success after | recall after | turns after |")
    print("|---|---|---|---|---|---|")
    for method, found in runs.items():
        columns = [[rows[0]["f1"] for rows in found]]
        columns += [[rows[-1][key] for rows in found] for key in ("f1", "success", "recall", "turns")]
        cells = [f"{np.mean(column):.3f} ± {np.std(column, ddof=len(column) > 1):.3f}" for column in columns]
        print(f"| {method} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
