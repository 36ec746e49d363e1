"""The ``subprocess`` backend: plain processes in a temporary folder. It isolates nothing.

For trusted code on hosts where nothing else runs. What a command starts is killed when it ends, as far as it can be
found; paths below ``/workspace``, ``/tmp`` and ``/home/agent`` are mapped in file methods and ``cwd``, but not in
what a command itself opens.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

from agentgym.core.errors import Boundary, ConfigError, Fault, UnsupportedError
from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.keeper.owners import OWNER, kill_if, owner_gone, owner_name, processes, spare_users, user_ids
from agentgym.sandboxes.protocol import HOME, WORKSPACE, ExecResult, LimitName, Limits, SandboxSpec
from agentgym.sandboxes.streams import Clip

_PREFIX = "agentgym-plain-"
_MARK = "AGENTGYM_PLAIN"
_IDS = itertools.count(1)
_FOLDERS = {WORKSPACE: "workspace", "/tmp": "tmp", HOME: "home"}
_ULIMIT = (
    'ulimit -c 0; ulimit -S -t "$1"; ulimit -H -t $(($1 + 1)); ulimit -v "$2"; ulimit -n "$3"; ulimit -f "$4"; '
    'ulimit -u "$5" 2>/dev/null; shift 5; exec "$@"'
)
_ROUNDS = 50
_NAME = re.compile(rf"{_PREFIX}({OWNER})\.[a-z0-9_]+")


class UnisolatedWarning(UserWarning):
    """Code runs with all rights of this user."""


class PlainSandbox(Sandbox):
    """A temporary folder and processes with resource limits.

    Raises:
        UnsupportedError: The specification asks for an image, mounts or a network allow list.
    """

    backend = "subprocess"
    isolated = False

    def __init__(self, spec: SandboxSpec | None = None, *, _source: Path | None = None) -> None:
        super().__init__(spec or SandboxSpec())
        if self.spec.image != "host" or self.spec.mounts or self.spec.network or self.spec.writable_image:
            raise UnsupportedError("The subprocess sandbox has no images, mounts or network rules; use bubblewrap.")
        warnings.warn(
            "The subprocess sandbox isolates nothing: commands can read, change and send whatever you can.",
            UnisolatedWarning,
            stacklevel=2,
        )
        _reap_once()
        self._root = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{owner_name(os.getpid())}."))
        self._user = _free_user() if os.geteuid() == 0 else None
        self._fill(_source)
        self._hand_over()

    @property
    def enforces(self) -> frozenset[LimitName]:
        """No limit on processes or on disk; memory and processor time bind each process."""
        return frozenset(("wall", "cpu", "open_files", "output"))

    def absolute(self, path: str) -> str:
        """The real path of a path of the sandbox."""
        full = super().absolute(path)
        for inside, name in _FOLDERS.items():
            if full == inside or full.startswith(inside + "/"):
                return str(self._root / "now" / name) + full[len(inside) :]
        return full

    def _run(self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str, limits: Limits) -> ExecResult:
        began = time.monotonic()
        numbers = (max(int(limits.cpu), 1), limits.memory >> 10, limits.open_files, limits.disk >> 10, 1 << 14)
        line = ["/bin/bash", "-c", _ULIMIT, "bash", *map(str, numbers), *argv]
        variables = {**env, "HOME": self.absolute(HOME), "TMPDIR": self.absolute("/tmp"), _MARK: self._root.name}
        with tempfile.TemporaryFile() as source:
            source.write(stdin)
            source.seek(0)
            try:
                process = subprocess.Popen(
                    line, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables, cwd=cwd,
                    start_new_session=True, user=self._user, group=self._user, extra_groups=[] if self._user else None,
                )  # fmt: skip
            except OSError as error:
                raise Fault(Boundary.SANDBOX, f"the command could not be started: {error}") from error
        out, err = Clip(limits.output), Clip(limits.output)
        with process:
            timed_out = _pump(process, out, err, began + limits.wall)
            self._kill(process)
            process.wait()
        code = process.returncode
        return ExecResult(
            exit_code=128 - code if code < 0 else code, stdout=out.value(), stderr=err.value(),
            truncated=out.truncated or err.truncated, timed_out=timed_out or code == -signal.SIGXCPU,
            duration=time.monotonic() - began,
        )  # fmt: skip

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """The process group, and every process of this sandbox's own user or with its mark."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number is still this group's
        _kill_all(self._root.name, self._user)

    def snapshot(self) -> str:
        """See ``Sandbox.snapshot``. A plain copy."""
        with self._use():
            name = f"snapshot-{next(_IDS)}"
            shutil.copytree(self._root / "now", self._root / name, symlinks=True)
            return name

    def restore(self, snapshot: str) -> None:
        """See ``Sandbox.restore``."""
        with self._use():
            source = self._path(snapshot)
            shutil.rmtree(self._root / "now")
            shutil.copytree(source, self._root / "now", symlinks=True)
            self._hand_over()

    def drop(self, snapshot: str) -> None:
        """See ``Sandbox.drop``."""
        with self._lock:
            shutil.rmtree(self._root / snapshot, ignore_errors=True)

    def fork(self, snapshot: str | None = None) -> PlainSandbox:
        """See ``Sandbox.fork``."""
        with self._use(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UnisolatedWarning)
            return PlainSandbox(self.spec, _source=self._root / "now" if snapshot is None else self._path(snapshot))

    @classmethod
    def remove_stale(cls) -> list[str]:
        """See ``Sandbox.remove_stale``. Processes and folders."""
        return remove_stale()

    def _fill(self, source: Path | None) -> None:
        if source is not None:
            shutil.copytree(source, self._root / "now", symlinks=True)
            return
        for name in _FOLDERS.values():
            (self._root / "now" / name).mkdir(parents=True)

    def _hand_over(self) -> None:
        if self._user is None:
            return
        for folder, _, names in os.walk(self._root):
            for path in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118
                os.chown(path, self._user, self._user, follow_symlinks=False)

    def _path(self, snapshot: str) -> Path:
        path = self._root / snapshot
        if not snapshot.startswith("snapshot-") or not path.is_dir():
            raise ConfigError(f"This sandbox has no snapshot {snapshot!r}.")
        return path

    def _close(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)


