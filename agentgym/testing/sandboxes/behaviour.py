"""Checks of what every sandbox does: commands, files, snapshots, forks, the shell."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from agentgym.core.errors import ConfigError, Fault
from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.shell import Shell
from agentgym.testing.checks.subject import expect
from agentgym.testing.sandboxes.subject import SMALL, SandboxSubject, python


def commands(subject: SandboxSubject) -> None:
    """Exit codes, signals, separate streams and arguments arrive as they are."""
    with subject.make() as sandbox:
        result = sandbox.exec("echo out; echo err >&2; exit 7")
        expect(result.exit_code == 7, f"Exit code 7 came back as {result.exit_code}.")
        expect((result.stdout, result.stderr) == (b"out\n", b"err\n"), f"Streams are mixed or changed: {result}.")
        expect(not result.timed_out and not result.oom and not result.truncated, f"Flags without a cause: {result}.")
        arguments = ["a b", "", "$HOME", "'\"\\", "-n", "ü\n"]
        result = sandbox.exec(["printf", "%s\\0", *arguments])
        expect(result.stdout == ("\0".join(arguments) + "\0").encode(), f"Arguments were changed: {result.stdout!r}.")
        killed = sandbox.exec(["sh", "-c", "kill -SEGV $$"])
        expect(killed.exit_code == 139, f"A command that signal 11 ended gave {killed.exit_code}, not 139.")
        expect(killed.stderr == b"", f"Something that isn't the command's was written: {killed.stderr!r}.")
        expect(sandbox.exec(["no-such-program"]).exit_code == 127, "An unknown program must give 127.")
        sandbox.write_file("no-program", "text")
        expect(sandbox.exec(["./no-program"]).exit_code == 126, "A file that can't be executed must give 126.")
        for name, code in (("INT", 130), ("TERM", 143), ("HUP", 129)):
            ended = sandbox.exec(["sh", "-c", f"kill -{name} $$; sleep 5"])
            expect(ended.exit_code == code, f"Commands start with SIG{name} ignored or handled: {ended.exit_code}.")
        for code in (126, 127):  # what a backend's own tools print must not be mistaken for their word
            said = "echo OCI runtime exec failed: x; echo bwrap: execvp x: y >&2"
            expect(sandbox.exec(f"{said}; exit {code}").exit_code == code, "A command could fake a fault.")


def standard_input(subject: SandboxSubject) -> None:
    """Binary input arrives byte for byte; without input there is end of file."""
    data = bytes(range(256)) * 4096
    with subject.make() as sandbox:
        result = sandbox.exec(["sha256sum"], stdin=data)
        import hashlib

        expect(result.text.startswith(hashlib.sha256(data).hexdigest()), "1 MiB of binary input arrived changed.")
        expect(sandbox.exec(["wc", "-c"]).text.strip() == "0", "Without stdin a command must read end of file.")
        big = sandbox.exec(["head", "-c", "10"], stdin=data)
        expect(big.stdout == data[:10], "A command that doesn't read all of its input must work.")


def odd_output(subject: SandboxSubject) -> None:
    """Output that is not UTF-8 arrives byte for byte and reads as text without an exception."""
    with subject.make() as sandbox:
        result = python(sandbox, "import sys; sys.stdout.buffer.write(bytes(range(256)))")
        expect(result.stdout == bytes(range(256)), "Bytes of output were changed.")
        expect("\\xff" in result.text, "Bytes that are not UTF-8 must show as \\xNN in text.")


def environment_variables(subject: SandboxSubject) -> None:
    """A command sees the declared variables and none of this process's own."""
    os.environ["AGENTGYM_CANARY_VARIABLE"] = "canary-in-the-environment"
    try:
        with subject.make(replace(SMALL, env=(("TASK", "x y"),))) as sandbox:
            text = sandbox.exec(["env"], env={"MORE": "1"}).text
    finally:
        del os.environ["AGENTGYM_CANARY_VARIABLE"]
    for wanted in ("TASK=x y\n", "MORE=1\n", "HOME=", "LANG=C.UTF-8\n", "PATH="):
        expect(wanted in text, f"{wanted.strip()!r} is missing from the environment:\n{text}")
    expect("canary" not in text, "A variable of the host process is visible inside.")


