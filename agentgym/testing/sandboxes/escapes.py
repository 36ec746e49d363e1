"""Attacks that no isolating sandbox may let through. Each runs hostile code and proves that it got nowhere.

Every attack is harmless where it succeeds, as far as that can be had: settings are overwritten with their own values,
and a command that would end processes or make many looks first, itself, that it is in a process namespace of its own.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agentgym.core.errors import AgentGymError
from agentgym.testing.checks.subject import expect
from agentgym.testing.sandboxes.arena import arena
from agentgym.testing.sandboxes.subject import SandboxSubject, host_processes, python


def orphans(subject: SandboxSubject) -> None:
    """Daemons that leave session, parent and terminal end with their command."""
    marker = f"600.98{secrets.randbelow(10**8):08d}"  # seconds: what escapes ends by itself
    daemon = (
        "import os, sys, signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
        "if os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
        "for fd in range(64):\n    try: os.close(fd)\n    except OSError: pass\n"
        "os.execvp('sleep', ['sleep', sys.argv[1]])"
    )
    with arena(subject) as place:
        place.python(daemon, marker)
        place.shell(f"setsid nohup sleep {marker} >/dev/null 2>&1 & disown")
        place.shell(f"sleep {marker} & kill -9 $PPID; kill -9 $$")
        time.sleep(0.1)
        inside = place.sandbox.exec("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '").text
        expect(marker not in inside, f"A daemon lives on inside: {inside}")
        expect(not host_processes(marker), f"A daemon lives on: {host_processes(marker)}")


def late_writers(subject: SandboxSubject) -> None:
    """Nothing writes after a timeout."""
    with arena(subject) as place:
        place.shell(
            "for i in 1 2 3; do (setsid sh -c 'while :; do echo x >> log; done' &) ; done; sleep 60", timeout=0.7
        )
        size = place.sandbox.exec("wc -c < log").text
        time.sleep(0.3)
        expect(place.sandbox.exec("wc -c < log").text == size, "A file grew after its command had timed out.")


def host_files(subject: SandboxSubject) -> None:
    """A file planted on the host can't be read, by path, by search, or through /proc."""
    secret = f"canary-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="agentgym-canary-") as folder, subject.make() as sandbox:
        path = Path(folder, secret)
        path.write_text(secret)
        path.chmod(0o644)
        Path(folder).chmod(0o755)
        homes = [Path.home() / f".{secret}", Path.cwd() / f".{secret}"]
        try:
            for copy in homes:
                with suppress(PermissionError):
                    copy.write_text(secret)
            attempts = [f"cat {path} {' '.join(map(str, homes))}", f"cat /proc/1/root{path} /proc/self/root{path}"]
            attempts += [
                f"find / -name '*{secret}*' 2>/dev/null",
                f"grep -rls {secret} /etc /home /root /var /tmp /run",
            ]
            attempts += [f"for i in /proc/[0-9]*; do cat $i/root{path} $i/cwd/../{path}; done"]
            attempts += ["cat /etc/shadow /root/.ssh/* /root/.bash_history", "ls -a /root /var/lib/docker /host /old"]
            for attempt in attempts:
                found = sandbox.exec(attempt, timeout=90)
                expect(secret not in found.text, f"The canary was seen by: {attempt}")
                expect(not _host_secret(found.text), f"A secret of the host was seen by: {attempt}")
        finally:
            for copy in homes:
                copy.unlink(missing_ok=True)


def _host_secret(text: str) -> bool:
    try:
        lines = Path("/etc/shadow").read_text().splitlines()
    except OSError:
        return False
    return any(line in text for line in lines if line.count(":") > 2 and line.split(":")[1] not in ("*", "!", "!*", ""))


def host_environment(subject: SandboxSubject) -> None:
    """A variable of the host process can't be read, not even through /proc."""
    secret = f"canary-{secrets.token_hex(8)}"
    os.environ["AGENTGYM_CANARY"] = secret
    try:
        with subject.make() as sandbox:
            seen = sandbox.exec("env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null")
            expect(secret.encode() not in seen.stdout, "A variable of the host process is visible inside.")
    finally:
        del os.environ["AGENTGYM_CANARY"]


