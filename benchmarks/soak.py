"""Rollouts under fire. Fails unless every job is accounted for exactly once, nothing hangs and nothing leaks.

1. Ten thousand episodes with failures injected in every turn, in one process and in two workers that are killed now
   and then: threads, open files and memory are watched, and the records compared.
2. Runs that are killed with SIGKILL ten times at random moments and resumed, at concurrency 1, 7 and 64, without
   workers and with two: the finished files must equal those of an undisturbed run byte for byte.

Usage: python benchmarks/soak.py [--episodes 10000] [--killed-episodes 2000] [--kills 10]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from agentgym.rollout.storage import read_run, read_timing, stored_jobs

INJECT = "policy=0.05,tool=0.05,env=0.02,hang=0.01"
ROOM = {"threads": 16, "files": 24, "megabytes": 96}
"""What a process may need more in the last part of a run than in its first fifth."""


def command(out: Path, episodes: int, concurrency: int, workers: int, inject: str = INJECT) -> list[str]:
    options = {
        "--env": "ShoppingTiny-v0",
        "--policy": "scripted",
        "--policy-arg": "mistake_rate=0.3",
        "--episodes": episodes,
        "--group": 4,
        "--concurrency": concurrency,
        "--workers": workers,
        "--inject": inject,
        "--call-seconds": 0.5,
        "--shard-size": 256,
        "--out": out,
    }
    words = [str(word) for pair in options.items() for word in pair]
    return [sys.executable, "-m", "agentgym.cli.main", "rollout", *words, "--json"]


@dataclass
class Watch:
    """The most that a process used, early and late in its run."""

    pid: int
    samples: list[dict[str, float]] = field(default_factory=list)

    def look(self) -> None:
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
            files = len(list(Path(f"/proc/{self.pid}/fd").iterdir()))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        if "VmRSS" in fields:
            megabytes = int(fields["VmRSS"].split()[0]) / 1024
            self.samples.append({"threads": int(fields["Threads"]), "files": files, "megabytes": megabytes})

    def check(self) -> str:
        if len(self.samples) < 10:
            return "too short to say"
        early = self.samples[len(self.samples) // 10 : len(self.samples) // 4 + 1]
        late = self.samples[-len(self.samples) // 4 :]
        said = []
        for name, room in ROOM.items():
            before, after = max(s[name] for s in early), max(s[name] for s in late)
            if after > before + room:
                sys.exit(f"leak: {name} grew from {before:.0f} to {after:.0f}")
            said.append(f"{name} {before:.0f} -> {after:.0f}")
        return ", ".join(said)


def play(words: list[str], limit: float) -> tuple[float, str]:
    """Runs to the end within ``limit`` seconds; wall time and what was seen of leaks."""
    began = time.monotonic()
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watch = Watch(child.pid)
    while child.poll() is None:
        watch.look()
        time.sleep(0.25)
        if time.monotonic() - began > limit:
            child.kill()
            sys.exit(f"hang: not done after {limit:.0f} s: {' '.join(words)}")
    _, errors = child.communicate()
    if child.returncode:
        sys.exit(f"exit {child.returncode}: {errors[-2000:]}")
    return time.monotonic() - began, watch.check()


def accounted(out: Path, episodes: int) -> None:
    """Every job once, in order, scored or with a fault; clocks for each."""
    found = [record.trajectory_id for record in read_run(out)]
    if found != [f"e{index:07d}" for index in range(episodes)]:
        sys.exit(f"{out}: {len(found)} episodes, {len(set(found))} different ones, of {episodes}")
    for record in read_run(out):
        if not record.scored and not record.faults:
            sys.exit(f"{record.trajectory_id} has neither a score nor a failure")
    if len(read_timing(out)) != episodes:
        sys.exit(f"{out}: clocks of {len(read_timing(out))} episodes")


def contents(out: Path) -> dict[str, bytes]:
    files = [*out.glob("*/*.parquet"), out / "manifest.jsonl"]
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(files)}


def under_fire(folder: Path, episodes: int) -> None:
    runs = {"one process": (0, INJECT), "two workers, one killed every 10 s": (2, f"{INJECT},kill-worker=10s")}
    outs = []
    for name, (workers, inject) in runs.items():
        out = folder / f"fire-{workers}"
        seconds, leaks = play(command(out, episodes, 64, workers, inject), limit=1800)
        accounted(out, episodes)
        timing = read_timing(out).values()
        again = sum(len(row["retried"]) for row in timing)
        deaths = sum(row["deaths"] for row in timing)
        unscored = sum(not record.scored for record in read_run(out))
        print(
            f"{episodes} episodes, {name}: {seconds:.0f} s, {again} failures tried again, {unscored} episodes "
            f"unscored, {deaths} lost to dead workers and played again; {leaks}",
            flush=True,
        )
        outs.append({path: data for path, data in contents(out).items() if path.endswith(".parquet")})
    if outs[0] != outs[1]:
        sys.exit("the records with workers differ from those without")
    print("records equal byte for byte", flush=True)


def killed(folder: Path, episodes: int, kills: int) -> None:
    reference = folder / "undisturbed"
    play(command(reference, episodes, 64, 0), limit=900)
    accounted(reference, episodes)
    wanted = contents(reference)
    for workers in (0, 2):
        for concurrency in (1, 7, 64):
            out = folder / f"killed-{workers}-{concurrency}"
            done = kill_and_resume(out, episodes, concurrency, workers, kills)
            accounted(out, episodes)
            if contents(out) != wanted:
                sys.exit(f"{out.name}: the files differ from those of the undisturbed run")
            print(f"{out.name}: {done} kills, equal byte for byte", flush=True)
            shutil.rmtree(out)


def kill_and_resume(out: Path, episodes: int, concurrency: int, workers: int, kills: int) -> int:
    moments = random.Random(f"{concurrency} {workers}")
    done = 0
    words = [*command(out, episodes, concurrency, workers), "--resume"]
    for kill in range(kills):
        target = (kill + moments.random()) * episodes / (kills + 1)
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while child.poll() is None and lines(out) < target:
            time.sleep(0.02)
        time.sleep(moments.random() * 0.2)
        child.send_signal(signal.SIGKILL)
        _, errors = child.communicate()
        if child.returncode == -signal.SIGKILL:
            done += 1
        elif child.returncode:
            sys.exit(f"{out.name}: exit {child.returncode}: {errors.decode()[-2000:]}")
    play(words, limit=900)
    assert stored_jobs(out) == episodes
    return done


def lines(out: Path) -> int:
    try:
        return (out / "timing.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--killed-episodes", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    print(json.dumps({"cpus": os.cpu_count(), "load": os.getloadavg()[0], **vars(options)}), flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        under_fire(Path(folder), options.episodes)
        killed(Path(folder), options.killed_episodes, options.kills)
    print(f"done in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
