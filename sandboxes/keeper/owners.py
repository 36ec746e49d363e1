"""Whose a leftover is, and how to end a process without ever ending the wrong one.

Everything that can be left behind (control groups, containers, folders) carries the name of the process that made it.
A number alone would not do: numbers are given out again. So a name holds the process id, when that process started,
and the process namespace in which the id means anything. A name that is not of exactly this form was not given by us,
and what carries it is left alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
from collections.abc import Callable
from pathlib import Path

OWNER = r"\d+\.\d+-\d+"
"""The form of a name, as a regular expression: process id, start in clock ticks, process namespace."""


def owner_name(pid: int) -> str:
    """A name for a process that no other process has."""
    return f"{pid}.{_start_time(pid)}-{_namespace()}"


def owner_gone(owner: str) -> bool:
    """Whether the process of that name has ended for sure.

    False for what is no name of ours, and for processes of other namespaces (containers that share a temporary folder
    or a Docker daemon with us), whose ids mean nothing here.
    """
    if not re.fullmatch(OWNER, owner):
        return False
    pid, started, namespace = map(int, re.split("[.-]", owner))
    if namespace != _namespace() or pid < 1:
        return False
    now = _start_time(pid)
    if now == -1 and _exists(pid):
        return False  # hidden from us (hidepid)
    return now != started


def kill_if(pid: int, ours: Callable[[int], bool]) -> bool:
    """Kills one process if it runs and is ours, and returns whether it did.

    The process is held (a pidfd) before it is looked at, so that a number which passes to another process between the
    look and the signal harms nobody.

    Args:
        pid: Its number. 0, which means "my own process group" to ``kill`` and "a process elsewhere" in control
            groups, 1 and this process itself are never killed.
        ours: Looks at the process by its number.
    """
    if pid <= 1 or pid == os.getpid():
        return False
    try:
        held = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if select.select([held], [], [], 0)[0] or not ours(pid):  # readable: it has ended
            return False
        signal.pidfd_send_signal(held, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(held)
    return True


def parent_of(pid: int) -> int:
    """Process id of a process's parent; -1 when there is no such process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else -1


def in_nested_namespace(pid: int) -> bool:
    """Whether a process lives in a process namespace below this one."""
    return len(_status(pid, b"NSpid")) > 1


def user_ids(pid: int) -> set[int]:
    """Real, effective, saved and file system user of a process. Empty when there is no such process."""
    return {int(field) for field in _status(pid, b"Uid")}


def spare_users() -> range:
    """Users that nobody has: above all that systems hand out, as far as this user namespace knows them."""
    high = range(0x7000_0000, 0x7F00_0000)
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= high[0] and high[-1] < first + count:
            return high
    return range(40_000, 60_000)  # in a container whose user namespace is small


def processes() -> list[int]:
    """The process ids that can be seen now."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the state on. Empty when the process is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _status(pid: int, name: bytes) -> list[bytes]:
    """Fields of one line of ``/proc/PID/status``."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:  # noqa: PTH123 - a hundred of them a command
            text = file.read()
    except OSError:
        return []
    return text.partition(b"\n" + name + b":")[2].partition(b"\n")[0].split()


def _start_time(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else -1


def _namespace() -> int:
    try:
        return int(Path("/proc/self/ns/pid").readlink().name.removeprefix("pid:[").rstrip("]"))
    except (OSError, ValueError):
        return 0


def _exists(pid: int) -> bool:
    """Whether a process that ``/proc`` does not show is there all the same. A zombie is shown, so it isn't meant."""
    if Path(f"/proc/{pid}").exists():
        return False
    try:
        os.close(os.pidfd_open(pid))
    except OSError:
        return False
    return True
