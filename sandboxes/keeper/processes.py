"""Starts commands for the keeper: enters the control group, drops privileges, then becomes bubblewrap."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import select
import signal
from dataclasses import dataclass
from typing import Any, NoReturn, TypedDict

from agentgym.sandboxes.keeper import kernel
from agentgym.sandboxes.keeper.cgroups import Group
from agentgym.sandboxes.keeper.owners import in_nested_namespace, parent_of

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that the keeper ignores, and commands must not."""
OWN_PROCESSES = 2
"""bubblewrap and process 1 of the sandbox."""
OUTER_PROCESSES = 16384
"""``RLIMIT_NPROC`` outside the user namespace: all sandboxes of this user together."""


class Job(TypedDict):
    """A command to start, as it travels from the parent process."""

    argv: list[str]
    """bubblewrap and all its arguments; ``{seccomp}`` and ``{status}`` stand for descriptors."""
    cpu: float
    memory: int
    processes: int
    open_files: int
    disk: int


@dataclass
class Running:
    """A command that runs."""

    outer: int
    """pidfd of bubblewrap."""
    pid: int
    """Process id of bubblewrap: a child of the keeper."""
    status: int
    """Read end of the pipe on which bubblewrap says what it started."""
    group: Group | None
    oom_before: int
    cpu_before: float
    cpu_limit: float
    inner: int | None = None
    """pidfd of process 1 of the sandbox, once known. It ends after every other process in there has."""
    cpu_exceeded: bool = False
    said: bytes = b""

    def read_status(self) -> None:
        """Takes in what bubblewrap wrote so far."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.status, 4096):
                self.said += chunk
        if self.inner is None and (pid := self._said("child-pid")) is not None:
            self.inner = self._hold(pid)

    def _hold(self, pid: int) -> int | None:
        """A pidfd of process 1 of the sandbox. None: it ended before, and another process may have its number now."""
        try:
            held = os.pidfd_open(pid)
        except OSError:
            return None
        # bubblewrap's child; ours, and in a namespace of its own, once bubblewrap has ended.
        parent = parent_of(pid)
        if parent == self.pid or (parent == os.getpid() and in_nested_namespace(pid)):
            return held
        os.close(held)
        return None

    def _said(self, key: str) -> int | None:
        for line in self.said.splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line).get(key)
                if value is not None:
                    return int(value)
        return None

    def kill(self) -> None:
        """Kills the sandbox's process 1, and with it everything in there."""
        if self.inner is None:  # it may be just about to say so; a process 1 that we don't know outlives bubblewrap
            select.select([self.status], [], [], 0.5)
        self.read_status()
        for fd in (self.inner, self.outer):
            if fd is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)

    def over_cpu(self) -> bool:
        """Whether it used up its processor time."""
        return self.group is not None and self.group.cpu_seconds() - self.cpu_before > self.cpu_limit

    def finish(self) -> dict[str, Any]:
        """Reaps a command whose processes have all ended, and says how it went."""
        self.read_status()
        _, status = os.waitpid(self.pid, 0)
        if self.inner is not None:  # ours to reap when bubblewrap ended first
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self.inner, os.WEXITED)
        code = os.waitstatus_to_exitcode(status)
        oom = self.group.oom_kills() - self.oom_before if self.group else 0
        started = self._said("child-pid") is not None and (self._said("exit-code") is not None or code < 0)
        for fd in (self.outer, self.inner, self.status):
            if fd is not None:
                os.close(fd)
        return {"exit": 128 - code if code < 0 else code, "started": started, "oom": oom > 0, "cpu": self.cpu_exceeded}


def start(
    job: Job,
    stdio: tuple[int, int, int],
    seccomp: bytes,
    group: Group | None,
    user: int | None,
    network: int | None,
) -> Running:
    """Starts a command.

    Args:
        job: What to run.
        stdio: Its standard streams.
        seccomp: The filter, as the kernel reads it.
        group: Its control group, if there are any.
        user: Who to become first. None: stay who we are.
        network: Network namespace to enter. None: bubblewrap makes an empty one.
    """
    if group is not None:
        group.limit(job["memory"], job["processes"] + OWN_PROCESSES)
    before = (group.oom_kills(), group.cpu_seconds()) if group else (0, 0.0)
    status_read, status_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    filter_fd = os.memfd_create("seccomp")
    os.write(filter_fd, seccomp)
    os.lseek(filter_fd, 0, os.SEEK_SET)
    pid = os.fork()
    if pid == 0:
        _become(job, stdio, filter_fd, status_write, group, user, network)
    os.close(filter_fd)
    os.close(status_write)
    return Running(os.pidfd_open(pid), pid, status_read, group, *before, job["cpu"])


def _become(
    job: Job,
    stdio: tuple[int, int, int],
    seccomp: int,
    status: int,
    group: Group | None,
    user: int | None,
    network: int | None,
) -> NoReturn:
    try:
        kernel.die_with_parent()
        for target, fd in enumerate(stdio):  # first, so that what goes wrong here is said where the parent reads
            os.dup2(fd, target)
        if group is not None:
            group.enter()
        if network is not None:
            kernel.enter(network, kernel.CLONE_NEWNET)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("1000")
        controllers = group.controllers if group else frozenset()
        _limit(job, bounded_memory="memory" in controllers)
        _close_all_but(seccomp, status)
        os.set_inheritable(seccomp, True)
        os.set_inheritable(status, True)
        os.set_blocking(status, True)
        if user is not None:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            kernel.die_with_parent()  # changing the user clears it
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in (signal.SIGPIPE, *IGNORED):  # what is ignored stays so through exec
            signal.signal(number, signal.SIG_DFL)
        argv = [arg.replace("{seccomp}", str(seccomp)).replace("{status}", str(status)) for arg in job["argv"][:8]]
        os.execve(argv[0], [*argv, *job["argv"][8:]], {})
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:  # whatever happens: this process has the keeper's sockets and must never go on as a second keeper
        os._exit(127)


def _close_all_but(*kept: int) -> None:
    """Nothing of the keeper's may reach a command, whether marked to be closed by exec or not."""
    edges = [2, *sorted(kept), os.sysconf("SC_OPEN_MAX")]
    for before, after in itertools.pairwise(edges):
        os.closerange(before + 1, after)


def _limit(job: Job, *, bounded_memory: bool) -> None:
    cpu = max(int(job["cpu"]), 1)
    wanted = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_CPU: (cpu, cpu + 1),
        resource.RLIMIT_FSIZE: (job["disk"], job["disk"]),
        resource.RLIMIT_NOFILE: (job["open_files"], job["open_files"]),
        resource.RLIMIT_NPROC: (OUTER_PROCESSES, OUTER_PROCESSES),
        resource.RLIMIT_MEMLOCK: (1 << 23, 1 << 23),
    }
    if not bounded_memory:
        wanted[resource.RLIMIT_AS] = (job["memory"], job["memory"])
    for which, (soft, hard) in wanted.items():
        _, ceiling = resource.getrlimit(which)
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(which, (soft, hard))
