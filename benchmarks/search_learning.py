"""A million-parameter model learns to search: held-out F1 on SearchTiny before and after RL with GRPO, IGPO and SPA.

One supervised warm start a seed, on an expert who errs; from it every method goes on over the same tasks with the same
budget, through ``agentgym train``'s own function. Evaluated on 200 questions of the test split, whose names never occur
in training. Writes ``report.html`` and prints the table.

Usage: python benchmarks/search_learning.py --out runs/search [--seeds 0,1,2] [--methods GRPO,IGPO,SPA] [--at-once 2]
       [--set rl.updates=5]. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.cli.options import key_values
from agentgym.evaluation.chart import line_chart
from agentgym.evaluation.report import Report, Table
from agentgym.training.config import load
from agentgym.training.curves import curves
from agentgym.training.metrics import read_metrics

SETTINGS = Path(__file__).parents[1] / "examples" / "search_tiny.toml"
# All three see the same outcome: whether the answer was right. The scheme pays F1, so that `reward` measures it.
METHODS: Mapping[str, Mapping[str, Any]] = {
    "GRPO": {"credit.method": "grpo", "credit.parameters.reward": "outcome"},
    "IGPO": {"credit.method": "igpo"},
    # Grounding pays every turn that could be done; here that would pay for searching on and on. The estimator learns
    # from 40 batches before the first update: after 4 of them it knows nothing, and what it says ruins the policy.
    "SPA": {
        "credit.method": "spa",
        "credit.parameters.beta": 0.0,
        "credit.scorer_warmup": 40,
        "credit.scorer.lr": 1e-3,
    },
}
SMOOTH = 5
"""Updates over which curves of training are averaged."""


def train(name: str, out: Path, settings: Mapping[str, Any]) -> None:
    """One training run, in a process of its own. Goes on where an earlier one stopped."""
    from transformers.utils.logging import disable_progress_bar

    from agentgym.training.run import train as run

    disable_progress_bar()

    def on_step(phase: str, step: int, steps: int, row: Mapping[str, Any]) -> None:
        if phase.startswith("evaluation"):
            print(f"{name}: {phase} after {step}: F1 {row['reward']:.3f}, success {row['success']:.3f}", flush=True)

    if not (out / "model").exists():
        began = time.process_time()
        run(load(SETTINGS, settings), out, resume=True, on_step=on_step)
        (out / "seconds.json").write_text(json.dumps(time.process_time() - began), encoding="utf-8")


def run_all(jobs: Sequence[tuple[str, Path, Mapping[str, Any]]], at_once: int) -> None:
    """Training runs in parallel processes, ``at_once`` at a time."""
    context = multiprocessing.get_context("spawn")
    waiting, running = list(jobs), []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(context.Process(target=train, args=waiting.pop(0)))
            running[-1].start()
        for process in list(running):
            process.join(0.2)
            if process.exitcode is not None:
                running.remove(process)
                if process.exitcode:
                    sys.exit(f"A training run failed with exit code {process.exitcode}; run this again to go on.")


def evaluations(path: Path, kind: str) -> list[dict[str, Any]]:
    return read_metrics(path, f"evaluation_{kind}")


def table(runs: Mapping[str, Sequence[Path]]) -> Table:
    """Means over seeds, with the 95% interval of the mean over all questions of all seeds, and each seed's F1."""
    rows = []
    for kind in ("sampled", "greedy"):
        for name, paths in {"warm start": next(iter(runs.values())), **runs}.items():
            last = [evaluations(path, kind)[0 if name == "warm start" else -1] for path in paths]
            f1, success, turns = (np.array([row[key] for row in last]) for key in ("reward", "success", "turns"))
            # half the width of each seed's interval; seeds have different models and the same questions
            spread = float(
                np.sqrt(np.sum([(row["reward_high"] - row["reward_low"]) ** 2 for row in last])) / 2 / len(last)
            )
            seeds = " ".join(f"{value:.2f}" for value in f1)
            rows.append(
                [name, kind, f"{f1.mean():.3f} ± {spread:.3f}", seeds, f"{success.mean():.3f}", f"{turns.mean():.2f}"]
            )
    return Table(["policy", "actions", "held-out F1", "of each seed", "success", "turns"], rows)


def gains(runs: Mapping[str, Sequence[Path]]) -> Table:
    """What RL added to the sampled F1 of each seed's warm start, and what it cost."""
    rows = []
    for name, paths in runs.items():
        found = [evaluations(path, "sampled") for path in paths]
        added = [rows_of[-1]["reward"] - rows_of[0]["reward"] for rows_of in found]
        seconds = np.mean([json.loads((path / "seconds.json").read_text(encoding="utf-8")) for path in paths])
        each = " ".join(f"{value:+.2f}" for value in added)
        rows.append([name, f"{np.mean(added):+.3f}", each, f"{seconds:.0f}"])
    return Table(["method", "sampled F1 gained", "of each seed", "CPU seconds of RL"], rows)


def report(runs: Mapping[str, Sequence[Path]]) -> str:
    """The page."""
    page = Report("Learning to search: SearchTiny")
    seeds = len(next(iter(runs.values())))
    page.section("Held-out questions", note=f"Names of the test split never occur in training. Seeds: {seeds}.")
    page.table(table(runs))
    page.table(gains(runs))
    page.section("Curves", note="Means over seeds; bands from the lowest seed to the highest.")
    shown = (
        ("held-out F1, sampled", "F1", curves(runs, "evaluation_sampled", "reward")),
        ("held-out F1, greedy", "F1", curves(runs, "evaluation_greedy", "reward")),
        (f"F1 in training, mean of {SMOOTH}", "F1", curves(runs, "rl", "reward", SMOOTH)),
        (f"turns in training, mean of {SMOOTH}", "turns", curves(runs, "rl", "turns", SMOOTH)),
        (f"entropy, mean of {SMOOTH}", "nats a token", curves(runs, "rl", "entropy", SMOOTH)),
    )
    page.charts(*(line_chart(title, found, x_label="update", y_label=unit) for title, unit, found in shown))
    return page.page()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="SECTION.KEY=VALUE")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    common = {"model.threads": 1, "env.kwargs.scheme": "f1", **key_values(options.settings, "--set")}
    warm = {seed: options.out / f"warm-{seed}" for seed in seeds}
    run_all(
        [(f"warm start {s}", warm[s], {**common, "seed": s, "rl.updates": 0}) for s in seeds],
        options.at_once,
    )
    runs = {name: [options.out / f"{name.lower()}-{seed}" for seed in seeds] for name in options.methods.split(",")}
    jobs = []
    for i, seed in enumerate(seeds):  # all methods of a seed before the next seed
        start = {"seed": seed, "model.path": str(warm[seed] / "model"), "warm_start.steps": 0}
        jobs += [(f"{name} {seed}", runs[name][i], {**common, **start, **METHODS[name]}) for name in runs]
    run_all(jobs, options.at_once)
    (options.out / "report.html").write_text(report(runs), encoding="utf-8")
    print(table(runs).text(), gains(runs).text(), f"report: {options.out / 'report.html'}", sep="\n\n")


if __name__ == "__main__":
    main()
