"""The filter of system calls, built here.

It lists what is refused, not what is allowed: compilers, test suites and interpreters use most calls. What is refused
is what escapes of the last years needed: namespaces, mounts, tracing, keyrings, BPF, performance counters,
``io_uring``, ``userfaultfd``, loading code into the kernel, the clock, odd socket families, typing into a terminal.
libseccomp would save forty lines here and cost a dependency on a system library for a table of fixed numbers.
"""

from __future__ import annotations

import os
import struct
from typing import Any

from agentgym.core.errors import UnsupportedError

_LD_WORD, _JUMP_EQUAL, _JUMP_SET, _JUMP_ABOVE, _RETURN = 0x20, 0x15, 0x45, 0x25, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32_BIT = 0x4000_0000
_NAMESPACES = 0x7E02_0080
"""CLONE_NEWTIME (0x80), NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""
_FAMILIES = (1, 2, 10, 16)
"""Sockets that may be made: UNIX, IPv4, IPv6, netlink (name look-up lists interfaces with it)."""
_TERMINAL_INPUT = (0x5412, 0x541C)
"""``ioctl`` requests TIOCSTI and TIOCLINUX."""

_NAMES = (
    "clone clone3 socket ioctl unshare setns mount umount2 pivot_root chroot ptrace process_vm_readv "
    "process_vm_writev bpf perf_event_open keyctl add_key request_key kexec_load kexec_file_load init_module "
    "finit_module delete_module io_uring_setup io_uring_enter io_uring_register userfaultfd open_by_handle_at "
    "personality clock_settime settimeofday adjtimex clock_adjtime swapon swapoff reboot syslog acct quotactl "
    "open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr sethostname setdomainname vhangup "
    "lookup_dcookie nfsservctl mbind migrate_pages move_pages set_mempolicy kcmp fanotify_init pidfd_getfd"
).split()
_NUMBERS = {
    "x86_64": (
        "56 435 41 16 272 308 165 166 155 161 101 310 311 321 298 250 248 249 246 320 175 313 176 425 426 427 323 304 "
        "135 227 164 159 305 167 168 169 103 163 179 428 429 430 431 432 433 442 170 171 153 212 180 237 256 279 238 "
        "312 300 438"
    ),
    "aarch64": (
        "220 435 198 29 97 268 40 39 41 51 117 270 271 280 241 219 217 218 104 294 105 273 106 425 426 427 282 265 "
        "92 112 170 171 266 224 225 142 116 89 60 428 429 430 431 432 433 442 161 162 58 18 42 235 238 239 237 "
        "272 262 438"
    ),
}
_AUDIT = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}


def build(machine: str | None = None) -> bytes:
    """The filter as an array of ``struct sock_filter``, in this machine's byte order.

    Raises:
        UnsupportedError: For a kind of machine whose call numbers are not in the table.
    """
    machine = machine or os.uname().machine
    if machine not in _NUMBERS:
        raise UnsupportedError(f"No table of system calls for {machine!r}; known: {', '.join(sorted(_NUMBERS))}.")
    numbers = dict(zip(_NAMES, map(int, _NUMBERS[machine].split()), strict=True))
    program = [_op(_LD_WORD, _ARCHITECTURE), _op(_JUMP_EQUAL, _AUDIT[machine], 1, 0), _op(_RETURN, _KILL)]
    program += [_op(_LD_WORD, _NUMBER)]
    if machine == "x86_64":
        program += [_op(_JUMP_ABOVE, _X32_BIT - 1, 0, 1), _op(_RETURN, _KILL)]
    special = {
        "clone": [_op(_LD_WORD, _ARGUMENTS), _op(_JUMP_SET, _NAMESPACES, 0, 1), _refuse(_EPERM), _op(_RETURN, _ALLOW)],
        "clone3": [_refuse(_ENOSYS)],  # its flags lie in memory that a filter can't read; libc falls back to clone
        "socket": [
            _op(_LD_WORD, _ARGUMENTS),
            *(_op(_JUMP_EQUAL, family, len(_FAMILIES) - i, 0) for i, family in enumerate(_FAMILIES)),
            _refuse(_EAFNOSUPPORT),
            _op(_RETURN, _ALLOW),
        ],
        "ioctl": [
            _op(_LD_WORD, _ARGUMENTS + 8),
            *(_op(_JUMP_EQUAL, request, len(_TERMINAL_INPUT) - i, 0) for i, request in enumerate(_TERMINAL_INPUT)),
            _op(_RETURN, _ALLOW),
            _refuse(_EPERM),
        ],
        "personality": [
            _op(_LD_WORD, _ARGUMENTS),
            _op(_JUMP_EQUAL, 0, 2, 0),
            _op(_JUMP_EQUAL, 0xFFFF_FFFF, 1, 0),
            _refuse(_EPERM),
            _op(_RETURN, _ALLOW),
        ],
    }
    io_uring = {"io_uring_setup", "io_uring_enter", "io_uring_register"}
    for name, number in numbers.items():
        body = special.get(name) or [_refuse(_ENOSYS if name in io_uring else _EPERM)]
        program += [_op(_JUMP_EQUAL, number, 0, len(body)), *body]
    return b"".join([*program, _op(_RETURN, _ALLOW)])


def profile() -> dict[str, Any]:
    """The same filter as Docker's ``--security-opt seccomp`` wants it."""
    special = {"clone", "clone3", "socket", "ioctl", "personality"}
    rules = [_rule([name for name in _NAMES if name not in special], _EPERM), _rule(["clone3"], _ENOSYS)]
    flags = [1 << bit for bit in range(32) if _NAMESPACES >> bit & 1]
    rules += [_rule(["clone"], _EPERM, (0, "SCMP_CMP_MASKED_EQ", flag, flag)) for flag in flags]
    families = sorted({*range(64)} - {*_FAMILIES})
    rules += [_rule(["socket"], _EAFNOSUPPORT, (0, "SCMP_CMP_EQ", family, 0)) for family in families]
    rules += [_rule(["ioctl"], _EPERM, (1, "SCMP_CMP_EQ", request, 0)) for request in _TERMINAL_INPUT]
    architectures = {"x86_64": ["SCMP_ARCH_X86_64"], "aarch64": ["SCMP_ARCH_AARCH64"]}
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": architectures.get(os.uname().machine, []),
        "syscalls": rules,
    }


def _rule(names: list[str], errno: int, argument: tuple[int, str, int, int] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno}
    if argument is not None:
        index, comparison, value, second = argument
        rule["args"] = [{"index": index, "op": comparison, "value": value, "valueTwo": second}]
    return rule


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(errno: int) -> bytes:
    return _op(_RETURN, _ERRNO | errno)
