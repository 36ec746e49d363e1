"""Speed of the web environments beside what they must reach: steps, resets, observations, memory, MiniWoB++.

Episodes of the expert are written down first and replayed in a fresh environment, so that the expert is not in the
figures; nothing that was remembered of their pages is left. The text backend is measured in CPU time of this process,
the garbage collector held back as it is in rollouts; Chromium in wall time (its work is in other processes), so run
that on an idle machine. Exits with 1 when a goal is missed. What isn't installed is left out and said.
Usage: python benchmarks/web.py [--episodes 150] [--chromium 30] [--many 16] [--soak 2000] [--miniwob 400]
"""

from __future__ import annotations

import argparse
import importlib.util
import threading
import time
from collections.abc import Callable

import numpy as np

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError
from agentgym.environments.web.sites import SITES
from agentgym.rollout.garbage import seldom_collected
from agentgym.tools.browser import text
from agentgym.tools.browser.dom import parse_html
from agentgym.tools.browser.forms import Controls
from agentgym.tools.browser.lines import read
from agentgym.tools.browser.transport import Request

ENV = "agentgym/Web-v0"
PAGES = ("/", "/contacts", "/contacts/3", "/contacts/3/edit", "/orders", "/orders/1003", "/orders/new", "/products")
STEPS = {"book": 1_000.0, "mail": 1_000.0, "calendar": 1_000.0, "map": 1_000.0, "shop": 40.0}
"""Steps a second and core that a site must allow; light ones that aren't named 100."""

_missed: list[str] = []


def report(name: str, figure: float, goal: float, unit: str, *, at_most: bool = False) -> None:
    reached = figure <= goal if at_most else figure >= goal
    bound = "at most" if at_most else "at least"
    print(f"{name:<58} {figure:>9,.1f} {unit:<10} {bound} {goal:,g}: {'reached' if reached else 'MISSED'}", flush=True)
    if not reached:
        _missed.append(name)


def recorded(episodes: int, **settings: object) -> list[list[str]]:
    env = agentgym.make(ENV, **settings)
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


def without_browser(site: str, episodes: int) -> None:
    try:
        messages = recorded(episodes, sites=(site,))
        env = agentgym.make(ENV, sites=(site,))
    except AgentGymError as error:
        print(f"text, {site}: left out ({error})")
        return
    text._remembered.cache_clear()
    with seldom_collected():
        resets, steps = replay(env, messages, time.process_time)
    env.close()
    report(f"text, {site}: steps, pages not seen before", len(steps) / sum(steps), STEPS.get(site, 100.0), "steps/s")
    report(f"text, {site}: reset, median", 1e3 * float(np.median(resets)), 15, "ms", at_most=True)


def observations() -> None:
    site = SITES["book"].make()
    site.restore(site.golden(3))
    medians = []
    for path in PAGES:
        html = site(Request("GET", f"http://book.test{path}")).body.decode()
        times = []
        for _ in range(60):
            began = time.process_time()
            read(parse_html(html), Controls())
            times.append(time.process_time() - began)
        medians.append(1e3 * float(np.median(times)))
    site.close()
    report("text: observation (HTML to lines), median", float(np.median(medians)), 2, "ms", at_most=True)


def together(episodes: list[list[str]], count: int) -> tuple[list[float], list[float], float]:
    """Resets and steps of several environments at once, and the seconds that all of it took."""
    envs = [agentgym.make(ENV, backend="chromium", sites=("book",)) for _ in range(count)]
    for env in envs:
        env.reset(seed=0)
    found: list[tuple[list[float], list[float]]] = []

    def work(env: AgentEnv) -> None:
        found.append(replay(env, episodes, time.perf_counter))

    threads = [threading.Thread(target=work, args=(env,)) for env in envs]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - began
    for env in envs:
        env.close()
    return [x for resets, _ in found for x in resets], [x for _, steps in found for x in steps], whole


def chromium(episodes: list[list[str]]) -> None:
    resets, steps, whole = together(episodes, 1)
    report("chromium: steps, one environment", len(steps) / sum(steps), 20, "steps/s")
    report("chromium: reset, median", 1e3 * float(np.median(resets)), 60, "ms", at_most=True)
    resets, steps, whole = together(episodes, 4)
    report("chromium: steps, four environments, resets included", len(steps) / whole, 20, "steps/s")
    env = agentgym.make(ENV, backend="chromium", sites=("book",))
    env.reset(seed=0)
    browser = env.game.browser  # type: ignore[attr-defined]
    times = []
    for path in PAGES:
        browser.open(f"http://book.test{path}")
        for _ in range(10):
            browser._forget()
            began = time.perf_counter()
            browser.page  # noqa: B018
            times.append(time.perf_counter() - began)
    report("chromium: observation, median", 1e3 * float(np.median(times)), 12, "ms", at_most=True)
    env.close()


