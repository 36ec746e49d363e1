"""Times of sandboxes and of the software-engineering environment; what must stay flat over many episodes.

python benchmarks/sandboxes.py                     # bubblewrap, and docker where a daemon answers
python benchmarks/sandboxes.py --sandboxes 1000    # opens that many of each, one after another: what must stay flat
python benchmarks/sandboxes.py --episodes 1000     # also plays that many episodes and watches memory and files
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError
from agentgym.environments.swe import checkout, tasks
from agentgym.sandboxes import Sandbox, SandboxSpec, Shell, diagnose, docker, open_sandbox, plain
from agentgym.sandboxes.protocol import Limits, MiB

GAME = "agentgym.environments.swe.game:SWEGame"


def measure(name: str, action: Callable[[], object], repeats: int = 50) -> None:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - began))
    times.sort()
    tail = times[int(0.95 * (len(times) - 1))]
    print(f"  {name:<44} {min(times):8.1f} {statistics.median(times):8.1f} {tail:8.1f}")


def sandboxes(backend: str) -> None:
    slow = 5 if backend == "docker" else 30
    print(f"{backend}, milliseconds{'':<23} {'least':>8} {'p50':>8} {'p95':>8}")
    with open_sandbox(SandboxSpec(limits=Limits(disk=256 * MiB)), backend) as sandbox:
        measure("open and close", lambda: open_sandbox(backend=backend).close(), slow)
        measure("command (true)", lambda: sandbox.exec(["true"]))
        shell = Shell(sandbox)
        measure("shell command (true)", lambda: shell.run("true"))
        measure("write a file", lambda: sandbox.write_file("f", "x"))
        measure("read a file", lambda: sandbox.read_file("f"))
        sandbox.exec("for i in $(seq 50); do mkdir d$i; for j in $(seq 100); do echo $i $j > d$i/f$j; done; done")
        measure("fork with 5,000 files", lambda: sandbox.fork().close(), slow)
        ids: list[str] = []
        measure("snapshot of 5,000 files", lambda: ids.append(sandbox.snapshot()), min(slow, 20))
        measure("restore 5,000 files", lambda: sandbox.restore(ids[0]), slow)
    if backend == "docker":
        with docker.keep_warm(count=4) as pool:
            boxes: list[Sandbox] = []
            pool.wait()
            measure("open, from a warm pool", lambda: boxes.append(open_sandbox(backend="docker")), 4)
            for box in boxes:
                box.close()


def one_after_another(backend: str, count: int) -> None:
    """Opens, uses, snapshots, forks and closes that many sandboxes."""
    print(f"{count} sandboxes of {backend}, one after another")
    began = time.perf_counter()
    for number in range(count):
        with open_sandbox(backend=backend) as sandbox:
            sandbox.exec("echo x > f; sleep 100 &")
            sandbox.snapshot()
            sandbox.fork().close()
        if number in (20, count // 2, count - 1):
            print(f"  after {number + 1}: {footprint()}")
    print(f"  {1000 * (time.perf_counter() - began) / count:.0f} ms each")


def environment(source: str, package: str) -> None:
    env = AgentEnv(GAME, tasks=source, packages=(package,), max_turns=10_000, max_tool_calls=100_000)
    bug = next(bug for bug in env.game.dataset.bugs.values() if env.game.dataset.package(bug).name == package)  # type: ignore[attr-defined]
    options = {"task_id": bug.instance_id}
    env.reset(seed=0, options=options)
    print(f"agentgym/SWE-v0 on {package}, milliseconds{'':<7} {'least':>8} {'p50':>8} {'p95':>8}")
    measure("reset", lambda: env.reset(seed=0, options=options), 30)

    def call(name: str, **arguments: object) -> Callable[[], object]:
        body = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
        return lambda: env.step(f"<function={name}>\n{body}</function>")

    measure("bash", call("bash", command="ls"))
    measure("view", call("view", path=bug.path))
    measure("search", call("search", pattern="def "))
    measure("insert", call("insert", path=bug.path, line=0, text="# x"))
    measure("run_tests", call("run_tests"), 5)
    measure("snapshot", env.snapshot, 30)

    def submit() -> None:
        env.reset(seed=0, options=options)
        call("insert", path=bug.path, line=0, text="# x")()
        began = time.perf_counter()
        call("submit")()
        graded.append(1000 * (time.perf_counter() - began))

    graded: list[float] = []
    for _ in range(5):
        submit()
    print(f"  {'submit (grading)':<44} {min(graded):8.1f} {statistics.median(graded):8.1f} {max(graded):8.1f}")
    env.close()


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
    took = time.perf_counter() - began
    print(f"{count} episodes side by side: {took:.1f} s, {len(failures)} not solved")


def footprint() -> dict[str, int]:
    """Resident memory of this process and of its children in MiB, open files, threads."""

    def resident(pid: str) -> int:
        try:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
        except (OSError, IndexError):
            return 0

    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "MiB": resident("self"),
        "MiB of children": sum(map(resident, children)),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "processes": len(descendants()),
    }


def descendants() -> list[str]:
    """Processes that this one started, and those that they started, and so on."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[folder.name] = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
    found = [str(os.getpid())]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def many_episodes(count: int) -> None:
    env = AgentEnv(GAME)
    for episode in range(count):
        env.reset(seed=episode)
        env.step(env.expert_message())
        env.step("<function=bash>\n<parameter=command>\necho x > f; sleep 100 &\n</parameter>\n</function>")
        env.snapshot()
        if episode % 10 == 0:
            env.step("<function=submit>\n</function>")
        if episode in (20, count // 2, count - 1):
            print(f"after {episode + 1} episodes: {footprint()}")
    env.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=0)
    parser.add_argument("--sandboxes", type=int, default=0)
    parser.add_argument("--package", default="toolz", help="a package of the manifest, beside the bundled one")
    chosen = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    warnings.simplefilter("ignore", plain.UnisolatedWarning)
    for item in diagnose():
        if not item.ok:
            print(f"{item.name}: {item.fix}")
        elif chosen.sandboxes:
            one_after_another(item.name, chosen.sandboxes)
        else:
            sandboxes(item.name)
    if chosen.sandboxes:
        return
    environment("bundled", "tinykit")
    try:
        if any(tasks.load("manifest").only([chosen.package]).bugs):
            environment("manifest", chosen.package)
    except AgentGymError as error:
        print(error)
    side_by_side(16)
    if chosen.episodes:
        many_episodes(chosen.episodes)
    checkout.close_shared()


if __name__ == "__main__":
    main()
