"""Beliefs of all turns at once against one forward pass a turn, on a CPU.

For each setting a small Qwen3 with random weights measures an answer of 32 tokens, inside the default template, before
every turn; the same model and the same numbers each way. Times are the best of several runs, in turn, so that a busy
machine slows all ways alike; errors are the largest difference from one pass a turn. ``auto`` is what
``turn_beliefs`` does by default. On a machine that others use, take ``--clock cpu --threads 1``: processor time.
Usage: python benchmarks/beliefs.py [--threads 2] [--runs 5] [--clock wall] [--quick]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from typing import NamedTuple, get_args

import numpy as np
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from agentgym.training.belief_engines import Engine
from agentgym.training.belief_passes import Branch, Context
from agentgym.training.beliefs import turn_beliefs

VOCABULARY, PREFIX, ANSWER, SUFFIX = 4096, 14, 32, 4


class Setting(NamedTuple):
    hidden: int
    layers: int
    tokens: int
    turns: int
    trajectories: int = 1


SETTINGS = (
    Setting(64, 2, 128, 2),
    Setting(64, 2, 512, 2),
    Setting(64, 2, 2048, 2),
    Setting(64, 2, 256, 4, 8),
    Setting(64, 2, 1024, 8),
    Setting(64, 2, 2048, 20),
    Setting(256, 4, 128, 2),
    Setting(256, 4, 512, 2),
    Setting(256, 4, 2048, 2),
    Setting(256, 4, 1024, 8),
    Setting(256, 4, 2048, 20),
)
QUICK = (SETTINGS[1], SETTINGS[5])


def model_of(hidden: int, layers: int) -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=max(hidden // 64, 1),
        head_dim=32,
    )
    return Qwen3ForCausalLM(config).eval()


def contexts_of(setting: Setting, rng: np.random.Generator) -> list[Context]:
    points = [setting.tokens * (turn + 1) // setting.turns for turn in range(setting.turns)]
    branch = Branch(tuple(rng.integers(0, VOCABULARY, PREFIX + ANSWER + SUFFIX).tolist()), PREFIX, PREFIX + ANSWER)
    return [
        Context(rng.integers(0, VOCABULARY, setting.tokens).tolist(), points, [branch])
        for _ in range(setting.trajectories)
    ]


def ways_of(model: Qwen3ForCausalLM, contexts: list[Context]) -> dict[str, Callable[[], np.ndarray]]:
    def way(engine: Engine) -> Callable[[], np.ndarray]:
        return lambda: np.concatenate(turn_beliefs(model, contexts, engine=engine))

    return {engine: way(engine) for engine in get_args(Engine)}


def race(
    ways: dict[str, Callable[[], np.ndarray]], runs: int, clock: Callable[[], float]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Best time in ms and result of each way; the ways take turns."""
    found = {name: way() for name, way in ways.items()}
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(runs):
        for name, way in ways.items():
            start = clock()
            way()
            best[name] = min(best[name], 1e3 * (clock() - start))
    return best, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--quick", action="store_true", help="two settings only")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    print(f"{platform.machine()}, torch {torch.__version__}, {options.threads} threads, {options.clock} time", end=", ")
    print(f"load {os.getloadavg()[0]:.1f}")
    engines = [engine for engine in get_args(Engine) if engine != "naive"]
    print(f"{'hidden layers tokens turns trajectories':>40} {'naive ms':>10}", end="")
    print("".join(f"{engine:>9}" for engine in engines), "  largest error")
    for setting in QUICK if options.quick else SETTINGS:
        model = model_of(setting.hidden, setting.layers)
        ways = ways_of(model, contexts_of(setting, np.random.default_rng(0)))
        best, found = race(ways, options.runs, clock)
        error = max(float(np.abs(found[engine] - found["naive"]).max()) for engine in engines)
        ratios = "".join(f"{best['naive'] / best[engine]:8.2f}x" for engine in engines)
        name = f"{setting.hidden:6}{setting.layers:7}{setting.tokens:7}{setting.turns:6}{setting.trajectories:13}"
        print(f"{name:>40} {best['naive']:10.1f}{ratios}   {error:.1e}", flush=True)


if __name__ == "__main__":
    main()
