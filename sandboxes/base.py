"""The base of every sandbox: commands, and files moved by programs that run inside.

A backend implements ``_run``, ``snapshot``, ``restore``, ``drop``, ``fork`` and ``_close``. Reading and writing files
is done by running programs of the image *inside* the sandbox, so that a symbolic link, a FIFO or a ``..`` that an
agent planted is resolved where it can do no harm, and every backend resolves it the same way.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import tarfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.sandboxes.protocol import MAX_TRANSFER, WORKSPACE, Entry, ExecResult, LimitName, Limits, MiB, SandboxSpec

_OWN_PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
"""For the file methods, since a specification's own may name folders that an agent can write to."""


class Sandbox(ABC):
    """One sandbox. Commands run one at a time; several threads may share it. Also a context manager."""

    backend: ClassVar[str]
    isolated: ClassVar[bool] = True
    """Whether untrusted code is kept from the host."""

    def __init__(self, spec: SandboxSpec) -> None:
        self.spec = spec
        self.closed = False
        self._process = os.getpid()
        self._lock = threading.RLock()

    @property
    @abstractmethod
    def enforces(self) -> frozenset[LimitName]:
        """The limits that bind on this host. ``memory`` only where it binds all processes together."""

    @abstractmethod
    def _run(self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str, limits: Limits) -> ExecResult:
        """Runs one command to its end and kills whatever it left running."""

    @abstractmethod
    def snapshot(self) -> str:
        """Freezes the writable folders and returns an id for ``restore``. Lives until ``drop`` or ``close``."""

    @abstractmethod
    def restore(self, snapshot: str) -> None:
        """Makes the writable folders what they were.

        Raises:
            ConfigError: No such snapshot of this sandbox.
        """

    @abstractmethod
    def drop(self, snapshot: str) -> None:
        """Frees a snapshot. Dropping one that is gone already is fine."""

    @abstractmethod
    def fork(self, snapshot: str | None = None) -> Sandbox:
        """A new sandbox with the same files (of now, or of a snapshot). Neither sees what the other writes later."""

    @classmethod
    def remove_stale(cls) -> list[str]:
        """Removes what processes that are gone left of such sandboxes. Returns what was removed."""
        return []

    @abstractmethod
    def _close(self) -> None:
        """Frees everything. Called once."""

    def exec(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        limits: Limits | None = None,
    ) -> ExecResult:
        """Runs a command and waits for its end. Whatever it left in the background is killed.

        Args:
            command: Program and arguments, or one string for ``bash -c``.
            stdin: What it reads. Empty: end of file.
            env: More variables for this command.
            cwd: Where it starts; relative paths count from ``/workspace``, the default.
            timeout: Seconds on the clock, in place of ``limits.wall``.
            limits: In place of the sandbox's own. ``disk`` can't be changed here.

        Raises:
            Fault: At the boundary ``sandbox``: it is closed, or the command could not be started at all.
            ConfigError: An argument that no process could get (a NUL byte, an empty command).
        """
        argv = ["/bin/bash", "-c", command] if isinstance(command, str) else list(command)
        _check(argv, env or {}, cwd or WORKSPACE)
        if not isinstance(stdin, bytes | bytearray | memoryview):
            raise ConfigError(f"stdin must be bytes, got {type(stdin).__name__}; encode text first.")
        limits = limits or self.spec.limits
        if timeout is not None:
            limits = replace(limits, wall=timeout)
        with self._use():
            return self._run(argv, bytes(stdin), self.spec.environment(env), self.absolute(cwd or WORKSPACE), limits)

    @contextlib.contextmanager
    def _use(self) -> Iterator[None]:
        """Holds the sandbox for one thing to be done with it.

        Raises:
            Fault: It is closed, or belongs to another process.
        """
        with self._lock:
            if self.closed:
                raise Fault(Boundary.SANDBOX, "this sandbox is closed; open another one")
            if self._process != os.getpid():
                raise Fault(
                    Boundary.SANDBOX, "this sandbox is of the process that this one was forked from; open another"
                )
            yield

    def close(self) -> None:
        """Ends everything that runs in it and frees everything it held. Safe to call twice."""
        with self._lock:
            if not self.closed:
                self.closed = True
                if self._process == os.getpid():  # a forked process must not close what is its parent's
                    self._close()

    def read_file(self, path: str, max_bytes: int = 16 * MiB) -> bytes:
        """Bytes of a file, as a program in the sandbox would read them.

        Raises:
            FileNotFoundError, IsADirectoryError, PermissionError: As ``open`` would.
            ConfigError: Longer than ``max_bytes``.
        """
        limits = replace(self.spec.limits, output=min(max_bytes, MAX_TRANSFER) + 1)
        # ``test -f`` first: reading a FIFO or a device that an agent planted would hang or never end.
        script = (
            'test -e "$1" -o -L "$1" || exit 66; test -d "$1" && exit 67; test -f "$1" || exit 68; exec cat -- "$1"'
        )
        result = self.exec(["/bin/sh", "-c", script, "sh", self.absolute(path)], env=_OWN_PATH, limits=limits)
        if result.truncated or len(result.stdout) > max_bytes:
            raise ConfigError(f"{path!r} is longer than {max_bytes} bytes.")
        _raise_for(result, path)
        return result.stdout

    def write_file(self, path: str, data: bytes | str) -> None:
        """Writes a file and makes the folders above it. An existing file keeps its permissions.

        Raises:
            IsADirectoryError, PermissionError, OSError: As ``open`` would; ``OSError`` when the disk is full.
        """
        content = data.encode() if isinstance(data, str) else data
        target = self.absolute(path)
        script = 'test -d "$1" && exit 67; mkdir -p -- "$2" && test ! -p "$1" && exec cat > "$1"'
        argv = ["/bin/sh", "-c", script, "sh", target, posixpath.dirname(target)]
        _raise_for(self.exec(argv, stdin=content, env=_OWN_PATH), path)

    def list(self, path: str = WORKSPACE, *, recursive: bool = False) -> list[Entry]:
        """Names in a folder, sorted. Links are not followed.

        Raises:
            FileNotFoundError, NotADirectoryError, PermissionError: As ``os.scandir`` would.
        """
        depth = [] if recursive else ["-maxdepth", "1"]
        script = (
            'test -e "$1" || exit 66; test -d "$1" || exit 69; cd -- "$1" || exit 70; '
            'shift; exec find . -mindepth 1 "$@"'
        )
        format_ = ["-printf", r"%y %s %P\0"]
        limits = replace(self.spec.limits, output=MAX_TRANSFER)
        result = self.exec(
            ["/bin/sh", "-c", script, "sh", self.absolute(path), *depth, *format_], env=_OWN_PATH, limits=limits
        )
        _raise_for(result, path)
        return sorted((_entry(item) for item in result.stdout.split(b"\0") if item), key=lambda entry: entry.path)

    def upload(self, source: Path, target: str = WORKSPACE) -> None:
        """Copies a file or the content of a folder into the sandbox. Links are copied as links.

        Raises:
            FileNotFoundError: ``source`` does not exist.
            OSError: The disk is full.
        """
        if not source.is_dir():
            self.write_file(target, source.read_bytes())
            return
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for child in sorted(source.iterdir()):
                archive.add(child, arcname=child.name, filter=_anonymous)
        self.unpack(buffer.getvalue(), target)

    def unpack(self, archive: bytes, target: str = WORKSPACE) -> None:
        """Unpacks an uncompressed tar archive into a folder of the sandbox."""
        script = 'mkdir -p -- "$1" && exec tar -x --no-same-owner -C "$1" -f -'
        _raise_for(
            self.exec(["/bin/sh", "-c", script, "sh", self.absolute(target)], stdin=archive, env=_OWN_PATH), target
        )

    def download(self, source: str, target: Path) -> None:
        """Copies a file or the content of a folder to this machine. Links that point outside are refused.

        Raises:
            FileNotFoundError: ``source`` does not exist.
            ConfigError: It is longer than ``MAX_TRANSFER``, or holds a link, a device or a name that leads outside.
        """
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(self.pack(source)), errors="surrogateescape") as archive:
            for member in archive:
                _extract(archive, member, target, source)

    def pack(self, source: str = WORKSPACE, *, exclude: Sequence[str] = ()) -> bytes:
        """An uncompressed tar archive of a file or of the content of a folder, in sorted order."""
        script = (
            'test -e "$1" || exit 66; if test -d "$1"; then cd -- "$1" && set -- . "${@:2}"; '
            'else cd -- "${1%/*}/" && set -- "${1##*/}" "${@:2}"; fi; exec tar -c --hard-dereference --sort=name '
            '-f - "${@:2}" -- "$1"'
        )
        limits = replace(self.spec.limits, output=MAX_TRANSFER)
        patterns = [f"--exclude={pattern}" for pattern in exclude]
        result = self.exec(
            ["/bin/bash", "-c", script, "bash", self.absolute(source), *patterns], env=_OWN_PATH, limits=limits
        )
        if result.truncated:
            raise ConfigError(f"{source!r} is longer than {MAX_TRANSFER} bytes.")
        _raise_for(result, source)
        return result.stdout

    def absolute(self, path: str) -> str:
        """``path``, taken from ``/workspace`` when it is relative."""
        return posixpath.join(WORKSPACE, path)

    def __del__(self) -> None:
        if not getattr(self, "closed", True):
            with contextlib.suppress(Exception):  # at the end of the interpreter anything may be gone
                self.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
    if not argv or not argv[0]:
        raise ConfigError("Expected a command, got an empty one.")
    for item in (*argv, *env, *env.values(), cwd):
        if not isinstance(item, str):
            raise ConfigError(f"Arguments and variables are text, got {item!r}.")
        if "\0" in item:
            raise ConfigError(f"A command can't hold a NUL byte: {item[:40]!r}.")
        try:
            size = len(os.fsencode(item))
        except UnicodeEncodeError:
            raise ConfigError(f"Half a surrogate pair is no text that a process can get: {item[:40]!r}.") from None
        if size >= 128 * 1024:
            raise ConfigError("An argument is longer than 131,071 bytes; write it to a file or pass it as stdin.")
    for name in env:
        if not name or "=" in name:
            raise ConfigError(f"Not the name of an environment variable: {name!r}.")


