"""Nothing stays behind: not after many sandboxes, not after the process that made them was killed."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time

from agentgym.sandboxes import BACKENDS, remove_stale
from agentgym.testing.checks.subject import NotApplicable, expect
from agentgym.testing.sandboxes.subject import Footprint, SandboxSubject, host_processes, private_temporary_folder

_PATIENCE = 20.0
"""Seconds that what a killed process held may take to go."""
_CHILD = """
import sys, threading, time
from agentgym.sandboxes import open_sandbox
boxes = [open_sandbox(backend=sys.argv[1]) for _ in range(3)]
boxes.append(boxes[0].fork())
for box in boxes:
    threading.Thread(target=box.exec, args=(["sleep", sys.argv[2]],), daemon=True).start()
time.sleep(float(sys.argv[3]))
print("ready", flush=True)
time.sleep(600)
"""


def many_sandboxes(subject: SandboxSubject, count: int = 200) -> None:
    """After many sandboxes no process, mount, container, control group, temporary file or descriptor is left."""
    with private_temporary_folder():
        subject.make().close()  # what stays for the life of the process is there now
        before = Footprint.now()
        marker = f"600.97{secrets.randbelow(10**8):08d}"  # seconds: what leaks ends by itself
        for i in range(count):
            with subject.make() as sandbox:
                sandbox.exec(f"echo {i} > f; sleep {marker} &")
                if i % 10 == 0:
                    sandbox.snapshot()
                    sandbox.fork().close()
        left = Footprint.now().grown(before)
        expect(not left, f"Left behind after {count} sandboxes: {left}")
        expect(not host_processes(marker), f"Still running: {host_processes(marker)}")


def killed_parent(subject: SandboxSubject) -> None:
    """A parent killed with SIGKILL leaves nothing, once the next sandbox is opened."""
    backend = _backend_name(subject)
    with private_temporary_folder():
        subject.make().close()
        before = Footprint.now()
        marker = f"600.96{secrets.randbelow(10**8):08d}"
        path = os.pathsep.join(entry for entry in sys.path if entry)
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _CHILD, backend, marker, "1.0"],
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        with child:
            try:
                assert child.stdout is not None
                expect(child.stdout.readline() == b"ready\n", "The child process did not get its sandboxes.")
                expect(len(host_processes(f"sleep {marker}")) >= 4, "The child's commands don't run.")
            finally:
                child.kill()
            child.wait()
        deadline = time.monotonic() + _PATIENCE
        while host_processes(f"sleep {marker}") and time.monotonic() < deadline and backend == "bubblewrap":
            time.sleep(0.05)
        remove_stale(backend)  # what the next process does when it opens its first sandbox
        while (left := Footprint.now().grown(before, descriptors=False)) and time.monotonic() < deadline:
            time.sleep(0.05)
        expect(not host_processes(f"sleep {marker}"), f"Still running: {host_processes(marker)}")
        expect(not left, f"Left behind by a killed parent: {left}")


def _backend_name(subject: SandboxSubject) -> str:
    """The name under which another process can open such a sandbox."""
    with subject.make() as sandbox:
        name = sandbox.backend
        if name not in BACKENDS or not isinstance(sandbox, BACKENDS.get(name)):
            raise NotApplicable(f"A process of its own can't open {type(sandbox).__name__} by its name {name!r}.")
        return name


CHECKS = (many_sandboxes, killed_parent)
