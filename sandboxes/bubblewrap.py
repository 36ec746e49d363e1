"""The embedded backend: bubblewrap in namespaces of its own, over copy-on-write trees that the keeper holds."""

from __future__ import annotations

import itertools
import shutil
import sys
from functools import cache
from pathlib import Path

from agentgym.core.errors import ConfigError, Fault, UnsupportedError
from agentgym.sandboxes import seccomp
from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.keeper import cgroups, client
from agentgym.sandboxes.protocol import HOME, WORKSPACE, ExecResult, LimitName, Limits, MiB, SandboxSpec
from agentgym.sandboxes.relay import Relay, addresses

_SHARED_MEMORY = 64 * MiB
_IDS = itertools.count(1)


def problem() -> str | None:
    """Why bubblewrap can't be used here and how to fix that. None: it can, as far as can be seen without trying."""
    if sys.platform != "linux":
        return f"bubblewrap needs Linux, this is {sys.platform}; use the docker backend"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed; install it with: apt install bubblewrap"
    return None


class BubblewrapSandbox(Sandbox):
    """Namespaces, a read-only root, a filter of system calls, an unprivileged user; about 10 ms a command.

    Raises:
        UnsupportedError: This host can't run it. Says how to fix that.
    """

    backend = "bubblewrap"

    def __init__(self, spec: SandboxSpec | None = None, *, _chain: list[int] | None = None) -> None:
        super().__init__(spec or SandboxSpec())
        if reason := problem():
            raise UnsupportedError(f"The bubblewrap sandbox can't be used: {reason}.")
        if self.spec.writable_image:
            raise UnsupportedError("The bubblewrap sandbox keeps its image read-only; use docker for writable images.")
        self._keeper = client.get()
        self._chains: dict[str, list[int]] = {}
        self._fixed = _image_arguments(self.spec, self._keeper)
        made = self._keeper.call("create", chain=_chain or [], size=self.spec.limits.disk)
        self._tree: int = made["tree"]
        self._folders = _folder_arguments(made["path"])
        self._relay: Relay | None = None
        if self.spec.network:
            self._connect()

    def _connect(self) -> None:
        """Gives the sandbox a network in which the endpoints of its specification listen."""
        places, hosts = addresses(self.spec.network)
        made, listeners = self._keeper.call_for_sockets("network", tree=self._tree, endpoints=places, hosts=hosts)
        self._relay = Relay(listeners, self.spec.network)
        self._folders += ["--ro-bind", made["hosts"], "/etc/hosts"]

    @property
    def enforces(self) -> frozenset[LimitName]:
        """Everything where control groups are writable; else memory binds each process, not all together."""
        names: list[LimitName] = ["wall", "cpu", "processes", "open_files", "disk", "output"]
        return frozenset([*names, "memory"] if "memory" in self._keeper.hello["controllers"] else names)

    def _run(self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str, limits: Limits) -> ExecResult:
        variables = [part for name, value in env.items() for part in ("--setenv", name, value)]
        if "pids" not in self._keeper.hello["controllers"]:
            # Inside the user namespace, where the count is this sandbox's own.
            count = limits.processes + 1  # and process 1
            argv = ["/usr/bin/prlimit", f"--nproc={count}:{count}", "--", *argv]
        line = [*self._fixed, *self._folders, *variables, "--remount-ro", "/", "--chdir", cwd, "--", *argv]
        return self._keeper.run(client.Command(self._tree, line, stdin, _filter(), limits))

    def snapshot(self) -> str:
        """See ``Sandbox.snapshot``. Costs two mounts, whatever the size."""
        with self._use():
            name = f"snapshot-{next(_IDS)}"
            self._chains[name] = self._keeper.call("freeze", tree=self._tree)["chain"]
            return name

    def restore(self, snapshot: str) -> None:
        """See ``Sandbox.restore``."""
        with self._use():
            self._keeper.call("reset", tree=self._tree, chain=self._chain(snapshot))

    def drop(self, snapshot: str) -> None:
        """See ``Sandbox.drop``."""
        with self._lock:
            if snapshot in self._chains and self._keeper.alive:
                self._keeper.call("release", chain=self._chains.pop(snapshot))

    def fork(self, snapshot: str | None = None) -> BubblewrapSandbox:
        """See ``Sandbox.fork``."""
        with self._use():
            if snapshot is not None:
                return BubblewrapSandbox(self.spec, _chain=self._chain(snapshot))
            chain = self._keeper.call("freeze", tree=self._tree)["chain"]
            try:
                return BubblewrapSandbox(self.spec, _chain=chain)
            finally:
                self._keeper.call("release", chain=chain)

    @classmethod
    def remove_stale(cls) -> list[str]:
        """See ``Sandbox.remove_stale``. Control groups; all else is gone with the keeper."""
        return [str(path) for path in cgroups.find().stale() if cgroups.remove(path)]

    def _chain(self, snapshot: str) -> list[int]:
        if snapshot not in self._chains:
            raise ConfigError(
                f"This sandbox has no snapshot {snapshot!r}; it has: {', '.join(self._chains) or 'none'}."
            )
        return self._chains[snapshot]

    def _close(self) -> None:
        if self._relay is not None:
            self._relay.close()
        try:
            for snapshot in list(self._chains):
                self.drop(snapshot)
            self._keeper.call("close", tree=self._tree)
        except Fault:
            if self._keeper.alive:
                raise  # else all that it held is gone with it


@cache
def _filter() -> bytes:
    return seccomp.build()


def _image_arguments(spec: SandboxSpec, keeper: client.Client) -> list[str]:
    """Everything of bubblewrap's command line that stays the same: namespaces, the image, mounts."""
    line = [
        "/usr/bin/bwrap", "--seccomp", "{seccomp}", "--json-status-fd", "{status}",
        "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        *([] if spec.network else ["--unshare-net"]),
        "--die-with-parent", "--new-session", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox",
    ]  # fmt: skip
    root = Path("/") if spec.image == "host" else Path(spec.image)
    if not root.is_dir():
        raise ConfigError(
            f"The image {spec.image!r} is not a folder; expected 'host' or the path of a root file system."
        )
    names = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32") if spec.image == "host" else None
    for entry in sorted(root.iterdir()):
        if (names is not None and entry.name not in names) or entry.name in (
            "proc",
            "dev",
            "sys",
            "tmp",
            "workspace",
            "home",
        ):
            continue
        if entry.is_symlink():
            line += ["--symlink", str(entry.readlink()), f"/{entry.name}"]
        elif entry.is_dir():
            line += ["--ro-bind", keeper.call("source", path=str(entry.resolve()))["path"], f"/{entry.name}"]
    if spec.image == "host":
        line += ["--ro-bind", "/etc-sandbox", "/etc", "--tmpfs", "/usr/local"]
    line += ["--proc", "/proc", "--dev", "/dev", "--size", str(_SHARED_MEMORY), "--tmpfs", "/dev/shm"]
    for outside, inside in spec.mounts:
        if not Path(outside).exists():
            raise ConfigError(f"SandboxSpec.mounts names {outside!r}, which does not exist.")
        line += ["--ro-bind", keeper.call("source", path=str(Path(outside).resolve()))["path"], inside]
    if spec.image == "host":
        line += ["--remount-ro", "/usr/local"]
    return [*line, "--remount-ro", "/dev", "--clearenv"]


def _folder_arguments(tree: str) -> list[str]:
    folders = {"workspace": WORKSPACE, "tmp": "/tmp", "home": HOME}
    return [part for name, inside in folders.items() for part in ("--bind", f"{tree}/{name}", inside)]
