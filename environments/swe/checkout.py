"""Sandboxes with a repository in them: one prepared sandbox a package and process, forked for every episode."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agentgym.environments.swe import fetch
from agentgym.environments.swe.listing import Listing
from agentgym.environments.swe.package import Environment, Files, Package
from agentgym.sandboxes import HOME, WORKSPACE, Limits, Sandbox, SandboxSpec, open_sandbox

_MIB = 1 << 20
LIMITS = Limits(wall=30.0, cpu=60.0, memory=1024 * _MIB, processes=128, disk=256 * _MIB, output=256 * 1024)
_ENV = f"{HOME}/.env"


class Checkouts:
    """Makes sandboxes of one backend that hold a package's files.

    Args:
        backend: Name of a sandbox backend, or ``auto``.
    """

    def __init__(self, backend: str = "auto") -> None:
        self.backend = backend
        self._prepared: dict[str, tuple[Sandbox, Listing]] = {}
        self._lock = threading.Lock()

    def open(self, package: Package, files: Files, environment: Environment) -> Sandbox:
        """A sandbox with the pristine package in its workspace."""
        return self.open_listed(package, files, environment)[0]

    def open_listed(self, package: Package, files: Files, environment: Environment) -> tuple[Sandbox, Listing]:
        """As ``open``, with a listing of its files."""
        with self._lock:
            prepared = self._prepared.get(package.key)
            if prepared is None or not _usable(prepared[0]):
                sandbox, listing = self._prepare(files, environment), Listing()
                listing.look(sandbox)
                prepared = self._prepared[package.key] = (sandbox, listing)
            return prepared[0].fork(), Listing(prepared[1])

    def _prepare(self, files: Files, environment: Environment) -> Sandbox:
        backend = resolve(self.backend)
        mounts, python = interpreter(backend)
        mounts = (*mounts, *_hidden_folders(backend))
        if environment.site_packages:
            mounts = (*mounts, (environment.site_packages, "/opt/packages"))
        spec = SandboxSpec(
            mounts=mounts,
            env=(
                ("PATH", f"{_ENV}/bin:/usr/local/bin:/usr/bin:/bin"),
                ("PYTHONDONTWRITEBYTECODE", "1"),
                ("PYTHONHASHSEED", "0"),
            ),
            limits=LIMITS,
        )
        sandbox = open_sandbox(spec, backend)
        try:
            put(sandbox, files)
            _make_venv(sandbox, python, bool(environment.site_packages))
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    def close(self) -> None:
        """Closes the prepared sandboxes."""
        with self._lock:
            for sandbox, _ in self._prepared.values():
                sandbox.close()
            self._prepared.clear()


PYTHON = (f"{_ENV}/bin/python",)
"""The interpreter in a checkout, with the packages that tests need."""

_shared: dict[tuple[int, str], Checkouts] = {}


def shared(backend: str) -> Checkouts:
    """The checkouts of this process: prepared sandboxes are shared by all environments in it."""
    key = (os.getpid(), backend)
    if key not in _shared:
        _shared.clear()  # those of a parent process can't be used after a fork
        _shared[key] = Checkouts(backend)
    return _shared[key]


_resolved: dict[tuple[int, str], str] = {}


def resolve(backend: str) -> str:
    """The backend that ``auto`` stands for on this host, or the one that was named, tried once a process.

    Raises:
        UnknownNameError: No such backend.
        UnsupportedError: It doesn't work on this host. Says how to fix that.
    """
    key = (os.getpid(), backend)
    if key not in _resolved:
        with open_sandbox(SandboxSpec(), backend) as sandbox:
            _resolved[key] = sandbox.backend
    return _resolved[key]


def close_shared() -> None:
    """Closes the prepared sandboxes of this process."""
    for checkouts in _shared.values():
        checkouts.close()
    _shared.clear()


def interpreter(backend: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Mounts and path of the Python that runs inside: the image's where it is Docker's, else this process's own."""
    if backend == "docker":
        return (), "/usr/bin/python3"
    prefix = Path(sys.base_prefix)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if backend == "subprocess" or prefix == Path("/usr"):
        return (), str(prefix / "bin" / name)
    parts = [prefix / "bin" / name, prefix / "lib" / name, *sorted((prefix / "lib").glob("libpython3*.so*"))]
    return tuple((str(part), str(part)) for part in parts if part.exists()), str(prefix / "bin" / name)


