"""Times of agentgym/SWE-v0, what grading costs beside the tests, and what must stay flat over many episodes.

python benchmarks/swe.py                     # the bundled package, and toolz where pip can fetch it
python benchmarks/swe.py --episodes 1000     # also plays that many episodes and watches memory, files and processes
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError
from agentgym.environments.swe import checkout, fetch, tasks
from agentgym.environments.swe.grading import test_files

GAME = "agentgym.environments.swe.game:SWEGame"


def measure(name: str, action: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - began))
    return show(name, times)


def show(name: str, times: list[float]) -> float:
    times = sorted(times)
    middle = statistics.median(times)
    print(f"  {name:<44} {times[0]:8.1f} {middle:8.1f} {times[int(0.95 * (len(times) - 1))]:8.1f}", flush=True)
    return middle


def caller(env: AgentEnv, name: str, **arguments: object) -> Callable[[], object]:
    body = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
    return lambda: env.step(f"<function={name}>\n{body}</function>")


def environment(source: str, package: str, repeats: int = 50) -> None:
    env = AgentEnv(GAME, tasks=source, packages=(package,), max_turns=10_000, max_tool_calls=100_000)
    dataset = tasks.load(source).only([package])
    bug = next(iter(dataset.bugs.values()))
    options = {"task_id": bug.instance_id}
    env.reset(seed=0, options=options)
    print(f"{package}, milliseconds{'':<20} {'least':>8} {'p50':>8} {'p95':>8}")
    measure("reset", lambda: env.reset(seed=0, options=options), repeats)
    measure("bash (ls)", caller(env, "bash", command="ls"), repeats)
    measure("bash (a file changes)", caller(env, "bash", command="date +%N > x"), repeats)
    measure("view", caller(env, "view", path=bug.path), repeats)
    measure("search", caller(env, "search", pattern="def "), repeats)
    measure("insert", caller(env, "insert", path=bug.path, line=0, text="# x"), repeats)
    measure("undo", caller(env, "undo", path=bug.path), repeats)
    measure("snapshot", lambda: env.snapshot().close(), repeats)
    measure("fork", lambda: env.fork().close(), repeats)
    tested = measure("the tests alone", lambda: bare(dataset, bug.package), 5)
    measure("run_tests", caller(env, "run_tests"), 5)
    graded = show("submit: a patch that fails", [submit(env, options, expert=False) for _ in range(5)])
    solved = show("submit: the fix", [submit(env, options, expert=True) for _ in range(5)])
    print(f"  grading over the tests alone: {graded - tested:.0f} ms, of a patch that passes {solved - tested:.0f} ms")
    env.close()


def bare(dataset: tasks.Dataset, key: str) -> None:
    """Runs a package's tests as a person would, in a prepared sandbox."""
    package = dataset.packages[key]
    paths = test_files(package, dataset.passing[key])
    quiet = ["pytest", "-q", "-p", "no:cacheprovider", *package.options]
    runner = [*(["unittest"] if package.framework == "unittest" else quiet), *paths]
    env = {
        "PYTHONPATH": ":".join(f"/workspace/{entry}" for entry in package.path),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    shared = checkout.shared(checkout.resolve("auto"))
    with shared.open(package, fetch.files_of(package), fetch.environment_of(package)) as sandbox:
        result = sandbox.exec([*checkout.PYTHON, "-m", *runner], env=env)
    assert result.exit_code == 0, result.text[-500:] + result.error_text[-500:]


def submit(env: AgentEnv, options: dict[str, str], *, expert: bool) -> float:
    """Milliseconds of grading."""
    env.reset(seed=0, options=options)
    if expert:
        while "<function=submit>" not in (message := env.expert_message()):
            env.step(message)
    else:
        path = env.task.reference["path"]
        caller(env, "insert", path=path, line=0, text="# x")()
    began = time.perf_counter()
    caller(env, "submit")()
    return 1000 * (time.perf_counter() - began)


def side_by_side(count: int) -> None:
    """Experts in as many threads as asked for, each with an environment of its own."""
    failures: list[str] = []

    def play(seed: int) -> None:
        env = AgentEnv(GAME)
        env.reset(seed=seed)
        info: dict[str, object] = {}
        while env.running:
            info = env.step(env.expert_message())[4]
        if not info.get("success"):
            failures.append(str(info))
        env.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=play, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{count} episodes side by side: {time.perf_counter() - began:.1f} s, {len(failures)} not solved")


def footprint() -> dict[str, int]:
    """Resident memory of this process and of its children in MiB, open files, threads, processes, mounts."""

    def resident(pid: str) -> int:
        try:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
        except (OSError, IndexError):
            return 0

    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in ("self", *children))
    mounts = sum(len(Path(f"/proc/{pid}/mounts").read_text().splitlines()) for pid in children)
    return {
        "MiB": resident("self"), "MiB of children": sum(map(resident, children)), "open files": files,
        "threads": threading.active_count(), "children": len(children), "mounts": mounts,
    }  # fmt: skip


def many_episodes(count: int) -> None:
    """Whole episodes: look, change a file, leave a background process, snapshot, fix, submit."""
    env = AgentEnv(GAME)
    for episode in range(count):
        env.reset(seed=episode)
        env.step(env.expert_message())
        caller(env, "bash", command="echo x > f; sleep 100 &")()
        snapshot = env.snapshot()
        if episode % 5:
            snapshot.close()  # else the collector has to
        while env.running:
            message = env.expert_message()
            env.step(message if "run_tests" not in message else "<function=submit>\n</function>")
        if episode + 1 in (50, count // 4, count // 2, 3 * count // 4, count):
            gc.collect()
            print(f"after {episode + 1} episodes: {footprint()}", flush=True)
    env.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=0)
    parser.add_argument("--package", default="toolz", help="a package of the manifest, beside the bundled one")
    chosen = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, {checkout.resolve('auto')}")
    environment("bundled", "tinykit")
    try:
        environment("manifest", chosen.package)
    except AgentGymError as error:
        print(error)
    side_by_side(16)
    if chosen.episodes:
        many_episodes(chosen.episodes)
    checkout.close_shared()


if __name__ == "__main__":
    main()