def working_directory(subject: SandboxSubject) -> None:
    """Commands start in the workspace or where they are told; a folder that isn't there is a fault, not a command."""
    with subject.make() as sandbox:
        expect(sandbox.exec(["pwd"]).text.strip() == sandbox.absolute(".").removesuffix("/."), "Wrong start folder.")
        sandbox.write_file("a b/x", "1")
        expect(sandbox.exec(["ls"], cwd="a b").text == "x\n", "A relative cwd counts from the workspace.")
        try:
            sandbox.exec(["pwd"], cwd="nowhere")
        except (Fault, FileNotFoundError):
            return
    raise AssertionError("A cwd that doesn't exist was accepted.")


def wall_time(subject: SandboxSubject) -> None:
    """A command is ended at its wall time, whatever it does with SIGTERM, and says what it wrote before."""
    with subject.make() as sandbox:
        began = time.monotonic()
        result = sandbox.exec("trap '' TERM INT HUP; echo early; while :; do sleep 1; done", timeout=0.7)
        took = time.monotonic() - began
        expect(result.timed_out, "timed_out is False after the wall time.")
        expect(result.stdout == b"early\n", f"Output before the timeout is lost: {result.stdout!r}.")
        expect(took < 60, f"A command with a wall time of 0.7 s took {took:.1f} s.")
        expect(sandbox.exec(["true"]).ok, "The sandbox is unusable after a timeout.")
        expect(sandbox.exec("sleep 9", timeout=1e-6).timed_out, "A command that had no time must be timed out.")
        expect(sandbox.exec(["true"], timeout=1e12).ok, "A wall time of ages does not work.")


def processor_time(subject: SandboxSubject) -> None:
    """A command that only computes is ended at its processor time."""
    with subject.make() as sandbox:
        limits = replace(SMALL.limits, cpu=1.0, wall=300.0)  # a loaded machine may give it little
        result = sandbox.exec("while :; do :; done", limits=limits)
        expect(result.timed_out and result.duration < 290, f"The processor-time limit of 1 s did not bind: {result}.")


def long_output(subject: SandboxSubject) -> None:
    """Long output keeps its head and its tail; endless output ends the command."""
    with subject.make() as sandbox:
        result = sandbox.exec("echo first; seq 100000; echo last")
        expect(result.truncated, "588,000 bytes passed an output limit of 65,536 unmarked.")
        expect(len(result.stdout) <= SMALL.limits.output, f"{len(result.stdout)} bytes were kept.")
        expect(result.stdout.startswith(b"first\n") and result.stdout.endswith(b"last\n"), "Head or tail is missing.")
        endless = sandbox.exec(["yes", "y" * 1000])
        expect(endless.truncated and endless.exit_code != 0, f"`yes` ended by itself: {endless.exit_code}.")
        expect(endless.duration < SMALL.limits.wall, "Endless output ran until the wall time.")


def files(subject: SandboxSubject) -> None:
    """Files round-trip, binary and in folders; what can't be read raises as ``open`` does."""
    with subject.make() as sandbox:
        data = bytes(range(256)) * 100
        sandbox.write_file("deep/er/data.bin", data)
        expect(sandbox.read_file("deep/er/data.bin") == data, "A binary file changed on the way.")
        sandbox.write_file("/tmp/t", "text ü")
        expect(sandbox.read_file("/tmp/t") == "text ü".encode(), "A file in /tmp changed on the way.")
        names = [entry.path for entry in sandbox.list(recursive=True)]
        expect(names == ["deep", "deep/er", "deep/er/data.bin"], f"list() gave {names}.")
        _raises(FileNotFoundError, lambda: sandbox.read_file("missing"))
        _raises(IsADirectoryError, lambda: sandbox.read_file("deep"))
        _raises(IsADirectoryError, lambda: sandbox.write_file("deep", "x"))
        _raises(FileNotFoundError, lambda: sandbox.list("missing"))
        _raises(NotADirectoryError, lambda: sandbox.list("deep/er/data.bin"))
        _raises(ConfigError, lambda: sandbox.read_file("deep/er/data.bin", max_bytes=100))


