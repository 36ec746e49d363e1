"""System calls that Python 3.11 has no function for."""

from __future__ import annotations

import ctypes
import os

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC = 0x1, 0x2, 0x4, 0x20, 0x1000, 0x4000
MS_PRIVATE, MS_SLAVE = 1 << 18, 1 << 19
MNT_DETACH = 2
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x0002_0000, 0x1000_0000, 0x4000_0000
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args: object) -> None:
    if getattr(_libc, name)(*args) == -1:
        code = ctypes.get_errno()
        shown = [arg.decode() if isinstance(arg, bytes) else arg for arg in args]
        raise OSError(code, f"{name}{tuple(shown)}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str = "none", flags: int = 0, options: str = "") -> None:
    """``mount(2)``."""
    _call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())


def unmount(target: str) -> None:
    """Detaches a mount at once; it is freed when the last user lets go."""
    _call("umount2", target.encode(), MNT_DETACH)


def unshare(flags: int) -> None:
    """``unshare(2)``."""
    _call("unshare", flags)


def enter(fd: int, kind: int) -> None:
    """``setns(2)``."""
    _call("setns", fd, kind)


def pivot_root(new: str, old: str) -> None:
    """``pivot_root(2)``."""
    _call("syscall", ctypes.c_long(_SYS_PIVOT_ROOT[os.uname().machine]), new.encode(), old.encode())


def die_with_parent() -> None:
    """This process is killed when the thread that made it ends."""
    _call("prctl", _PR_SET_PDEATHSIG, 9, 0, 0, 0)


def adopt_orphans() -> None:
    """Orphans below this process become its children."""
    _call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
