"""Speed of the web environment: steps, resets and observations, without a browser and in Chromium.

Episodes of the expert are written down first and replayed in a fresh environment, so that the expert is not in the
figures. The text backend is measured in CPU time of this process, Chromium in wall time (its work is in other
processes), so run that on an idle machine.
Usage: python benchmarks/web.py [--episodes 150] [--chromium 20] [--many 0]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.environments.web.sites.book import make_site
from agentgym.tools.browser import text
from agentgym.tools.browser.dom import parse_html
from agentgym.tools.browser.forms import Controls
from agentgym.tools.browser.lines import read
from agentgym.tools.browser.transport import Request

ENV = "agentgym/Web-v0"
PAGES = ("/", "/contacts", "/contacts/3", "/contacts/3/edit", "/orders", "/orders/1003", "/orders/new", "/products")


def recorded(episodes: int) -> list[list[str]]:
    env = agentgym.make(ENV)
    found: list[list[str]] = []
    for seed in range(episodes):
        env.reset(seed=seed)
        messages: list[str] = []
        while env.running:
            messages.append(env.expert_message())
            env.step(messages[-1])
        found.append(messages)
    env.close()
    return found


def replay(env: AgentEnv, episodes: list[list[str]], clock: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Seconds of every reset and of every step."""
    resets, steps = [], []
    for seed, messages in enumerate(episodes):
        began = clock()
        env.reset(seed=seed)
        resets.append(clock() - began)
        for message in messages:
            began = clock()
            env.step(message)
            steps.append(clock() - began)
    return resets, steps


def report(name: str, resets: list[float], steps: list[float]) -> None:
    rate, whole = len(steps) / sum(steps), len(steps) / (sum(steps) + sum(resets))
    print(f"{name}: {rate:,.0f} steps/s, {whole:,.0f} with resets; reset median {1e3 * np.median(resets):.2f} ms; "
          f"step median {1e3 * np.median(steps):.2f} ms, p95 {1e3 * np.percentile(steps, 95):.2f} ms")  # fmt: skip


def observations() -> None:
    site = make_site()
    site.restore(site.golden(3))
    for path in PAGES:
        html = site(Request("GET", f"http://book.test{path}")).body.decode()
        times = []
        for _ in range(60):
            began = time.process_time()
            read(parse_html(html), Controls())
            times.append(time.process_time() - began)
        print(f"  observation of {path} ({len(html)} characters): median {1e3 * np.median(times):.2f} ms")
    site.close()


def chromium(episodes: list[list[str]]) -> None:
    env = agentgym.make(ENV, backend="chromium")
    env.reset(seed=0)
    report("chromium, wall", *replay(env, episodes, time.perf_counter))
    browser = env.game.browser  # type: ignore[attr-defined]
    times = []
    for path in PAGES:
        browser.open(f"http://book.test{path}")
        for _ in range(10):
            browser._page = None
            began = time.perf_counter()
            browser.page  # noqa: B018
            times.append(time.perf_counter() - began)
    print(f"  observation: median {1e3 * np.median(times):.1f} ms")
    env.close()


def memory(count: int) -> None:
    import psutil

    envs = [agentgym.make(ENV, backend="chromium") for _ in range(count)]
    for seed, env in enumerate(envs):
        env.reset(seed=seed)
    family = psutil.Process().children(recursive=True)
    total = sum(process.memory_full_info().uss for process in family) / 2**20
    print(f"{count} environments in Chromium: {total:,.0f} MB (unique memory of browser and driver)")
    for env in envs:
        env.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=150)
    parser.add_argument("--chromium", type=int, default=20, help="episodes in Chromium; 0 leaves it out")
    parser.add_argument("--many", type=int, default=0, help="environments whose memory is measured")
    options = parser.parse_args()
    episodes = recorded(options.episodes)
    env = agentgym.make(ENV)
    text._remembered.cache_clear()
    report("text, CPU, first time", *replay(env, episodes, time.process_time))
    report("text, CPU, pages known", *replay(env, episodes, time.process_time))
    env.close()
    observations()
    if options.chromium:
        chromium(episodes[: options.chromium])
    if options.many:
        memory(options.many)


if __name__ == "__main__":
    main()