def _pump(process: subprocess.Popen[bytes], out: Clip, err: Clip, deadline: float) -> bool:
    """Reads both streams until the command itself ends. True: the deadline passed first."""
    assert process.stdout is not None and process.stderr is not None
    with selectors.DefaultSelector() as selector:
        for stream, clip in ((process.stdout, out), (process.stderr, err)):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ, clip)
        while True:
            ended = _ended(process.pid)
            got = 0
            for key, _ in selector.select(0 if ended else 0.005):
                with suppress(BlockingIOError):
                    chunk = os.read(key.fd, 1 << 16)
                    key.data.add(chunk)
                    got += len(chunk)
                    if not chunk:
                        selector.unregister(key.fileobj)
            if ended and not got:
                return False
            if time.monotonic() >= deadline:
                return not ended
            if out.flooded or err.flooded:
                return False
            if not selector.get_map() and not ended:
                time.sleep(0.002)


def _ended(pid: int) -> bool:
    """Whether a child has ended. Leaves it to be reaped, so that its number stays its own until its group is killed."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _free_user() -> int:
    """A user whom no process has, so that ``kill -9 -1`` in a sandbox ends that sandbox's processes and no others."""
    users = spare_users()[1:]  # the first is the keeper's
    taken = {user for pid in processes() for user in user_ids(pid)}
    while (user := secrets.choice(users)) in taken:
        continue
    return user


def _mark_of(pid: int) -> str:
    """The sandbox that a process says it was started in. Empty: none, or it can't be read."""
    wanted = f"{_MARK}=".encode()
    with suppress(OSError):
        for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if variable.startswith(wanted):
                return variable.removeprefix(wanted).decode("utf-8", "replace")
    return ""


def _kill_all(mark: str, user: int | None) -> None:
    """Kills what a sandbox started: all of its own user, or all that carry its mark, which was drawn at random."""

    own_user = user is not None and user in spare_users()

    def ours(pid: int) -> bool:
        return user in user_ids(pid) if own_user else _mark_of(pid) == mark

    for _ in range(_ROUNDS):  # what was forked during one look is found by the next
        if not [pid for pid in processes() if ours(pid) and kill_if(pid, ours)]:
            return


@cache
def _reap_once() -> None:
    remove_stale()


def remove_stale() -> list[str]:
    """Ends the commands and removes the folders of processes that are gone. Returns the folders' names.

    Folders that others named alike are left alone.
    """
    removed = []
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        name = _NAME.fullmatch(path.name)
        if name is None or not owner_gone(name[1]) or path.is_symlink() or not path.is_dir():
            continue
        owner = path.stat().st_uid
        if owner != os.geteuid() and owner not in spare_users():
            continue
        _kill_all(path.name, owner)
        shutil.rmtree(path, ignore_errors=True)
        removed.append(path.name)
    return removed
