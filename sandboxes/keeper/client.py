"""The parent's side of the keeper: starts it once a process, and talks to it from any thread."""

from __future__ import annotations

import array
import atexit
import contextlib
import errno
import fcntl
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentgym.core.errors import Boundary, Fault, UnsupportedError
from agentgym.sandboxes.keeper.processes import Job
from agentgym.sandboxes.keeper.server import MESSAGE_BYTES
from agentgym.sandboxes.protocol import MAX_ENDPOINTS, ExecResult, Limits
from agentgym.sandboxes.streams import Clip

_GRACE_SECONDS = 20.0
"""How long a killed sandbox may take to end before that is a fault."""
_CHUNK = 1 << 16
_LONGEST_WAIT = 3600.0
"""Seconds at once: the system's own clock types end somewhere."""

# The keeper imports its own modules by their real names without running agentgym's __init__, which is heavy.
_BOOT = """
import sys, types
root, fd, parent, copy = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "copy"
for name, path in (("agentgym", ""), ("agentgym.sandboxes", "/sandboxes")):
    module = types.ModuleType(name)
    module.__path__ = [root + path]
    sys.modules[name] = module
from agentgym.sandboxes.keeper.server import main
main(fd, parent, copy)
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A command for the keeper, complete."""

    tree: int
    argv: list[str]
    stdin: bytes
    seccomp: bytes
    limits: Limits


