"""The Docker backend, through docker-py against a real daemon, local or not.

The image is read-only. The writable folders are in-memory file systems with a size, so that the disk limit binds on
every storage driver; a snapshot is their archive, so that it works with any daemon. Published images that keep their
repository in the image itself (``writable_image``) are snapshotted by committing the container instead.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shlex
import threading
import time
from dataclasses import replace
from typing import Any

from agentgym.core.errors import Boundary, ConfigError, Fault, UnsupportedError
from agentgym.sandboxes import docker_pool, seccomp
from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.docker_daemon import LABEL, connect, owner, remove_stale
from agentgym.sandboxes.docker_pool import WarmPool
from agentgym.sandboxes.docker_stream import Exchange
from agentgym.sandboxes.protocol import HOME, WORKSPACE, WRITABLE, ExecResult, LimitName, Limits, MiB, SandboxSpec

__all__ = ["IMAGE", "LABEL", "DockerSandbox", "connect", "keep_warm", "remove_stale"]

IMAGE = "agentgym/sandbox:bookworm"
"""What ``image="host"`` means here. ``python -m agentgym.sandboxes.images`` builds it from Debian packages."""
_IDS = itertools.count(1)
_SHARES = {WORKSPACE: 0.5, "/tmp": 0.375, HOME: 0.125}
"""How the disk limit, or half of the memory if that is less, is split: in-memory file systems can't share one."""
_HELPER_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"]
"""For the backend's own commands, which run as root in the container. An agent's commands run as another user and
can't gain any."""
# Process 1 reaps orphans. ``wait`` takes in every child, adopted ones too.
_INIT = ["/bin/sh", "-c", "while :; do sleep 3600 & wait $!; done", "agentgym-init"]
# Kills every process of this user but the shell itself: of the container's namespace, which is proved by looking at its
# process 1. In any other namespace nothing is killed, whatever a daemon may have made of our request.
_KILL_ALL = "IFS= read -r init </proc/1/cmdline; case $init in *agentgym-init) kill -9 -1;; esac"
# Shared memory, queues and semaphores outlive processes; a snapshot is files and nothing else. Forks a program only
# where there is something to remove.
_FORGET = (
    "for f in /dev/shm/* /dev/shm/.[!.]* /dev/shm/..?* /dev/mqueue/*; do "
    'if [ -e "$f" ] || [ -L "$f" ]; then rm -rf -- "$f"; fi; done; '
    "for f in shm msg sem; do { read -r head && read -r item && ipcrm --all=$f; } </proc/sysvipc/$f; done"
)
# The inner shell's own messages ("Killed") must not mix with the command's.
_WRAPPER = (
    'ulimit -c 0; ulimit -S -t "$1"; ulimit -H -t $(($1 + 1)); ulimit -n "$2"; ulimit -f "$3"; shift 3; '
    f'exec 3>&2 2>/dev/null; ("$@") 2>&3 3>&-; code=$?; {_KILL_ALL}; {_FORGET}; exit $code'
)
# Commands start in these folders, which their owner may have locked himself out of. Says which ones that were.
_OPEN_FOLDERS = f"find {' '.join(WRITABLE)} -maxdepth 0 -type d ! -perm -700 -print -exec chmod u+rwx {{}} +"
_OWN_PROCESSES = 4
"""Process 1, its sleep, the wrapper and the loader of a command."""
_SPARE = 128 * MiB
_KILL_SECONDS = 10.0
_OOM_COUNT = (
    "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null | sed -n 's/^oom_kill //p'"
)


def keep_warm(spec: SandboxSpec | None = None, count: int = 2) -> WarmPool:
    """Keeps containers of a specification started in advance, for sandboxes and forks that are opened later.

    Raises:
        UnsupportedError: Docker can't be used here. Says how to fix that.
    """
    spec, api = spec or SandboxSpec(), connect()

    def remove(container: str) -> object:
        return api.remove_container(container, force=True, v=True)

    return WarmPool(spec, count, lambda: _start(api, spec, _image_of(spec)), remove)


def _image_of(spec: SandboxSpec) -> str:
    return IMAGE if spec.image == "host" else spec.image


