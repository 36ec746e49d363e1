"""Speed of the shopping environments: steps a second, searches, and opening a built catalogue.

Episodes of the expert are written down first and then replayed in a fresh environment, so that neither expert nor
policy is in the figures. No search and no task is remembered from before. Times are CPU times of one process, so that
other load on the machine isn't in them.
Usage: python benchmarks/shopping.py [--episodes 400] [--large 100000]
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field

import numpy as np

import agentgym
from agentgym.environments.shopping.catalog import CatalogSpec, open_catalogue

OPEN_IN_CHILD = """
import resource, sys, time
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
from agentgym.environments.shopping.catalog import CatalogSpec, open_catalogue
began = time.perf_counter()
catalogue = open_catalogue(CatalogSpec(int(sys.argv[1])))
opened = time.perf_counter() - began
for number in range(200):
    catalogue.search(catalogue.row(number * 7).title, 50)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(opened, after / 1024)
"""


@dataclass
class Timing:
    """Seconds that calls took."""

    reset: list[float] = field(default_factory=list)
    search: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)

    def steps_per_second(self, *, with_resets: bool) -> float:
        total = sum(self.search) + sum(self.other) + (sum(self.reset) if with_resets else 0.0)
        return (len(self.search) + len(self.other)) / total


def written(env: agentgym.AgentEnv, episodes: int) -> list[tuple[int, list[str]]]:
    """Seed and messages of the expert's episodes."""
    found = []
    for seed in range(episodes):
        env.reset(seed=seed)
        messages = []
        while env.running:
            messages.append(env.expert_message())
            env.step(messages[-1])
        found.append((seed, messages))
    return found


def replayed(env: agentgym.AgentEnv, episodes: list[tuple[int, list[str]]]) -> Timing:
    """Times of the same episodes, played again in an environment that remembers no search."""
    timing = Timing()
    for seed, messages in episodes:
        forget(env)
        began = time.process_time()
        env.reset(seed=seed)
        timing.reset.append(time.process_time() - began)
        forget(env)
        for message in messages:
            kind = timing.search if message.startswith("search") else timing.other
            began = time.process_time()
            env.step(message)
            kind.append(time.process_time() - began)
    return timing


def forget(env: agentgym.AgentEnv) -> None:
    """Drops remembered searches."""
    index = env.game.tasks().catalogue("train")._index  # type: ignore[attr-defined]
    index._cached.cache_clear()


def row(name: str, value: str, goal: str) -> None:
    print(f"{name:<58} {value:>16}   {goal}")


def environment(env_id: str, products: int, episodes: int) -> Timing:
    size = {"num_products" if "WebShop" in env_id else "products": products}
    return replayed(agentgym.make(env_id, **size), written(agentgym.make(env_id, **size), episodes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--large", type=int, default=100_000, help="products of the large catalogue")
    options = parser.parse_args()
    print(f"python {' '.join(sys.argv)}")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    row("", "measured", "goal")
    for size in (1000, options.large):
        built = not CatalogSpec(size).folder.is_dir()
        began = time.process_time()
        open_catalogue(CatalogSpec(size))
        if built:
            row(f"build {size:,} products", f"{time.process_time() - began:.1f} s", "")
    for env_id in ("agentgym/WebShop-v0", "agentgym/Shopping-v0"):
        small = environment(env_id, 1000, options.episodes)
        large = environment(env_id, options.large, options.episodes)
        for label, with_resets in (("with", True), ("without", False)):
            speed = small.steps_per_second(with_resets=with_resets)
            row(f"{env_id}, 1,000 products, {label} resets", f"{speed:,.0f} steps/s", "10,000")
        medians = [np.median(timing.other) * 1e6 for timing in (small, large)]
        slower = 100 * (medians[1] / medians[0] - 1)
        row(f"{env_id}, no search, 1,000 / {options.large:,}", f"{medians[0]:.0f} / {medians[1]:.0f} us", "")
        row(f"{env_id}, no search, {options.large:,} slower by", f"{slower:.0f} %", "at most 30 %")
        search = np.median(large.search) * 1e3
        row(f"{env_id}, step with search, {options.large:,}, p50", f"{search:.2f} ms", "about 1 ms")
        resets = np.median(large.reset) * 1e3
        row(f"{env_id}, reset, {options.large:,}, p50", f"{resets:.2f} ms", "")
    child = subprocess.run(
        [sys.executable, "-c", OPEN_IN_CHILD, str(options.large)], capture_output=True, text=True, check=True
    )
    seconds, megabytes = map(float, child.stdout.split())
    row(f"open {options.large:,} products in a new process", f"{seconds:.3f} s", "under 0.5 s")
    row("memory of that process after 200 searches", f"{megabytes:.0f} MB", "under 300 MB")


if __name__ == "__main__":
    main()
