"""Attacks that use up what the machine has: processes, memory, disk, names, open files."""

from __future__ import annotations

from dataclasses import replace

from agentgym.testing.checks.subject import expect
from agentgym.testing.sandboxes.arena import arena
from agentgym.testing.sandboxes.subject import SMALL, SandboxSubject, python


def fork_bomb(subject: SandboxSubject) -> None:
    """A fork bomb stays below the process limit, and the sandbox works afterwards."""
    counter = (
        "import os, time\nn = 0\ntry:\n"
        "    while n < 500:\n        if os.fork() == 0: time.sleep(60)\n        n += 1\n"
        "except OSError: pass\nprint(n, flush=True)"
    )
    with arena(subject) as place:
        made = int(place.python(counter, timeout=60).text or 0)
        expect(
            0 < made <= SMALL.limits.processes, f"{made} processes were made with a limit of {SMALL.limits.processes}."
        )
        bomb = place.shell(":(){ :|:& };:; sleep 30", timeout=1.5)
        expect(bomb.timed_out, "The fork bomb ended by itself.")
        expect(place.sandbox.exec("echo alive").text == "alive\n", "The sandbox is unusable after a fork bomb.")


def memory_bomb(subject: SandboxSubject) -> None:
    """One process, or many together, get no more memory than the limit."""
    # Ends by itself at four times the limit: where the limit does not bind, the machine must not run out of memory.
    ceiling = 4 * SMALL.limits.memory >> 20
    hog = (
        f"x = []\nfor _ in range({ceiling}): x.append(bytearray(b'x') * (1 << 20)); print(len(x), flush=True)\n"
        "raise SystemExit(0)"
    )
    # Counts the children that have their memory and live, once every child has it or is dead.
    crowd = (
        "import os, struct, time\nread, write = os.pipe()\nchildren, dead, lives = set(), set(), set()\n"
        "os.set_blocking(read, False)\nfor i in range(8):\n    child = os.fork()\n    if child == 0:\n"
        "        x = bytearray(b'x') * (60 << 20); os.write(write, struct.pack('i', os.getpid())); time.sleep(200)\n"
        "    children.add(child)\n"
        "while lives | dead != children:\n    time.sleep(0.1)\n"
        "    try: lives |= {pid for (pid,) in struct.iter_unpack('i', os.read(read, 4096))}\n"
        "    except BlockingIOError: pass\n"
        "    dead |= {child for child in children - dead if os.waitpid(child, os.WNOHANG)[0]}\n    lives -= dead\n"
        "print(len(lives))"
    )
    with arena(subject) as place:
        result = place.python(hog, timeout=120)
        reached = int((result.text.split() or ["0"])[-1])
        expect(result.exit_code != 0 and not result.timed_out, f"The hog was not stopped: {result.exit_code}.")
        expect(reached <= SMALL.limits.memory >> 20, f"One process got {reached} MiB of {SMALL.limits.memory >> 20}.")
        expect(place.sandbox.exec("echo alive").text == "alive\n", "The sandbox is unusable after a memory bomb.")
    with arena(subject) as place:
        alive = int(place.python(crowd, timeout=120).text or 0) if "memory" in place.sandbox.enforces else 0
        expect(alive * 60 <= SMALL.limits.memory >> 20, f"{alive} processes of 60 MiB each lived together.")


def disk_filler(subject: SandboxSubject) -> None:
    """All writable folders together hold no more than the disk limit; the sandbox works afterwards."""
    fill = (
        "for d in /workspace /tmp ~ /dev/shm; do for i in 1 2 3; do head -c 40M /dev/zero > $d/f$i; done; done; "
        "du -cbs /workspace /tmp ~ | tail -1"
    )
    with subject.make() as sandbox:
        total = int(sandbox.exec(fill).text.split()[0])
        expect(total <= SMALL.limits.disk * 1.02, f"{total} bytes were written with a limit of {SMALL.limits.disk}.")
        sandbox.exec("rm -f /workspace/* /tmp/* ~/*")
        sandbox.write_file("f", "works")
        expect(sandbox.read_file("f") == b"works", "The sandbox is unusable after its disk was full.")
        sandbox.exec("i=0; while [ $i -lt 100000 ] && : > n$i; do i=$((i+1)); done", timeout=60)
        count = int(sandbox.exec("ls -f | wc -l").text)
        expect(count < 90_000, f"{count} empty files could be made.")
    limits = replace(SMALL.limits, disk=2 * SMALL.limits.memory)
    with subject.make(replace(SMALL, limits=limits)) as sandbox:  # files may lie in memory
        sandbox.exec("for i in 1 2 3 4 5; do head -c 100M /dev/zero > f$i; done")
        expect(sandbox.exec("rm -f f*; echo gone").text == "gone\n", "Files as large as the memory can't be removed.")


def sparse_and_links(subject: SandboxSubject) -> None:
    """Sparse files and many links don't get past the file size limit, nor break snapshots."""
    with subject.make() as sandbox:
        sandbox.exec("truncate -s 1T huge; echo x > a; for i in $(seq 200); do ln a l$i; done")
        sizes = [entry.size for entry in sandbox.list() if entry.path == "huge"]
        expect(all(size <= SMALL.limits.disk for size in sizes), f"A file of {sizes} bytes could be made.")
        sandbox.fork().close()


def odd_names(subject: SandboxSubject) -> None:
    """Names of 255 bytes and deep folders break neither listing nor forks nor closing."""
    deep = "import os, sys\nfor i in range(int(sys.argv[1])): os.mkdir('d' * 20); os.chdir('d' * 20)"
    with subject.make() as sandbox:
        sandbox.exec(
            "touch $(printf 'n%.0s' $(seq 255)); touch -- '-rf' '*' '$(id)' $'new\\nline'; "
            "touch $(printf 'n%.0s' $(seq 256))"
        )
        expect(python(sandbox, deep, "150").ok, "Could not make deep folders.")
        names = {entry.path for entry in sandbox.list()}
        expect({"n" * 255, "-rf", "*", "$(id)", "new\nline"} <= names, "Odd names are missing from the list.")
        with sandbox.fork() as child:
            expect({entry.path for entry in child.list()} == names, "A fork lost odd names.")
        sandbox.exec("rm -rf ddd*")
        expect(python(sandbox, deep, "1200").ok, "Could not make folders deeper than the longest path.")
        expect(
            {entry.path for entry in sandbox.list()} == names, "Folders deeper than the longest path can't be listed."
        )


def open_file_limit(subject: SandboxSubject) -> None:
    """A process can't open more files than the limit."""
    code = "x = []\ntry:\n    while len(x) < 100000: x.append(open('/dev/null'))\nexcept OSError: pass\nprint(len(x))"
    with subject.make() as sandbox:
        count = int(python(sandbox, code).text)
        expect(count <= SMALL.limits.open_files, f"{count} files could be opened at once.")


CHECKS = (fork_bomb, memory_bomb, disk_filler, sparse_and_links, odd_names, open_file_limit)