def footprint() -> tuple[float, int]:
    """Megabytes of unique memory, and number, of this process's children."""
    import psutil

    total, count = 0.0, 0
    for process in psutil.Process().children(recursive=True):
        try:
            total += process.memory_full_info().uss / 2**20
            count += 1
        except psutil.Error:  # it ended meanwhile
            continue
    return total, count


def memory(count: int) -> None:
    envs = [agentgym.make(ENV, backend="chromium", sites=("book",)) for _ in range(count)]
    for seed, env in enumerate(envs):
        env.reset(seed=seed)
    report(f"chromium: {count} environments, browser and driver", footprint()[0], 2_000, "MB", at_most=True)
    for env in envs:
        env.close()


def soak(episodes: int) -> None:
    """Memory and processes while episodes go by, three steps each: the last quarter beside the second."""
    import psutil

    env = agentgym.make(ENV, backend="chromium", sites=("book",))
    seen: list[tuple[float, int, float]] = []
    for seed in range(episodes):
        env.reset(seed=seed)
        for path in ("contacts", "orders", "products"):
            env.step(f"goto('http://book.test/{path}')")
        if seed % 50 == 49:
            seen.append((*footprint(), psutil.Process().memory_info().rss / 2**20))
    env.close()
    table = np.array(seen)
    quarter = max(len(table) // 4, 1)
    early, late = table[quarter : 2 * quarter].max(axis=0), table[-quarter:].max(axis=0)
    print(f"  second quarter: {early[0]:,.0f} MB in {early[1]:.0f} processes, Python {early[2]:,.0f} MB;"
          f" last quarter: {late[0]:,.0f} MB in {late[1]:.0f} processes, Python {late[2]:,.0f} MB")  # fmt: skip
    name = f"chromium: growth over {episodes:,} episodes"
    report(f"{name}, browser and driver", 100 * (late[0] / early[0] - 1), 10, "%", at_most=True)
    report(f"{name}, Python", 100 * (late[2] / early[2] - 1), 10, "%", at_most=True)
    report(f"{name}, processes", late[1] - early[1], 0, "", at_most=True)


def miniwob(episodes: int) -> None:
    if importlib.util.find_spec("miniwob") is None:
        print("MiniWoB++: left out (its pages are not installed)")
        return
    envs = [agentgym.make("agentgym/MiniWoB-v0", subset=("click-button",)) for _ in range(3)]
    messages: dict[int, str] = {}
    for seed in range(episodes):
        envs[seed % 3].reset(seed=seed)
        messages[seed] = envs[seed % 3].expert_message()
    solved: list[bool] = []

    def work(number: int) -> None:
        env = envs[number]
        for seed in range(number, episodes, 3):
            env.reset(seed=seed)
            *_, info = env.step(messages[seed])
            solved.append(bool(info["success"]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report("MiniWoB++: click-button, episodes", episodes / (time.perf_counter() - began), 80, "a second")
    report("MiniWoB++: click-button, solved", 100 * sum(solved) / episodes, 100, "%")
    for env in envs:
        env.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=150, help="without a browser, for each site")
    parser.add_argument("--sites", nargs="*", default=["book"], help="sites without a browser")
    parser.add_argument("--chromium", type=int, default=30, help="episodes in Chromium; 0 leaves it out")
    parser.add_argument("--many", type=int, default=16, help="environments whose memory is measured; 0: none")
    parser.add_argument("--soak", type=int, default=2_000, help="episodes over which nothing may grow; 0: none")
    parser.add_argument("--miniwob", type=int, default=400, help="episodes of MiniWoB++; 0: none")
    options = parser.parse_args()
    for site in options.sites:
        without_browser(site, options.episodes)
    observations()
    if options.chromium:
        chromium(recorded(options.chromium, sites=("book",)))
    if options.miniwob:
        miniwob(options.miniwob)
    if options.many:
        memory(options.many)
    if options.soak:
        soak(options.soak)
    print(f"missed: {', '.join(_missed) or 'nothing'}")
    return 1 if _missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
