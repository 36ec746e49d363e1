"""Starts ``child``, collects what it reports and prints that. This file's text is sent into a sandbox and run there,
by whatever Python an image has: 3.6 must read it.

The child has no way to this process: its streams go elsewhere, and the supervisor is not dumpable, so that ``/proc``
shows nothing of it.
"""

import base64
import ctypes
import json
import os
import select
import subprocess
import sys
from typing import Any

_MAX = 32 << 20
# Run as a module that nobody can import, so that ``__main__`` holds nothing to tamper with.
_BOOT = "import json, sys; n = {'__name__': 'child'}; exec(sys.argv[3], n); a = sys.argv[1:3]; del sys.argv[1:]; "
_BOOT += "m = n['main']; del n; m(int(a[0]), json.loads(a[1]))"


def start(job: "dict[str, Any]") -> "tuple[subprocess.Popen[bytes], int]":
    """The child, and the end of the pipe that its report comes through."""
    read, write = os.pipe()
    line = [sys.executable, "-B", "-c", _BOOT, str(write), json.dumps(job["job"]), job["child"]]
    child = subprocess.Popen(
        line, env={**os.environ, **job["env"]}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, pass_fds=[write],
    )  # fmt: skip
    os.close(write)
    return child, read


def collect(child: "subprocess.Popen[bytes]", report: int) -> "tuple[bytes, bytes]":
    """Report and output of the child, up to its end; what it left running is not waited for."""
    assert child.stdout is not None
    output = child.stdout.fileno()
    streams = {report: bytearray(), output: bytearray()}
    left = set(streams)
    while left:
        ready = select.select(list(left), [], [], 0.05)[0]
        for fd in ready:
            chunk = os.read(fd, 65536)
            streams[fd] += chunk
            if not chunk:
                left.discard(fd)
            if len(streams[fd]) > _MAX:
                child.kill()
                left.clear()
        if not ready and child.poll() is not None:
            break
    return bytes(streams[report]), bytes(streams[output])


def main() -> None:
    """Reads the job from standard input and prints the report."""
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    child, pipe = start(json.loads(base64.b64decode(sys.stdin.buffer.read())))
    report, text = collect(child, pipe)
    code = child.wait()
    lines: list[dict[str, Any]] = []
    for line in report.splitlines():
        try:
            lines.append(dict(json.loads(line)))
        except (TypeError, ValueError):
            lines.append({"garbled": True})
    if len(text) > 65536:
        text = text[:32768] + b"\n...\n" + text[-32768:]
    os.write(1, json.dumps({"code": code, "lines": lines, "text": text.decode("utf-8", "replace")}).encode())


if __name__ == "__main__":
    main()
