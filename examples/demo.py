"""``make demo``: a tiny model learns to shop, first from an expert who makes mistakes, then by RL.

One warm start; from it, RL with outcome-only GRPO and with step credit, side by side on the same tasks with the same
budget; greedy and sampled evaluation on 200 held-out tasks; a table, and one HTML file with learning curves and an
episode with its rewards, gates and credit. ``--full``: GiGPO, SPA and OPRL too, three seeds each.

An interrupted demo goes on where it stopped. Settings: examples/shopping_tiny.toml.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.core.actions import json_text
from agentgym.credit import make
from agentgym.evaluation.chart import Curve, line_chart
from agentgym.evaluation.report import Report, Table
from agentgym.rollout.batch import to_batch
from agentgym.training.config import load
from agentgym.training.curves import curves
from agentgym.training.metrics import read_metrics

SETTINGS = Path(__file__).with_name("shopping_tiny.toml")
OUTCOME = "GRPO, outcome only"
STEP = "turn RLOO, step credit"
METHODS: dict[str, dict[str, Any]] = {
    OUTCOME: {"credit.method": "grpo", "env.kwargs.scheme": "outcome"},
    STEP: {"credit.method": "turn_rloo", "env.kwargs.scheme": "gated"},
    "GiGPO, step credit": {"credit.method": "gigpo", "env.kwargs.scheme": "gated"},
    "SPA, step credit": {"credit.method": "spa", "credit.scorer_warmup": 4, "env.kwargs.scheme": "gated"},
    "OPRL, step credit": {"credit.method": "oprl", "env.kwargs.scheme": "gated"},
}
"""Name in the report -> settings. All play the same tasks."""

SECONDS_BETWEEN_LINES = 15.0


def say(text: str) -> None:
    print(f"[demo] {text}", file=sys.stderr, flush=True)


def train(name: str, out: Path, settings: Mapping[str, Any]) -> None:
    """One training run, in a process of its own. Goes on where an earlier one stopped."""
    from transformers.utils.logging import disable_progress_bar

    from agentgym.training.run import train as run

    disable_progress_bar()
    last = [0.0]

    def on_step(phase: str, step: int, steps: int, row: Mapping[str, Any]) -> None:
        if phase.startswith("evaluation"):
            low, high = row["success_low"], row["success_high"]
            say(
                f"{name}: {phase.replace('_', ', ')} after {step}: success {row['success']:.3f} [{low:.3f}, {high:.3f}]"
            )
        elif time.monotonic() - last[0] > SECONDS_BETWEEN_LINES or step == steps:
            last[0] = time.monotonic()
            shown = f"success {row['success']:.3f}" if "success" in row else f"loss {row['loss']:.3f}"
            say(f"{name}: {phase.replace('_', ' ')} {step}/{steps}  {shown}")

    run(load(SETTINGS, settings), out, resume=True, on_step=on_step)


def run_all(jobs: Sequence[tuple[str, Path, Mapping[str, Any]]], at_once: int) -> None:
    """Training runs in parallel processes, ``at_once`` at a time."""
    context = multiprocessing.get_context("spawn")
    waiting, running = list(jobs), []
    while waiting or running:
        while waiting and len(running) < at_once:
            process = context.Process(target=train, args=waiting.pop(0))
            process.start()
            running.append(process)
        for process in list(running):
            process.join(0.2)
            if process.exitcode is None:
                continue
            running.remove(process)
            if process.exitcode:
                for other in running:
                    other.terminate()
                raise SystemExit(
                    f"[demo] a training run failed with exit code {process.exitcode}; run make demo again."
                )


def warm_start(out: Path, overrides: Mapping[str, Any]) -> Path:
    """The model that every RL run begins with."""
    path = out / "warm-start"
    if not (path / "model").exists():
        run_all([("warm start", path, {**overrides, "rl.updates": 0, "model.threads": os.cpu_count() or 1})], 1)
    return path


def evaluation(path: Path, kind: str, *, last: bool = True) -> dict[str, Any]:
    rows = read_metrics(path, f"evaluation_{kind}")
    return rows[-1 if last else 0]


def table(runs: Mapping[str, Sequence[Path]]) -> Table:
    """Success, score and turns on held-out tasks; over several seeds, the mean and the range of the seeds."""
    rows = []
    starts = next(iter(runs.values()))[0]
    for name, paths in {"warm start": [starts], **runs}.items():
        for kind in ("greedy", "sampled"):
            found = [evaluation(path, kind, last=name != "warm start") for path in paths]
            success = np.array([row["success"] for row in found])
            if len(found) == 1:
                spread = f"[{found[0]['success_low']:.3f}, {found[0]['success_high']:.3f}]"
            else:
                spread = f"seeds {success.min():.3f} to {success.max():.3f}"
            score, turns = (np.mean([row[key] for row in found]) for key in ("score", "turns"))
            rows.append([name, kind, f"{success.mean():.3f}", spread, f"{score:.3f}", f"{turns:.2f}"])
    return Table(["policy", "actions", "success", "95% interval", "score", "turns"], rows)


def sample_episode(path: Path, settings: Mapping[str, Any]) -> tuple[Any, list[float]]:
    """A solved episode of several turns from a group of eight, with the credit that its turns got."""
    from transformers.utils.logging import disable_progress_bar

    from agentgym.training.trainer import Trainer

    disable_progress_bar()
    config = load(SETTINGS, {**settings, "model.path": str(path / "model"), "rl.groups": 8})
    trainer = Trainer(config)
    trajectories = [t for t in trainer.collect(10_000) if t.scored]
    batch = to_batch(trajectories)
    credit = make(config.credit.method, **config.credit.parameters)(batch)
    spread = [
        float(np.ptp(credit.turn[start:end])) if trajectory.success else -1.0
        for trajectory, start, end in zip(trajectories, batch.turn_offsets[:-1], batch.turn_offsets[1:], strict=True)
    ]
    best = int(np.argmax(spread))
    return trajectories[best], credit.turn[batch.turn_offsets[best] : batch.turn_offsets[best + 1]].tolist()


def report(out: Path, runs: Mapping[str, Sequence[Path]], warm: Path, results: Table, seconds: float) -> Path:
    """Writes the HTML file and returns its path."""
    page = Report("agentgym demo: a tiny model learns to shop")
    page.section(
        "Held-out tasks",
        note="200 tasks of the test split. Score: mean reward under the gated scheme, whatever trained the policy.",
    )
    page.table(results)
    page.section("Learning curves", note="Every method starts from the same warm start and plays the same tasks.")
    page.charts(
        line_chart(
            "Held-out success, sampled",
            curves(runs, "evaluation_sampled", "success"),
            x_label="update",
            y_label="success",
            y_range=(0, 1),
        ),
        line_chart(
            "Training success (mean of 5 updates)",
            curves(runs, "rl", "success", 5),
            x_label="update",
            y_label="success",
            y_range=(0, 1),
        ),
        line_chart("Turns an episode", curves(runs, "rl", "turns", 5), x_label="update", y_label="turns"),
        line_chart("Entropy", curves(runs, "rl", "entropy", 5), x_label="update", y_label="nats a token"),
        line_chart(
            "Warm start", [Curve("loss", *_warm_curve(warm))], x_label="step", y_label="loss on the expert's tokens"
        ),
    )
    name = STEP if STEP in runs else next(iter(runs))
    trajectory, credit = sample_episode(runs[name][0], METHODS[name])
    page.section(
        f"An episode ({name})",
        note="What each turn was worth: raw components, what the gate held or paid, and the credit that trained it.",
    )
    page.episode(trajectory, credit)
    page.section(
        "Settings",
        note=f"{json_text(load(SETTINGS).to_dict())} Machine: {os.cpu_count()} cores. Time: {seconds:.0f} s.",
    )
    path = out / "report.html"
    path.write_text(page.page(), "utf-8")
    return path


def _warm_curve(warm: Path) -> tuple[list[float], list[float]]:
    rows = read_metrics(warm, "warm_start")
    return [row["step"] for row in rows], [row["loss"] for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo-out"))
    parser.add_argument("--full", action="store_true", help="five methods, three seeds each")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], help="override a setting, SECTION.KEY=VALUE"
    )
    options = parser.parse_args()
    from agentgym.cli.options import key_values

    overrides = key_values(options.settings, "--set")
    began = time.monotonic()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    say("warm start: a million-parameter model imitates an expert that makes mistakes")
    warm = warm_start(options.out, overrides)
    names = list(METHODS) if options.full else [OUTCOME, STEP]
    seeds = range(3) if options.full else range(1)
    runs = {name: [options.out / f"{METHODS[name]['credit.method']}-{seed}" for seed in seeds] for name in names}
    start = {**overrides, "model.path": str(warm / "model"), "warm_start.steps": 0, "model.threads": 1}
    jobs = [
        (f"{name} (seed {seed})", runs[name][seed], {**start, **METHODS[name], "seed": seed})
        for seed in seeds
        for name in names
    ]
    say(f"RL: {', '.join(names)}; {len(jobs)} runs, {min(os.cpu_count() or 1, len(jobs))} at a time")
    run_all(jobs, os.cpu_count() or 1)
    results = table(runs)
    path = report(options.out, runs, warm, results, time.monotonic() - began)
    print(results.text())
    print(f"\nreport: {path}  ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