class Client:
    """A live keeper. ``get`` returns the one of this process."""

    def __init__(self) -> None:
        # The package may lie in a content folder beside ``agentgym`` (a checkout) or in it (installed).
        root = Path(sys.modules["agentgym"].__path__[0])
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MESSAGE_BYTES)
        argv = [sys.executable, "-I", "-S", "-c", _BOOT, str(root), str(theirs.fileno()), str(os.getpid())]
        argv.append(os.environ.get("AGENTGYM_SNAPSHOTS", ""))
        self._process = subprocess.Popen(
            argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        theirs.close()
        self._socket = ours
        self._silent = False
        self.hello = self._greet()

    def _greet(self) -> dict[str, Any]:
        data = self._socket.recv(MESSAGE_BYTES)
        answer: dict[str, Any] = json.loads(data) if data else {"error": "it ended at once"}
        if "error" in answer:
            self._socket.close()
            _, errors = self._process.communicate()
            detail = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise UnsupportedError(
                f"The sandbox keeper can't set up its mounts here: {answer['error']} {detail}".strip()
                + ". It needs user namespaces (sysctl kernel.unprivileged_userns_clone=1) or root."
            )
        assert self._process.stderr is not None
        self._process.stderr.close()
        return answer

    @property
    def alive(self) -> bool:
        """Whether the keeper runs and answers. One that is being killed may do the first and not the second."""
        return not self._silent and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the keeper."""
        return self._process.pid

    def call(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Asks the keeper for one thing and waits for the answer.

        Raises:
            Fault: At the boundary ``sandbox``: the keeper could not do it, or is gone.
        """
        return self.call_for_sockets(what, **arguments)[0]

    def call_for_sockets(self, what: str, **arguments: Any) -> tuple[dict[str, Any], list[socket.socket]]:
        """As ``call``, for answers that come with open sockets."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            self._send({"do": what, "with": arguments}, [theirs])
            answer, fds, _, _ = socket.recv_fds(ours, MESSAGE_BYTES, MAX_ENDPOINTS)
        if not answer:
            self._silent = True
            raise Fault(Boundary.SANDBOX, f"the sandbox keeper ended during {what!r}")
        result: dict[str, Any] = json.loads(answer)
        if "error" in result:
            raise Fault(Boundary.SANDBOX, f"{what} failed: {result['error']}")
        return result, [socket.socket(fileno=fd) for fd in fds]

    def _send(self, message: dict[str, Any], sockets: list[socket.socket], fds: tuple[int, ...] = ()) -> None:
        data = json.dumps(message).encode()
        if len(data) > MESSAGE_BYTES:
            raise Fault(Boundary.SANDBOX, f"a command of {len(data)} bytes is too long; write it to a file first")
        passed = array.array("i", [*(one.fileno() for one in sockets), *fds])
        try:
            self._socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        except OSError as error:
            self._silent = True
            raise Fault(Boundary.SANDBOX, f"the sandbox keeper is gone: {error}") from error
        finally:
            for one in sockets:
                one.close()

    def run(self, command: Command) -> ExecResult:
        """Runs a command to its end and returns what it wrote."""
        began = time.monotonic()
        limits = command.limits
        job: Job = {
            "argv": command.argv, "cpu": limits.cpu, "memory": limits.memory, "processes": limits.processes,
            "open_files": limits.open_files, "disk": limits.disk,
        }  # fmt: skip
        message = {"do": "run", "tree": command.tree, "job": job, "seccomp": command.seccomp.hex()}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stdin = _sealed(command.stdin)
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                self._send(message, [theirs], (stdin, out_write, err_write))
            finally:
                for fd in (stdin, out_write, err_write):
                    os.close(fd)
            reader = _Reader(ours, out_read, err_read, limits.output)
            timed_out = reader.read_until(began + limits.wall)
        finally:
            os.close(out_read)
            os.close(err_read)
            ours.close()
        answer = reader.answer
        # One that a limit ended before it began is a command that was ended.
        if "error" in answer or not (answer["started"] or timed_out or answer["oom"]):
            reason = answer.get("error") or reader.err.value().decode("utf-8", "replace").strip()
            if reason.startswith("bwrap: execvp"):  # as shells count: 127 for a program that isn't there, else 126
                code = 127 if reason.endswith(os.strerror(errno.ENOENT)) else 126
                return ExecResult(code, b"", f"{reason.removeprefix('bwrap: execvp ')}\n".encode())
            raise Fault(Boundary.SANDBOX, f"the command could not be started: {reason}")
        # 152 is SIGXCPU: the limit of one process, where control groups don't bind.
        timed_out = timed_out or answer["cpu"] or answer["exit"] == 152
        return ExecResult(
            exit_code=answer["exit"], stdout=reader.out.value(), stderr=reader.err.value(),
            truncated=reader.out.truncated or reader.err.truncated, timed_out=timed_out, oom=answer["oom"],
            duration=time.monotonic() - began,
        )  # fmt: skip

    def close(self) -> None:
        """Ends the keeper and everything it holds, and waits until it is gone."""
        self._socket.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Reader:
    """Reads both streams of a command and waits for the keeper's word that all of it has ended."""

    def __init__(self, control: socket.socket, out: int, err: int, limit: int) -> None:
        self.out, self.err = Clip(limit), Clip(limit)
        self.answer: dict[str, Any] = {}
        self._control = control
        self._streams = {out: self.out, err: self.err}

    def read_until(self, deadline: float) -> bool:
        """Reads to the end. True: the deadline passed and the command was killed."""
        timed_out = killed = False
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            for fd in self._streams:
                os.set_blocking(fd, False)
                selector.register(fd, selectors.EVENT_READ)
            while not self.answer:
                events = selector.select(min(max(deadline - time.monotonic(), 0), _LONGEST_WAIT))
                for key, _ in events:
                    if key.fileobj is self._control:
                        self._hear()
                    elif not self._pull(key.fd):
                        selector.unregister(key.fd)
                late = time.monotonic() >= deadline
                if not self.answer and (late or self.out.flooded or self.err.flooded):
                    if killed and late:
                        raise Fault(Boundary.SANDBOX, f"a killed command did not end within {_GRACE_SECONDS:.0f} s")
                    timed_out = timed_out or (late and not killed)
                    if not killed:
                        killed, deadline = True, time.monotonic() + _GRACE_SECONDS
                        self._control.shutdown(socket.SHUT_WR)
        for fd in self._streams:
            while self._pull(fd):
                pass
        return timed_out

    def _hear(self) -> None:
        data = self._control.recv(MESSAGE_BYTES)
        self.answer = json.loads(data) if data else {"error": "the sandbox keeper ended", "started": False}

    def _pull(self, fd: int) -> bool:
        """Reads what is there. False: nothing more will come (or, at the end, nothing is left)."""
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return bool(not self.answer)
        if chunk:
            self._streams[fd].add(chunk)
        return bool(chunk)


def _sealed(data: bytes) -> int:
    """A descriptor to read ``data`` from, which the reader can't grow."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


_current: Client | None = None
_lock = threading.Lock()


def get() -> Client:
    """The keeper of this process, started when there is none.

    Raises:
        UnsupportedError: It can't work on this host.
    """
    global _current
    with _lock:
        if _current is not None and not _current.alive:
            _current.close()
            _current = None
        if _current is None:
            _current = Client()
        return _current


def shut_down() -> None:
    """Ends this process's keeper, if there is one. Every sandbox on it is gone then."""
    global _current
    with _lock:
        if _current is not None:
            _current.close()
            _current = None


def _forget_after_fork() -> None:
    """A forked child must not hold its parent's keeper open, nor share it."""
    global _current, _lock
    _lock = threading.Lock()
    if _current is not None:
        with contextlib.suppress(OSError):
            _current._socket.close()
        _current._process.returncode = 0  # not this process's child: nothing to wait for
        _current = None


os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(shut_down)