def writing_outside(subject: SandboxSubject) -> None:
    """Nothing outside the writable folders can be changed."""
    places = (
        "/ /usr /usr/bin /usr/local /etc /bin /lib /var /opt /root /home /dev /sys /proc /proc/sys/kernel /run /mnt"
    )
    script = f"for d in {places}; do (: > $d/agentgym-probe) 2>/dev/null && echo wrote $d; done; true"
    with subject.make() as sandbox:
        wrote = sandbox.exec(script).text
        expect(wrote == "", f"Could write outside: {wrote}")
        for victim in ("/etc/passwd", "/bin/bash", "/usr/bin/env"):
            changed = sandbox.exec(f"(: >> {victim}) 2>/dev/null")
            expect(changed.exit_code != 0, f"{victim} could be changed.")


@contextmanager
def _listening() -> Iterator[tuple[int, list[str]]]:
    """A server on every address of this machine. Yields its port and who came."""
    visitors: list[str] = []
    server = socket.create_server(("0.0.0.0", 0))

    def accept() -> None:
        while True:
            try:
                connection, address = server.accept()
            except OSError:
                return
            visitors.append(str(address))
            connection.close()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield server.getsockname()[1], visitors
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def network(subject: SandboxSubject) -> None:
    """No server can be reached: not on the host's loopback, not on its addresses, not by an abstract socket."""
    name = f"agentgym-{secrets.token_hex(8)}"
    probe = (
        "import socket, sys\nport, name = int(sys.argv[1]), sys.argv[2]\n"
        "for host in ['127.0.0.1', 'localhost', '::1', '10.0.2.2', '172.17.0.1', '192.168.0.1', *sys.argv[3:]]:\n"
        "    try: socket.create_connection((host, port), 0.3); print('reached', host)\n    except OSError: pass\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "try: s.connect('\\0' + name); print('reached abstract')\nexcept OSError: pass\n"
        "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "try: u.sendto(b'x', ('8.8.8.8', 53)); print('sent')\nexcept OSError: pass\n"
    )
    with subject.make() as sandbox, _listening() as (port, visitors), socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0" + name)
        abstract.listen()
        text = python(sandbox, probe, str(port), name, *_own_addresses()).text
        expect(text == "", f"The network is reachable: {text}")
        expect(not visitors, f"The host's server was visited from {visitors}.")


def _own_addresses() -> list[str]:
    try:
        return sorted({str(item[4][0]) for item in socket.getaddrinfo(socket.gethostname(), None)})
    except OSError:
        return []


def file_methods(subject: SandboxSubject) -> None:
    """Links, ``..``, FIFOs and devices don't lead ``read_file``, ``write_file`` and ``download`` out or hang them."""
    secret = f"canary-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="agentgym-canary-") as folder, subject.make() as sandbox:
        target = Path(folder, "file")
        target.write_text(secret)
        up = "../" * 12 + str(target).lstrip("/")
        sandbox.exec(
            f"ln -s {target} link; ln -s {up} up; ln -s / root; mkfifo pipe; ln -s /dev/zero zero; ln -s loop loop"
        )
        for path in ("link", "up", "pipe", "zero", "loop", f"root{target}", up, str(target)):
            began = time.monotonic()
            try:
                data = sandbox.read_file(path)
            except (OSError, AgentGymError):
                data = b""
            expect(secret.encode() not in data, f"read_file({path!r}) read a file of the host.")
            expect(time.monotonic() - began < 60, f"read_file({path!r}) hangs.")
        for path in ("link", "up", "pipe", f"root{target}"):
            with suppress(OSError, AgentGymError):
                sandbox.write_file(path, "overwritten")
            expect(target.read_text() == secret, f"write_file({path!r}) wrote to the host.")
        out = Path(folder, "out")
        with suppress(OSError, AgentGymError):
            sandbox.download(".", out)
        leaked = [
            path for path in Path(folder).rglob("*") if path.is_file() and path != target and not path.is_symlink()
        ]
        expect(all(secret not in path.read_text(errors="replace") for path in leaked), "download() followed a link.")
        expect(target.read_text() == secret, "download() overwrote a file of the host.")
        sandbox.exec("chmod 000 /tmp ~ /workspace")
        expect(sandbox.exec(["echo", "in"]).text == "in\n", "An agent can lock everybody out of the folders.")


