"""Times of sandboxes, and what must stay flat over many of them. See swe.py for the environment that lives in them.

python benchmarks/sandboxes.py                     # bubblewrap, and docker where a daemon answers
python benchmarks/sandboxes.py --sandboxes 1000    # opens that many of each, one after another: what must stay flat
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

from agentgym.sandboxes import Sandbox, SandboxSpec, Shell, diagnose, docker, open_sandbox, plain
from agentgym.sandboxes.protocol import Limits, MiB


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandboxes", type=int, default=0)
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


if __name__ == "__main__":
    main()
