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

_TABLE = """
clone 56 220; clone3 435 435; socket 41 198; ioctl 16 29; unshare 272 97; setns 308 268; mount 165 40;
umount2 166 39; pivot_root 155 41; chroot 161 51; ptrace 101 117; process_vm_readv 310 270;
process_vm_writev 311 271; bpf 321 280; perf_event_open 298 241; keyctl 250 219; add_key 248 217;
request_key 249 218; kexec_load 246 104; kexec_file_load 320 294; init_module 175 105; finit_module 313 273;
delete_module 176 106; io_uring_setup 425 425; io_uring_enter 426 426; io_uring_register 427 427;
userfaultfd 323 282; open_by_handle_at 304 265; personality 135 92; clock_settime 227 112;
settimeofday 164 170; adjtimex 159 171; clock_adjtime 305 266; swapon 167 224; swapoff 168 225; reboot 169 142;
syslog 103 116; acct 163 89; quotactl 179 60; open_tree 428 428; move_mount 429 429; fsopen 430 430;
fsconfig 431 431; fsmount 432 432; fspick 433 433; mount_setattr 442 442; sethostname 170 161;
setdomainname 171 162; vhangup 153 58; lookup_dcookie 212 18; nfsservctl 180 42; mbind 237 235;
migrate_pages 256 238; move_pages 279 239; set_mempolicy 238 237; kcmp 312 272; fanotify_init 300 262;
pidfd_getfd 438 438
"""
"""Calls that are refused, each with its number on x86_64 and on aarch64."""
_MACHINES = ("x86_64", "aarch64")
_AUDIT = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}


def build(machine: str | None = None) -> bytes:
    """The filter as an array of ``struct sock_filter``, in this machine's byte order.

    Raises:
        UnsupportedError: For a kind of machine whose call numbers are not in the table.
    """
    machine = machine or os.uname().machine
    if machine not in _MACHINES:
        raise UnsupportedError(f"No table of system calls for {machine!r}; known: {', '.join(_MACHINES)}.")
    numbers = _numbers(machine)
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


def _numbers(machine: str) -> dict[str, int]:
    rows = [row.split() for row in _TABLE.replace("\n", " ").split(";")]
    return {row[0]: int(row[1 + _MACHINES.index(machine)]) for row in rows}


def profile() -> dict[str, Any]:
    """The same filter as Docker's ``--security-opt seccomp`` wants it."""
    special = {"clone", "clone3", "socket", "ioctl", "personality"}
    rules = [
        _rule([name for name in _numbers(_MACHINES[0]) if name not in special], _EPERM),
        _rule(["clone3"], _ENOSYS),
    ]
    flags = [1 << bit for bit in range(32) if _NAMESPACES >> bit & 1]
    rules += [_rule(["clone"], _EPERM, (0, "SCMP_CMP_MASKED_EQ", flag, flag)) for flag in flags]
    families = sorted({*range(64)} - {*_FAMILIES})
    rules += [_rule(["socket"], _EAFNOSUPPORT, (0, "SCMP_CMP_EQ", family, 0)) for family in families]
    rules += [_rule(["ioctl"], _EPERM, (1, "SCMP_CMP_EQ", request, 0)) for request in _TERMINAL_INPUT]
    # The query, personality(0xFFFFFFFF), has the highest bit set and passes.
    persona = [1 << bit for bit in range(16, 31)]
    rules += [_rule(["personality"], _EPERM, (0, "SCMP_CMP_MASKED_EQ", 1 << 31 | flag, flag)) for flag in persona]
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
