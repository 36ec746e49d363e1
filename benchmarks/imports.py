"""What importing costs: seconds over ``import gymnasium``, CPU time of a fresh process, best of several.

Usage: python benchmarks/imports.py [--repeats 10]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

COMMANDS = {
    "import gymnasium": ["-c", "import gymnasium"],
    "import agentgym": ["-c", "import agentgym"],
    "agentgym --help": ["-m", "agentgym", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """CPU seconds of one child."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    best = {name: min(seconds(command) for _ in range(options.repeats)) for name, command in COMMANDS.items()}
    base = best["import gymnasium"]
    for name, value in best.items():
        print(f"{name:<20}{value:7.3f} s{value - base:+8.3f} s over gymnasium")


if __name__ == "__main__":
    main()