def _hidden_folders(backend: str) -> tuple[tuple[str, str], ...]:
    """Mounts that cover the host's installed packages: the fixed source of a task's package may be among them."""
    if backend != "bubblewrap":
        return ()
    library = Path(sys.base_prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = (library / "site-packages", library / "dist-packages", Path("/usr/lib/python3/dist-packages"))
    return tuple((fetch.empty_folder(), str(place)) for place in places if place.is_dir())


def put(sandbox: Sandbox, files: Mapping[str, bytes | None], folder: str = WORKSPACE) -> None:
    """Writes files, and deletes those whose content is None, in at most two commands."""
    gone = [sandbox.absolute(f"{folder}/{path}") for path, data in files.items() if data is None]
    if gone:
        sandbox.exec(["rm", "-f", "--", *gone])
    written = {path: data for path, data in files.items() if data is not None}
    if written:
        sandbox.unpack(archive(written), folder)


def archive(files: Mapping[str, bytes]) -> bytes:
    """An uncompressed tar of files, the same bytes every time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(files):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(files[path]), 0o644
            tar.addfile(member, io.BytesIO(files[path]))
    return buffer.getvalue()


_MAX_TREE = 64 * _MIB
# Only what can be source, so that nothing else that an agent leaves (FIFOs, files that are all holes, folders deeper
# than any path) stands in the way. Files that can't be read are left out: they are the agent's own, who closed them.
_PACK = (
    'PATH=/usr/bin:/bin; cd -- "$1" && find . -maxdepth 40 -name __pycache__ -prune -o '
    "-type f -name '*.py' -size -2049 -print0 2>/dev/null | "
    "tar -c --null -T - --ignore-failed-read --hard-dereference -f - 2>/dev/null"
)


def read_tree(sandbox: Sandbox) -> dict[str, bytes]:
    """Python files of the workspace of up to 1 MiB each. Nothing when they are more than 64 MiB together."""
    limits = replace(sandbox.spec.limits, output=_MAX_TREE)
    result = sandbox.exec(["/bin/sh", "-c", _PACK, "sh", sandbox.absolute(WORKSPACE)], limits=limits)
    found: dict[str, bytes] = {}
    if result.truncated or result.timed_out or not result.stdout:
        return found
    with tarfile.open(fileobj=io.BytesIO(result.stdout), errors="surrogateescape") as tar:
        for member in tar:
            source = tar.extractfile(member) if member.isreg() else None
            if source is not None:
                found[member.name.removeprefix("./")] = source.read()
    return dict(sorted(found.items()))


def _make_venv(sandbox: Sandbox, python: str, packages: bool) -> None:
    """A virtual environment by hand: the interpreter without the host's packages, plus the mounted ones."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    script = (
        'mkdir -p "$1/bin" && printf "home = %s\\ninclude-system-site-packages = false\\n" "${2%/*}" > "$1/pyvenv.cfg" '
        '&& ln -s "$2" "$1/bin/python" && ln -s python "$1/bin/python3" && mkdir -p "$1/lib/$3/site-packages"'
    )
    if packages:
        script += ' && echo /opt/packages > "$1/lib/$3/site-packages/packages.pth"'
    result = sandbox.exec(["/bin/sh", "-c", script, "sh", sandbox.absolute(_ENV), python, name])
    if not result.ok:
        raise OSError(f"The environment could not be made in the sandbox: {result.error_text}")


def _usable(sandbox: Sandbox) -> bool:
    keeper = getattr(sandbox, "_keeper", None)
    return not sandbox.closed and (keeper is None or bool(keeper.alive))