def transfers(subject: SandboxSubject) -> None:
    """Folders go in and out with links, permissions and odd names."""
    with subject.make() as sandbox, tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        (source / "sub").mkdir(parents=True)
        (source / "sub" / "script.sh").write_text("#!/bin/sh\necho ran\n")
        (source / "sub" / "script.sh").chmod(0o755)
        (source / "link").symlink_to("sub/script.sh")
        (source / "sub" / "twin.sh").hardlink_to(source / "sub" / "script.sh")
        (source / "a b\nc").write_text("odd")
        sandbox.upload(source, "project")
        expect(sandbox.exec(["./link"], cwd="project").text == "ran\n", "An uploaded script or link does not work.")
        sandbox.download("project", target)
        expect((target / "link").is_symlink() and (target / "a b\nc").read_text() == "odd", "The download differs.")
        twins = {(target / "sub" / name).read_text() for name in ("script.sh", "twin.sh")}
        expect(len(twins) == 1, "Of two links to one file one is missing.")
        python(sandbox, r"open(b'\xff\xfe', 'w').write('x')")
        expect(os.fsencode(sandbox.list()[-1].path) == b"\xff\xfe", "A name that is not UTF-8 is listed wrongly.")


def snapshots(subject: SandboxSubject) -> None:
    """A snapshot restores content, deletions, permissions and links, as often as wanted."""
    # No absolute path and no pattern: this also runs where nothing is isolated.
    prepare = "mkdir -p d && echo one > a && echo two > d/b && ln -s a l && chmod 700 a && echo h > ~/h"
    show = "find . ~ -mindepth 1 -printf '%P %m %l\\n' | sort; cat a d/b ~/h"
    with subject.make() as sandbox:
        sandbox.exec(prepare)
        sandbox.write_file("/tmp/t", "t")
        before = sandbox.exec(show).stdout
        first = sandbox.snapshot()
        sandbox.exec("rm -r d l; echo changed > a; chmod 644 a; mkdir new; echo x > ~/h")
        sandbox.write_file("/tmp/t", "changed")
        changed = sandbox.exec(show).stdout
        second = sandbox.snapshot()
        for snapshot, wanted in ((first, before), (second, changed), (first, before), (first, before)):
            sandbox.restore(snapshot)
            found = sandbox.exec(show).stdout
            expect(found == wanted, f"restore gave\n{found.decode()}\ninstead of\n{wanted.decode()}")
            text = sandbox.read_file("/tmp/t")
            expect(text == (b"t" if snapshot == first else b"changed"), f"/tmp is not in the snapshot: {text!r}")
            sandbox.exec("rm -r a d new l; echo mess > mess; echo mess > ~/h")
        sandbox.drop(first)
        sandbox.drop(first)
        _raises(ConfigError, lambda: sandbox.restore(first))
        sandbox.restore(second)
        expect(sandbox.exec(show).stdout == changed, "A snapshot is lost when an earlier one is dropped.")


def forks(subject: SandboxSubject) -> None:
    """A fork has its parent's files; afterwards neither sees the other's writes. Grandchildren too."""
    with subject.make() as parent:
        parent.exec("mkdir d; echo one > d/f; echo keep > k")
        snapshot = parent.snapshot()
        with parent.fork() as child:
            parent.exec("echo parent > d/f; rm k; echo p > only-parent")
            child.exec("echo child > d/f; mv d e; echo c > only-child")
            with child.fork() as grandchild:
                child.exec("echo later > e/f")
                expect(_content(grandchild) == ["e/f=child", "k=keep", "only-child=c"], f"{_content(grandchild)}")
            expect(_content(child) == ["e/f=later", "k=keep", "only-child=c"], f"The child has {_content(child)}.")
            expect(_content(parent) == ["d/f=parent", "only-parent=p"], f"The parent has {_content(parent)}.")
        with parent.fork(snapshot) as old:
            parent.close()
            expect(_content(old) == ["d/f=one", "k=keep"], f"A fork of a snapshot has {_content(old)}.")


