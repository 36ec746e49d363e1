"""The keeper's own process: one thread, one loop over sockets, pipes and process descriptors."""

from __future__ import annotations

import array
import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentgym.sandboxes.keeper import kernel, layers, networks
from agentgym.sandboxes.keeper.cgroups import Group, find, remove
from agentgym.sandboxes.keeper.layers import TREES
from agentgym.sandboxes.keeper.owners import owner_name, spare_users
from agentgym.sandboxes.keeper.processes import IGNORED, Running, start

MESSAGE_BYTES = 1 << 18
_CPU_CHECK_SECONDS = 0.25
_ETC_COPIED = ("ld.so.cache", "ld.so.conf", "localtime", "mime.types", "protocols", "services")
_FOLDERS = ("workspace", "tmp", "home")


def enter_namespace() -> bool:
    """Moves this process into its own mount namespace, with an empty root and the host's under ``/host``.

    Returns:
        Whether that took a user namespace of its own, because this user is not root.
    """
    user_namespace = os.geteuid() != 0
    uid, gid = os.geteuid(), os.getegid()
    if user_namespace:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    else:
        kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_SLAVE)
    kernel.mount("keeper", "/tmp", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=64m")
    os.chdir("/tmp")
    Path("/tmp/host").mkdir()
    kernel.pivot_root(".", "host")
    os.chdir("/")
    for name in ("proc", "tmp", "sources"):
        Path("/", name).mkdir()
    kernel.mount("/host/proc", "/proc", flags=kernel.MS_BIND | kernel.MS_REC)
    for name in ("usr", "bin", "sbin", "lib", "lib64", "lib32", "etc", "dev", "sys"):
        if Path("/host", name).exists():
            Path("/", name).symlink_to(f"host/{name}")
    return user_namespace


def write_etc(target: Path) -> None:
    """The sandboxes' ``/etc``: names of one user, and what the loader needs. Nothing else of the host's."""
    target.mkdir()
    lines = {
        "passwd": "root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/bash\n"
        "nobody:x:65534:65534::/:/bin/false\n",
        "group": "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "hostname": "sandbox\n",
    }
    for name, text in lines.items():
        (target / name).write_text(text)
    for name in _ETC_COPIED:
        with contextlib.suppress(OSError):
            shutil.copyfile(f"/etc/{name}", target / name)
    alternatives = Path("/etc/alternatives")
    if alternatives.is_dir():
        shutil.copytree(alternatives, target / "alternatives", symlinks=True)


class Keeper:
    """Serves one parent process until its socket closes."""

    def __init__(self, control: socket.socket, parent: int, *, copy: bool) -> None:
        self._control = control
        self._owner = owner_name(parent)
        self._cgroups = find(own=parent)
        for path in self._cgroups.stale(also=self._owner):  # a keeper of the same process that was killed
            remove(path)
        # Commands of a keeper that is root run as somebody else: the kernel lets root start any number of processes.
        user = spare_users()[0]
        self._user_namespace = enter_namespace()
        self._cgroups.parents.update({k: Path("/host" + str(p)) for k, p in self._cgroups.parents.items()})
        self._user = None if self._user_namespace else user
        self._layers = layers.choose(self._user or 0, _FOLDERS, user_namespace=self._user_namespace, copy=copy)
        write_etc(Path("/etc-sandbox"))
        self._groups: dict[int, Group] = {}
        self._sources: dict[str, str] = {}
        self._running: dict[int, Running] = {}
        self._networks: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ, self._receive)
        self._open = True

    def serve(self) -> None:
        """The loop. Returns when the parent is gone, with everything killed and removed."""
        try:
            while self._open:
                for key, _ in self._selector.select(_CPU_CHECK_SECONDS if self._running else None):
                    if key.fd in self._selector.get_map():
                        key.data()
                for running in self._running.values():
                    if not running.cpu_exceeded and running.over_cpu():
                        running.cpu_exceeded = True
                        running.kill()
        finally:
            for running in self._running.values():
                running.kill()
            for group in self._groups.values():
                group.close()

    def _receive(self) -> None:
        space = socket.CMSG_SPACE(4 * array.array("i").itemsize)
        data, control, _, _ = self._control.recvmsg(MESSAGE_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for _, _, payload in control:
            fds.frombytes(payload)
        if not data:
            self._open = False
            return
        request = json.loads(data)
        reply = socket.socket(fileno=fds[0])
        try:
            if request["do"] == "run":
                self._run(request, reply, (fds[1], fds[2], fds[3]))
                return
            answer: dict[str, Any] = getattr(self, "do_" + request["do"])(**request["with"])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sockets: list[socket.socket] = answer.pop("sockets", [])
        with contextlib.suppress(OSError):
            socket.send_fds(reply, [json.dumps(answer).encode()], [one.fileno() for one in sockets])
        for one in (reply, *sockets):
            one.close()

    def do_hello(self) -> dict[str, Any]:
        """What this keeper can do."""
        controllers = sorted(self._cgroups.parents) if self._cgroups.version else []
        return {
            "controllers": controllers, "user_namespace": self._user_namespace, "owner": self._owner,
            "snapshots": self._layers.kind,
        }  # fmt: skip

    def do_create(self, chain: list[int], size: int) -> dict[str, Any]:
        """A new tree and its control group."""
        tree = self._layers.create(tuple(chain), size)
        if self._cgroups.version:
            self._groups[tree] = Group(self._cgroups, f"{self._owner}.{tree}")
        return {"tree": tree, "path": str(TREES / str(tree))}

    def do_freeze(self, tree: int) -> dict[str, Any]:
        """See ``Layers.freeze``."""
        return {"chain": self._layers.freeze(tree)}

    def do_reset(self, tree: int, chain: list[int]) -> dict[str, Any]:
        """See ``Layers.reset``."""
        self._layers.reset(tree, tuple(chain))
        return {}

    def do_release(self, chain: list[int]) -> dict[str, Any]:
        """See ``Layers.release``."""
        self._layers.release(tuple(chain))
        return {}

    def do_close(self, tree: int) -> dict[str, Any]:
        """Frees a tree and its control group."""
        group = self._groups.pop(tree, None)
        if group is not None:
            group.close()
        network = self._networks.pop(tree, None)
        if network is not None:
            os.close(network)
        self._layers.close(tree)
        return {}

    def do_network(self, tree: int, endpoints: list[tuple[str, int]], hosts: str) -> dict[str, Any]:
        """A network of one tree's own in which those addresses, and nothing else, accept connections.

        Comes with one listening socket an endpoint. They belong to that network, whoever holds them.
        """
        self._networks[tree], sockets = networks.create(endpoints)
        Path("/hosts").mkdir(exist_ok=True)
        place = Path("/hosts", str(tree))
        place.write_text((Path("/etc-sandbox/hosts")).read_text() + hosts)
        return {"hosts": str(place), "sockets": sockets}

    def do_source(self, path: str) -> dict[str, Any]:
        """Makes a path of the host reachable for unprivileged users of this namespace alone."""
        if path not in self._sources:
            target = Path("/sources", str(len(self._sources)))
            source = Path("/host" + path)
            target.mkdir() if source.is_dir() else target.touch()
            kernel.mount(str(source), str(target), flags=kernel.MS_BIND | kernel.MS_REC)
            self._sources[path] = str(target)
        return {"path": self._sources[path]}

    def do_counts(self) -> dict[str, Any]:
        """What is held now: for tests of leaks."""
        return {**self._layers.counts(), "groups": len(self._groups), "running": len(self._running)}

    def _run(self, request: dict[str, Any], reply: socket.socket, stdio: tuple[int, int, int]) -> None:
        try:
            seccomp = bytes.fromhex(request["seccomp"])
            tree = request["tree"]
            self._layers.open_folders(tree)
            running = start(
                request["job"], stdio, seccomp, self._groups.get(tree), self._user, self._networks.get(tree)
            )
        finally:
            for fd in stdio:
                os.close(fd)
        self._running[running.outer] = running

        def cancelled() -> None:
            self._selector.unregister(reply)
            running.kill()

        def ended() -> None:
            self._selector.unregister(running.outer)
            running.kill()
            if running.inner is None:
                self._finish(running, reply)
            else:
                self._selector.register(running.inner, selectors.EVENT_READ, emptied)

        def emptied() -> None:
            assert running.inner is not None
            self._selector.unregister(running.inner)
            self._finish(running, reply)

        self._watch(reply, cancelled)
        self._watch(running.outer, ended)
        self._watch(running.status, lambda: self._read_status(running))

    def _watch(self, what: socket.socket | int, handler: Callable[[], None]) -> None:
        self._selector.register(what, selectors.EVENT_READ, handler)

    def _read_status(self, running: Running) -> None:
        running.read_status()
        if running.inner is not None:
            self._selector.unregister(running.status)

    def _finish(self, running: Running, reply: socket.socket) -> None:
        del self._running[running.outer]
        for what in (reply, running.status):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(what)
        answer = running.finish()
        with contextlib.suppress(OSError):
            reply.send(json.dumps(answer).encode())
        reply.close()


def main(fd: int, parent: int, copy: bool) -> None:
    """Runs a keeper on an open socket. ``copy``: snapshots are copies, whatever the host can do."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides when we end
    kernel.adopt_orphans()
    control = socket.socket(fileno=fd)
    control.set_inheritable(False)  # it came through exec; what reads it gets every sandbox's requests
    try:
        keeper = Keeper(control, parent, copy=copy)
    except OSError as error:
        control.send(json.dumps({"error": str(error)}).encode())
        return
    control.send(json.dumps(keeper.do_hello()).encode())
    keeper.serve()
