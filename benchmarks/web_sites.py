"""Speed of sites that run in processes of their own, without a browser: steps and resets.

The expert's episodes are written down first and replayed in a fresh environment. Counted is CPU time of this process
and of the site's, since both work on a step, one after the other.
Usage: python benchmarks/web_sites.py [--site shop] [--episodes 60]
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from web import recorded

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.tools.browser import text

ENV = "agentgym/Web-v0"
_TICKS = os.sysconf("SC_CLK_TCK")


def worker_seconds(env: AgentEnv) -> float:
    """CPU seconds of the processes of the environment's sites."""
    total = 0.0
    for site in env.game._sites.values():  # type: ignore[attr-defined]
        fields = Path(f"/proc/{site._worker.pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", default="shop")
    parser.add_argument("--episodes", type=int, default=60)
    options = parser.parse_args()
    episodes = recorded(options.episodes, sites=(options.site,))
    env = agentgym.make(ENV, sites=(options.site,))
    env.reset(seed=0)
    text._remembered.cache_clear()
    resets, steps = [], 0
    spent = 0.0
    for seed, messages in enumerate(episodes):
        began = time.perf_counter()
        env.reset(seed=seed)
        resets.append(time.perf_counter() - began)
        here, there = time.process_time(), worker_seconds(env)
        for message in messages:
            env.step(message)
        spent += time.process_time() - here + worker_seconds(env) - there
        steps += len(messages)
    restores = []
    (site,) = env.game._sites.values()  # type: ignore[attr-defined]
    data = site.golden(1)
    for _ in range(100):
        began = time.perf_counter()
        site.restore(data)
        restores.append(time.perf_counter() - began)
    print(
        f"{options.site}: {steps / spent:,.0f} steps/s and core ({1e3 * spent / steps:.1f} ms CPU a step); reset with "
        f"first page, wall: median {1e3 * np.median(resets):.1f} ms; restore: median {1e3 * np.median(restores):.2f} ms"
    )
    env.close()


if __name__ == "__main__":
    main()