def _start(api: Any, spec: SandboxSpec, image: str) -> str:
    """Starts a container and returns its id."""
    limits = spec.limits
    # Files in memory count as the container's. Were they to fill it, nothing could start any more, not even ``rm``, and
    # the kernel might choose process 1 to make room.
    disk = min(limits.disk, limits.memory // 2)
    tmpfs = {
        path: f"rw,exec,nosuid,nodev,size={int(disk * share)},mode=0755,uid=1000,gid=1000,"
        f"nr_inodes={max(int(disk * share) >> 10, 1024)}"
        for path, share in _SHARES.items()
    }
    host = api.create_host_config(
        network_mode="none",
        read_only=not spec.writable_image,
        tmpfs={} if spec.writable_image else tmpfs,
        mounts=[
            {"Type": "bind", "Source": outside, "Target": inside, "ReadOnly": True} for outside, inside in spec.mounts
        ],
        mem_limit=limits.memory,
        memswap_limit=limits.memory,
        pids_limit=limits.processes + _OWN_PROCESSES,
        cap_drop=["ALL"],
        cap_add=_HELPER_CAPABILITIES,
        security_opt=["no-new-privileges", f"seccomp={json.dumps(seccomp.profile())}"],
        shm_size=64 * MiB,
        ipc_mode="private",
    )
    try:
        made = api.create_container(
            image, _INIT, host_config=host, user="0:0", labels={LABEL: owner()}, hostname="sandbox",
            network_disabled=True, entrypoint=[], stop_signal="SIGKILL",
        )  # fmt: skip
    except Exception as error:
        if "No such image" in str(error):
            hint = "python -m agentgym.sandboxes.images" if image == IMAGE else f"docker pull {image}"
            raise UnsupportedError(f"The image {image!r} is not there. Get it with: {hint}") from error
        if "bind source path does not exist" in str(error):
            raise ConfigError(f"SandboxSpec.mounts names a path that the daemon does not have: {error}") from error
        raise Fault(Boundary.SANDBOX, f"Docker could not make a container: {error}") from error
    try:
        api.start(made["Id"])
    except Exception as error:
        with contextlib.suppress(Exception):
            api.remove_container(made["Id"], force=True, v=True)
        raise Fault(Boundary.SANDBOX, f"Docker could not start a container: {error}") from error
    return str(made["Id"])


class DockerSandbox(Sandbox):
    """One container. About 0.7 s to start and 60 ms a command.

    Raises:
        UnsupportedError: Docker can't be used here. Says how to fix that.
    """

    backend = "docker"

    def __init__(self, spec: SandboxSpec | None = None, *, _archive: bytes = b"", _image: str | None = None) -> None:
        super().__init__(spec or SandboxSpec())
        if self.spec.network:
            raise UnsupportedError("The Docker sandbox has no network rules: it is cut off. Use bubblewrap for those.")
        self._api = connect()
        self._snapshots: dict[str, bytes | str] = {}
        self._oom_seen = 0
        warm = docker_pool.take(self.spec) if _image is None else None
        self._id = warm or _start(self._api, self.spec, _image or _image_of(self.spec))
        if _archive:
            self._unpack_all(_archive)

    @property
    def enforces(self) -> frozenset[LimitName]:
        """Everything; with a writable image, disk only for single files."""
        names: list[LimitName] = ["wall", "cpu", "memory", "processes", "open_files", "output"]
        return frozenset(names if self.spec.writable_image else [*names, "disk"])

    @property
    def _user(self) -> str:
        return "0:0" if self.spec.writable_image else "1000:1000"

    def _run(self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str, limits: Limits) -> ExecResult:
        blocks = max(limits.disk >> 9, 1)
        line = ["/bin/sh", "-c", _WRAPPER, "sh", *map(str, (max(int(limits.cpu), 1), limits.open_files, blocks)), *argv]
        try:
            result = self._exchange(line, stdin, env, cwd, limits, self._user)
        except Fault:
            if self.closed or not self._helper(_OPEN_FOLDERS).text:
                raise
            result = self._exchange(line, stdin, env, cwd, limits, self._user)
        if result.exit_code != 137:
            return result
        if not result.timed_out:
            self._kill()  # the wrapper itself may have been killed, with the rest left running
        before, self._oom_seen = self._oom_seen, self._oom_kills()
        return replace(result, oom=self._oom_seen > before)

    def _exchange(
        self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str, limits: Limits, user: str
    ) -> ExecResult:
        began = time.monotonic()
        variables = [f"{name}={value}" for name, value in env.items()]
        try:
            made = self._api.exec_create(
                self._id, argv, stdin=bool(stdin), environment=variables, workdir=cwd, user=user
            )
            exchange = Exchange(self._api.exec_start(made["Id"], socket=True), limits.output)
        except Exception as error:
            raise Fault(Boundary.SANDBOX, f"the command could not be started: {error}") from error
        with exchange:
            ended = exchange.run(stdin, began + limits.wall)
            if not ended:
                # The daemon reports no end in this container until the output that is under way has been read.
                killer = threading.Thread(target=self._kill)
                killer.start()
                emptied = exchange.run(b"", time.monotonic() + _KILL_SECONDS)
                killer.join()
                if not emptied:
                    self.close()
                    raise Fault(Boundary.SANDBOX, f"a killed command did not end within {_KILL_SECONDS:.0f} s")
        code, process = self._end_of(made["Id"])
        if code in (126, 127) and not process:  # what a command prints can't make it a fault
            raise Fault(Boundary.SANDBOX, f"the command could not be started: {exchange.out.value()!r}")
        timed_out = (not ended and not exchange.flooded) or code == 152
        return ExecResult(
            exit_code=137 if not ended else code, stdout=exchange.out.value(), stderr=exchange.err.value(),
            truncated=exchange.out.truncated or exchange.err.truncated, timed_out=timed_out,
            duration=time.monotonic() - began,
        )  # fmt: skip

    def _end_of(self, command: str) -> tuple[int, int]:
        """Exit code of a command, and the process id that it had; 0: it was never started."""
        for attempt in range(100):
            seen = self._api.exec_inspect(command)
            if seen["ExitCode"] is not None:
                return int(seen["ExitCode"]), int(seen["Pid"] or 0)
            time.sleep(0.002 * (attempt + 1))
        raise Fault(Boundary.SANDBOX, "Docker does not say how the command ended")

    def _kill(self) -> None:
        """Kills every process but process 1."""
        # A fork bomb fills the container's process limit and its memory, and the command that kills needs room too.
        self._bound(4096, _SPARE)
        try:
            for user in dict.fromkeys((self._user, "0:0")):
                self._helper(f"exec 2>/dev/null; {_KILL_ALL}; {_FORGET}; true", user=user)
        finally:
            self._bound(0, 0)

    def _bound(self, more_processes: int, more_memory: int) -> None:
        """Sets the container's limits."""
        limits = self.spec.limits
        memory = limits.memory + more_memory
        data = {
            "PidsLimit": limits.processes + _OWN_PROCESSES + more_processes, "Memory": memory, "MemorySwap": memory,
        }  # fmt: skip
        url = self._api._url("/containers/{0}/update", self._id)
        self._api._raise_for_status(self._api._post_json(url, data=data))

    def _helper(self, script: str, stdin: bytes = b"", *, user: str = "0:0", output: int = MiB) -> ExecResult:
        limits = Limits(wall=120.0, output=output)
        argv = ["/bin/sh", "-c", script]
        return self._exchange(argv, stdin, {"PATH": "/usr/bin:/bin"}, "/", limits, user)

    def _oom_kills(self) -> int:
        text = self._helper(_OOM_COUNT).text.split()
        return int(text[0]) if text else 0

    def snapshot(self) -> str:
        """See ``Sandbox.snapshot``. Costs as much as there is in the writable folders."""
        with self._use():
            name = f"snapshot-{next(_IDS)}"
            self._snapshots[name] = self._commit() if self.spec.writable_image else self._pack_all()
            return name

    def restore(self, snapshot: str) -> None:
        """See ``Sandbox.restore``."""
        with self._use():
            content = self._content(snapshot)
            if isinstance(content, bytes):
                folders = " ".join(map(shlex.quote, WRITABLE))
                self._helper(f"find {folders} -mindepth 1 -delete")
                self._unpack_all(content)
                return
            old, self._id = self._id, _start(self._api, self.spec, content)
            self._api.remove_container(old, force=True, v=True)

    def drop(self, snapshot: str) -> None:
        """See ``Sandbox.drop``."""
        with self._lock:
            content = self._snapshots.pop(snapshot, None)
            if isinstance(content, str):
                with contextlib.suppress(Exception):  # a fork may still use it; the reaper takes it then
                    self._api.remove_image(content)

    def fork(self, snapshot: str | None = None) -> DockerSandbox:
        """See ``Sandbox.fork``. Starts a container."""
        with self._use():
            name = self.snapshot() if snapshot is None else snapshot
            content = self._content(name)
            try:
                if isinstance(content, bytes):
                    return DockerSandbox(self.spec, _archive=content)
                return DockerSandbox(self.spec, _image=content)
            finally:
                if snapshot is None:
                    self.drop(name)

    @classmethod
    def remove_stale(cls) -> list[str]:
        """See ``Sandbox.remove_stale``. Containers and images."""
        return remove_stale(connect())

    def _content(self, snapshot: str) -> bytes | str:
        if snapshot not in self._snapshots:
            known = ", ".join(self._snapshots) or "none"
            raise ConfigError(f"This sandbox has no snapshot {snapshot!r}; it has: {known}.")
        return self._snapshots[snapshot]

    def _commit(self) -> str:
        return str(self._api.commit(self._id, conf={"Labels": {LABEL: owner()}})["Id"])

    def _pack_all(self) -> bytes:
        names = " ".join(shlex.quote(path.lstrip("/")) for path in WRITABLE)
        result = self._helper(f"tar -c -C / -f - {names}", output=2 * self.spec.limits.disk)
        if not result.ok or result.truncated:
            raise Fault(Boundary.SANDBOX, f"the snapshot failed: {result.error_text[:300]}")
        return result.stdout

    def _unpack_all(self, archive: bytes) -> None:
        result = self._helper("tar -x -p --same-owner -C / -f -", archive)
        if not result.ok:
            raise Fault(Boundary.SANDBOX, f"the files could not be put back: {result.error_text[:300]}")

    def _close(self) -> None:
        for snapshot in list(self._snapshots):
            self.drop(snapshot)
        with contextlib.suppress(Exception):
            self._api.remove_container(self._id, force=True, v=True)