def devices_and_proc(subject: SandboxSubject) -> None:
    """Devices, kernel settings and kernel memory are out of reach."""
    attempts = [
        "mknod dev b 8 0", "mknod dev c 1 1", "head -c 1 /dev/mem", "head -c 1 /dev/kmem", "head -c 1 /dev/kmsg",
        "head -c 1 /dev/sda", "head -c 1 /dev/vda", "head -c 1 /proc/kcore", "echo h > /proc/sysrq-trigger",
        "cat /proc/sys/kernel/panic > /proc/sys/kernel/panic", "dmesg", "mount -t tmpfs none /mnt",
        "cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern", "mount -t proc proc /tmp",
        "echo -1000 > /proc/self/oom_score_adj", "umount /workspace", "ls /proc/1/root/host",
        "mkdir /sys/fs/cgroup/memory/agentgym-probe", "mkdir /sys/fs/cgroup/agentgym-probe",
    ]  # fmt: skip
    with subject.make() as sandbox:
        for attempt in attempts:
            expect(sandbox.exec(attempt).exit_code != 0, f"This worked: {attempt}")
        shown = sandbox.exec("cat /proc/self/status").text
        for line in ("CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapAmb:\t0000000000000000"):
            expect(line in shown, f"{line.split(':')[0]} is not empty.")
        expect("NoNewPrivs:\t1" in shown, "no_new_privs is not set.")
        expect("Seccomp:\t2" in shown, "No filter of system calls is active.")
        expect(sandbox.exec(["id", "-u"]).text.strip() != "0", "Commands run as root.")


_CALLS = r"""
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*args)
    print(name, *args[:1], 'WORKED' if result >= 0 else ctypes.get_errno(), flush=True)
def number(name, n, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(n), *args)
    print(name, 'WORKED' if result >= 0 else ctypes.get_errno(), flush=True)
x86 = os.uname().machine == 'x86_64'
for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80): call('unshare', flag)
call('ptrace', 0, 0, 0, 0)
call('ptrace', 16, 1, 0, 0)
call('chroot', b'/tmp')
call('sethostname', os.uname().nodename.encode(), len(os.uname().nodename))
call('mount', b'none', b'/tmp', b'tmpfs', 0, b'')
call('setns', os.open('/proc/self/ns/net', os.O_RDONLY), 0)
class T(ctypes.Structure): _fields_ = [('s', ctypes.c_long), ('n', ctypes.c_long)]
now = ctypes.byref(T(int(time.time()), 0)); call('clock_settime', 0, now); call('settimeofday', now, None)
call('personality', 0x0040000)
call('setuid', 0); call('setgid', 0)
buffer = ctypes.create_string_buffer(256)
number('bpf', 321 if x86 else 280, 0, buffer, 72)
number('perf_event_open', 298 if x86 else 241, buffer, 0, -1, -1, 0)
number('keyctl', 250 if x86 else 219, 0, -3, 1)
number('io_uring_setup', 425, 4, buffer)
number('userfaultfd', 323 if x86 else 282, 1)
number('open_by_handle_at', 304 if x86 else 265, -1, buffer, 0)
number('fsopen', 430, b'tmpfs', 0)
number('clone_newuser', 56 if x86 else 220, 0x10000011, 0, 0, 0, 0)
if x86: number('x32', 0x40000000 + 39)
"""


def system_calls(subject: SandboxSubject) -> None:
    """Namespaces, tracing, mounts, the clock, keyrings, BPF and their like are refused."""
    with subject.make() as sandbox:
        # x32 kills the process, so it comes last.
        result = python(sandbox, _CALLS)
        lines = result.text.splitlines()
        expect(len(lines) >= 27, f"The probe did not get through: {result.exit_code} {result.error_text} {result.text}")
        worked = [line for line in lines if "WORKED" in line]
        expect(not worked, f"These system calls worked: {worked}")
        expect(sandbox.exec(["unshare", "-Ur", "true"]).exit_code != 0, "unshare -Ur works inside.")
        expect(sandbox.exec('date -s "$(date)"').exit_code != 0, "The clock could be set.")