_ERRORS: dict[int, tuple[type[OSError], str]] = {
    66: (FileNotFoundError, "no such file or folder"),
    67: (IsADirectoryError, "is a folder"),
    68: (PermissionError, "is not a regular file"),
    69: (NotADirectoryError, "is not a folder"),
    70: (PermissionError, "can't be entered"),
}


def _raise_for(result: ExecResult, path: str) -> None:
    if result.ok:
        return
    if result.exit_code in _ERRORS:
        kind, reason = _ERRORS[result.exit_code]
        raise kind(f"{path!r} in the sandbox: {reason}.")
    message = result.error_text.strip() or ("timed out" if result.timed_out else f"exit code {result.exit_code}")
    if "ermission denied" in message or "ead-only file system" in message:
        raise PermissionError(f"{path!r} in the sandbox: {message}")
    if "o such file" in message:
        raise FileNotFoundError(f"{path!r} in the sandbox: {message}")
    raise OSError(f"{path!r} in the sandbox: {message}")


_KINDS: dict[bytes, Literal["file", "folder", "link"]] = {b"f": "file", b"d": "folder", b"l": "link"}


def _entry(item: bytes) -> Entry:
    kind, size, name = item.split(b" ", 2)
    return Entry(name.decode("utf-8", "surrogateescape"), _KINDS.get(kind, "other"), int(size))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, source: str) -> None:
    """Unpacks one member below ``target``. ``TarFile``'s own filters came with Python 3.11.4."""
    path = posixpath.normpath(member.name)
    inside = not path.startswith(("/", "../")) and path != ".."
    if member.issym() and inside:
        link = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
        inside = not posixpath.isabs(member.linkname) and not link.startswith("../") and link != ".."
    if path == ".":
        return
    place = target / path
    # A link that was unpacked before may lead elsewhere.
    inside = inside and place.parent.resolve().is_relative_to(target.resolve())
    if not inside or not (member.isreg() or member.isdir() or member.issym()):
        raise ConfigError(f"Refused to download {source!r}: {member.name!r} leads outside or is no file or folder.")
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    if member.issym():
        place.symlink_to(member.linkname)
    elif (content := archive.extractfile(member)) is not None:
        place.write_bytes(content.read())
        place.chmod(0o755 if member.mode & 0o100 else 0o644)


def describe(sandbox: Sandbox) -> dict[str, Any]:
    """What a record says about a sandbox: backend, isolation and the limits that bind."""
    return {"backend": sandbox.backend, "isolated": sandbox.isolated, "enforces": sorted(sandbox.enforces)}
