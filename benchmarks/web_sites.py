"""Speed of sites that run in processes of their own, without a browser: steps and resets.

The expert's episodes are written down in another process and replayed in this one, in worlds that neither it nor the
site's process has seen; before that, a few episodes of another split load what is loaded once. Steps are counted in CPU
time of this process, the site's and what that starts, since all of them work on a step, one after the other; resets in
wall time, in worlds that were never opened here and then again in the same ones. The garbage collector is held back as
it is in rollouts. Run it on a quiet machine.
Usage: python benchmarks/web_sites.py [--site shop] [--episodes 60]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
from web import recorded

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.rollout.garbage import seldom_collected

ENV = "agentgym/Web-v0"
_TICKS = os.sysconf("SC_CLK_TCK")


def worker_seconds(env: AgentEnv) -> float:
    """CPU seconds of the processes of the environment's sites, and of the children that these have waited for."""
    total = 0.0
    for site in env.game._sites.values():  # type: ignore[attr-defined]
        fields = Path(f"/proc/{site._worker.pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:15])) / _TICKS
    return total


def warm_up(env: AgentEnv, episodes: int) -> None:
    for number in range(episodes):
        env.reset(seed=number, options={"task_id": f"validation/{number}"})
        while env.running:
            env.step(env.expert_message())


def replay(env: AgentEnv, episodes: list[list[str]]) -> tuple[list[float], float]:
    """Wall milliseconds of each reset, and CPU seconds of all steps together."""
    resets, spent = [], 0.0
    for seed, messages in enumerate(episodes):
        began = time.perf_counter()
        env.reset(seed=seed)
        resets.append(1e3 * (time.perf_counter() - began))
        here, there = time.process_time(), worker_seconds(env)
        for message in messages:
            env.step(message)
        spent += time.process_time() - here + worker_seconds(env) - there
    return resets, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", default="shop")
    parser.add_argument("--episodes", type=int, default=60)
    options = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(1) as elsewhere:
        episodes = elsewhere.apply(recorded, (options.episodes,), {"sites": (options.site,)})
    env = agentgym.make(ENV, sites=(options.site,))
    warm_up(env, 10)
    with seldom_collected():
        new, spent = replay(env, episodes)
        again, cheap = replay(env, episodes)
    steps = sum(map(len, episodes))
    print(
        f"{options.site}: {steps / spent:,.0f} steps/s and core ({1e3 * spent / steps:.1f} ms CPU a step), "
        f"{steps / cheap:,.0f} the second time; reset with first page, wall: median {np.median(new):.1f} ms in a new "
        f"world, {np.median(again):.1f} ms in one that was opened before"
    )
    env.close()


if __name__ == "__main__":
    main()