def setuid_programs(subject: SandboxSubject) -> None:
    """Programs with the setuid bit, the image's or an agent's own, gain nothing."""
    script = (
        "cp /bin/bash b; chmod 6755 b; ./b -p -c 'id -u'; "
        "for p in $(find / -xdev -perm -4000 -type f 2>/dev/null); do ls -n $p; done; true"
    )
    with subject.make() as sandbox:
        first = sandbox.exec(script).text.splitlines()[0].strip()
        own = sandbox.exec(["id", "-u"]).text.strip()
        expect(first == own, f"A setuid copy of bash runs as {first}, not {own}.")
        for attempt in ("su -c 'id -u' root", "mount --bind / /mnt", "newgrp root", "sudo -n id"):
            result = sandbox.exec(attempt, timeout=5)
            expect(result.exit_code != 0 and result.text.strip() != "0", f"This worked: {attempt}")


def killing_everything(subject: SandboxSubject) -> None:
    """``kill -9 -1`` and killing process 1 hurt no other sandbox and not this process."""
    with arena(subject) as first, arena(subject) as second:
        done = []
        thread = threading.Thread(target=lambda: done.append(second.sandbox.exec("sleep 0.5; echo alive").text))
        thread.start()
        first.shell("kill -9 1; kill -9 -1")
        first.shell("for i in $(seq 2 400); do [ $i = $$ ] || kill -9 $i; done 2>/dev/null")
        thread.join()
        expect(done == ["alive\n"], f"Another sandbox was hurt: {done}")
        expect(
            first.sandbox.exec("echo again").text == "again\n", "The sandbox is unusable after it killed everything."
        )


def open_descriptors(subject: SandboxSubject) -> None:
    """A command has its three streams and no other open file: not of this process, nor of what runs it."""
    code = (
        "import os\nfor name in sorted(os.listdir('/proc/self/fd'), key=int):\n"
        "    try: print(name, os.readlink('/proc/self/fd/' + name))\n    except OSError: pass"
    )
    with subject.make() as sandbox:
        for stdin in (b"", b"x"):
            shown = sandbox.exec(["python3", "-I", "-S", "-c", code], stdin=stdin).text.splitlines()
            expect([line.split()[0] for line in shown] == ["0", "1", "2"], f"Open files of a command: {shown}")


def shared_memory(subject: SandboxSubject) -> None:
    """What a command leaves in shared memory, queues or semaphores is gone with it: a snapshot is files and no more."""
    leave = (
        "touch /dev/shm/left /dev/shm/.left /dev/shm/..left; ln -s nowhere /dev/shm/link; mkdir -p /dev/shm/d/e; "
        "ipcmk -M 4096; ipcmk -S 1; ipcmk -Q; true"
    )
    look = "ls -A /dev/shm /dev/mqueue 2>/dev/null | grep -v :; tail -qn +2 /proc/sysvipc/*; true"
    with subject.make() as sandbox:
        for command in (leave, f"{leave}; kill -9 $PPID $$", f"{leave}; sleep 60"):
            sandbox.exec(command, timeout=1.5)
            left = sandbox.exec(look).text.strip()
            expect(left == "", f"Left in memory by a command that has ended: {left}")


def terminal(subject: SandboxSubject) -> None:
    """There is no terminal to type into."""
    with subject.make() as sandbox:
        code = "import fcntl, os; fcntl.ioctl(os.open('/dev/tty', os.O_RDWR), 0x5412, b'x')"
        expect(python(sandbox, code).exit_code != 0, "TIOCSTI worked on a terminal.")


CHECKS = (
    orphans, late_writers, host_files, host_environment, writing_outside, network, file_methods, devices_and_proc,
    system_calls, setuid_programs, killing_everything, open_descriptors, shared_memory, terminal,
)  # fmt: skip