def many_snapshots(subject: SandboxSubject) -> None:
    """Fifty snapshots in a row all restore."""
    with subject.make() as sandbox:
        ids = []
        for i in range(50):
            sandbox.exec(f"echo {i} > f; echo {i} > f{i}; rm -f f{i - 1}")
            ids.append(sandbox.snapshot())
        for i in (0, 31, 32, 33, 49):
            sandbox.restore(ids[i])
            expect(_content(sandbox) == [f"f={i}", f"f{i}={i}"], f"Snapshot {i} holds {_content(sandbox)}.")


def shells(subject: SandboxSubject) -> None:
    """The shell keeps folder, variables and functions, also through snapshots; background processes end."""
    with subject.make() as sandbox:
        shell = Shell(sandbox)
        shell.run("mkdir -p a/b; cd a/b; X='one two'; export Y=$'3\\n4'; f() { echo \"f $1\"; }; Z=(1 2)")
        result = shell.run('echo "${PWD##*/} $X ${Z[1]}"; f 5; env | grep -A1 ^Y')
        expect(result.text == "b one two 2\nf 5\nY=3\n4\n", f"The shell forgot something: {result.text!r}")
        snapshot = sandbox.snapshot()
        shell.run("cd /; X=other")
        expect(shell.run("exit 9").exit_code == 9, "exit in the shell must be the exit code.")
        expect(shell.run("kill -9 $$").exit_code == 137, "A shell that kills itself gives 137.")
        expect(shell.run("pwd; echo $X").text == "/\nother\n", "exit or kill lost the state of the shell.")
        sandbox.restore(snapshot)
        expect(shell.run('echo "$X"').text == "one two\n", "The shell's state is not in the snapshot.")
        shell.run("(while :; do echo x >> ~/growing; sleep 0.01; done) & disown")
        size = sandbox.exec("wc -c < ~/growing || true").text
        time.sleep(0.2)
        expect(sandbox.exec("wc -c < ~/growing || true").text == size, "A background process outlived its command.")
        expect(shell.run("if then").exit_code == 2, "A syntax error must give bash's exit code 2.")


def closing(subject: SandboxSubject) -> None:
    """A closed sandbox says so; closing twice is fine; a fork outlives its parent."""
    sandbox = subject.make()
    sandbox.write_file("f", "1")
    child = sandbox.fork()
    sandbox.close()
    sandbox.close()
    for use in (lambda: sandbox.exec(["true"]), sandbox.snapshot, sandbox.fork, lambda: sandbox.restore("snapshot-1")):
        _raises(Fault, use)
    expect(child.read_file("f") == b"1", "A fork died with its parent.")
    child.close()


def side_by_side(subject: SandboxSubject) -> None:
    """Sandboxes in eight threads don't disturb each other."""
    problems: list[str] = []

    def work(number: int) -> None:
        try:
            with subject.make() as sandbox:
                for i in range(4):
                    sandbox.write_file("mine", f"{number} {i}")
                    text = sandbox.exec("cat mine; ls | wc -l").text
                    if text != f"{number} {i}1\n":
                        problems.append(f"sandbox {number}, round {i}: {text!r}")
        except Exception as error:
            problems.append(f"sandbox {number}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(not problems, "; ".join(problems))


def _content(sandbox: Sandbox) -> list[str]:
    paths = [entry.path for entry in sandbox.list(recursive=True) if entry.kind == "file"]
    return [f"{path}={sandbox.read_file(path).decode().strip()}" for path in paths]


def _raises(kind: type[Exception], action: object) -> None:
    assert callable(action)
    try:
        action()
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"Expected {kind.__name__}, got {type(error).__name__}: {error}") from error
    raise AssertionError(f"Expected {kind.__name__}, nothing was raised.")


CHECKS = (
    commands, standard_input, odd_output, environment_variables, working_directory, wall_time, processor_time,
    long_output, files, transfers, snapshots, forks, many_snapshots, shells, closing, side_by_side,
)  # fmt: skip
