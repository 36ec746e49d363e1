"""Cleans up after a process that was killed: ends its workers and removes their folders.

A process of its own that knows nothing but numbers and one folder. It is run as a plain file, without the package, and
outlives its parent by a moment whatever ends that (SIGKILL included), since a pipe from it is closed then.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
from pathlib import Path


def _alive(number: int, started: str) -> bool:
    """Whether a process still is the one that was meant: numbers are used again."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19] == started
    except (OSError, IndexError):
        return False


def watch(parent: int, folder: str) -> None:
    """Reads ``+ number started`` and ``- number started`` lines until the parent is gone, then cleans up."""
    workers: dict[str, None] = {}
    rest = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], 1.0)[0]:
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            sign, _, worker = line.decode().partition(" ")
            workers.pop(worker, None) if sign == "-" else workers.setdefault(worker)
    for worker in workers:
        number, started = worker.split()
        if _alive(int(number), started):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it leaves with its parent, after cleaning up
    watch(int(sys.argv[1]), sys.argv[2])
