"""Networks that hold nothing but a loopback device and a few listening sockets."""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from agentgym.sandboxes.keeper import kernel

_SIOCSIFFLAGS, _SIOCSIFADDR = 0x8914, 0x8916
_IFF_UP_RUNNING = 0x41


def create(endpoints: list[tuple[str, int]]) -> tuple[int, list[socket.socket]]:
    """A new network namespace in which each (IPv4 address, port) listens.

    Returns:
        A descriptor of the namespace, and the listening sockets in the order of ``endpoints``.
    """
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    kernel.unshare(kernel.CLONE_NEWNET)
    try:
        there = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP_RUNNING))
            for i, address in enumerate(
                sorted({address for address, _ in endpoints if not address.startswith("127.")})
            ):
                packed = struct.pack("16sHH4s16x", f"lo:{i}".encode(), socket.AF_INET, 0, socket.inet_aton(address))
                fcntl.ioctl(control, _SIOCSIFADDR, packed)
        return there, [socket.create_server((address, port), backlog=16) for address, port in endpoints]
    finally:
        kernel.enter(here, kernel.CLONE_NEWNET)
        os.close(here)
