"""Parts that need no backend, and what only bubblewrap has."""

import io
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.errors import AgentGymError, ConfigError, Fault, UnknownNameError, UnsupportedError
from agentgym.sandboxes import (
    Limits,
    SandboxSpec,
    Shell,
    bubblewrap,
    diagnose,
    diagnose_host,
    open_sandbox,
    remove_stale,
    seccomp,
)
from agentgym.sandboxes.docker_stream import Exchange
from agentgym.sandboxes.keeper import cgroups, client, owners
from agentgym.sandboxes.plain import PlainSandbox, UnisolatedWarning
from agentgym.sandboxes.relay import addresses
from agentgym.sandboxes.streams import FLOOD_FACTOR, Clip
from agentgym.testing.sandboxes import SMALL, check_sandbox
from agentgym.testing.sandboxes.subject import host_processes
from tests.sandboxes.conftest import BACKENDS_HERE, need, quiet


@pytest.fixture(scope="module", autouse=True)
def bubblewrap_works():
    try:
        open_sandbox(backend="bubblewrap").close()
    except AgentGymError as error:
        pytest.skip(str(error))


@given(st.lists(st.binary(max_size=40)), st.integers(1, 60))
def test_clip_keeps_head_and_tail(chunks: list[bytes], limit: int) -> None:
    clip, whole = Clip(limit), b"".join(chunks)
    for chunk in chunks:
        clip.add(chunk)
    kept = clip.value()
    assert clip.truncated == (len(whole) > limit) and clip.flooded == (len(whole) > FLOOD_FACTOR * limit)
    if len(whole) <= limit:
        assert kept == whole
    else:
        half = limit // 2
        assert kept == whole[: limit - half] + (whole[-half:] if half else b"")


def test_specifications_are_plain_data() -> None:
    spec = SandboxSpec(env=(("A", "1"),), network=("example.org:80",), limits=Limits(wall=3))
    assert pickle.loads(pickle.dumps(spec)) == spec
    for wrong in (
        {"mounts": (("/x", "y"),)},
        {"mounts": (("/x", "/y/../z"),)},
        {"network": ("host",)},
        {"network": ("h:99999",)},
        {"network": ("[::1]:80",)},
        {"network": ("a b:80",)},
        {"network": ("*.org:80",)},
        {"network": ("a\nb:80",)},
        {"network": ("h:80", "h:80")},
        {"network": tuple(f"h:{port}" for port in range(1, 99))},
    ):
        with pytest.raises(ConfigError):
            SandboxSpec(**wrong)
    for name, wrong in (("memory", 0), ("memory", 1.5), ("wall", float("inf")), ("cpu", float("nan")), ("wall", "3")):
        with pytest.raises(ConfigError, match=f"Limits.{name} must be"):
            Limits(**{name: wrong})


def test_filters_of_system_calls() -> None:
    for machine, call in (("x86_64", 101), ("aarch64", 117)):  # ptrace
        program = seccomp.build(machine)
        assert len(program) % 8 == 0 and len(program) < 8 * 4096
        instructions = [struct.unpack_from("=HBBI", program, i) for i in range(0, len(program), 8)]
        assert instructions[-1] == (0x06, 0, 0, 0x7FFF_0000)
        place = next(i for i, (code, _, _, value) in enumerate(instructions) if code == 0x15 and value == call)
        assert instructions[place + 1] == (0x06, 0, 0, 0x0005_0001), "EPERM"
        for i, (code, yes, no, _) in enumerate(instructions):
            assert code & 7 != 5 or i + 1 + max(yes, no) < len(instructions), "a jump leads out of the program"
    with pytest.raises(UnsupportedError, match="riscv64"):
        seccomp.build("riscv64")


def test_owners_are_told_apart_from_later_processes() -> None:
    name = owners.owner_name(os.getpid())
    assert not owners.owner_gone(name)
    process, _, namespace = name.partition("-")
    pid, _, started = process.partition(".")
    assert owners.owner_gone(f"{pid}.{int(started) + 1}-{namespace}")
    assert not owners.owner_gone(f"{pid}.{int(started) + 1}-{int(namespace) + 1}"), "of another process namespace"
    for lookalike in (
        "",
        "x",
        pid,
        f"{pid}.1",
        f"0.1-{namespace}",
        "trainer.service",
        f"-1.1-{namespace}",
        f"{name}.9",
        f"{name}-9",
    ):
        assert not owners.owner_gone(lookalike), lookalike
    with subprocess.Popen(["sleep", "60"]) as child:
        gone = owners.owner_name(child.pid)
        child.kill()
    assert owners.owner_gone(gone)


def test_unified_control_groups_are_found_and_written(tmp_path: Path) -> None:
    """Version 2 by its files: this kind of machine may have version 1 only."""
    group = cgroups.Group(cgroups.Hierarchies(2, dict.fromkeys(("memory", "pids", "cpuacct"), tmp_path)), "1.2-9.3")
    folder = tmp_path / "agentgym-1.2-9.3"
    assert folder.is_dir() and group.controllers == {"memory", "pids", "cpuacct"}
    (folder / "memory.stat").write_text("anon 70\nshmem 30\n")
    group.limit(1000, 7)
    assert (folder / "memory.max").read_text() == "1030" and (folder / "pids.max").read_text() == "7"
    (folder / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (folder / "cpu.stat").write_text("usage_usec 2500000\n")
    assert group.oom_kills() == 2 and group.cpu_seconds() == 2.5


def test_missing_programs_are_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda name: None)
    with pytest.raises(UnsupportedError, match="apt install bubblewrap"):
        open_sandbox(backend="bubblewrap")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    from agentgym.sandboxes import docker

    docker.connect.cache_clear()
    with pytest.raises((UnsupportedError, ImportError), match=r"Start it|pip install"):
        open_sandbox(backend="docker")
    with pytest.raises(UnsupportedError, match="No sandbox works on this host"):
        open_sandbox()
    found = {item.name: item for item in diagnose()}
    assert not found["bubblewrap"].ok and "apt install bubblewrap" in found["bubblewrap"].fix
    docker.connect.cache_clear()


def test_backends_that_do_not_fit() -> None:
    with pytest.raises(UnknownNameError, match="bubblewrap"):
        open_sandbox(backend="bubblewarp")
    with pytest.raises(UnsupportedError, match="read-only"):
        open_sandbox(SandboxSpec(writable_image=True), "bubblewrap")
    with pytest.raises(ConfigError, match="not a folder"):
        open_sandbox(SandboxSpec(image="/no/such/root"), "bubblewrap")
    with pytest.raises(ConfigError, match="does not exist"):
        open_sandbox(SandboxSpec(mounts=(("/no/such/file", "/x"),)), "bubblewrap")
    with pytest.raises(UnsupportedError, match="no images"):
        open_sandbox(SandboxSpec(network=("a:1",)), "subprocess")
    with pytest.warns(UnisolatedWarning, match="isolates nothing"):
        PlainSandbox().close()


def test_mounts_are_read_only(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f").write_text("given")
    tmp_path.chmod(0o700)
    with open_sandbox(SandboxSpec(mounts=((str(tmp_path / "sub"), "/given/here"),)), "bubblewrap") as sandbox:
        assert sandbox.read_file("/given/here/f") == b"given"
        assert sandbox.exec("echo x > /given/here/f").exit_code != 0
        with pytest.raises(PermissionError):
            sandbox.write_file("/given/here/g", "x")
    assert (tmp_path / "sub" / "f").read_text() == "given"


def test_arguments_that_no_process_can_get() -> None:
    with open_sandbox(backend="bubblewrap") as sandbox:
        for wrong in ([], [""], ["a\0b"], ["x" * 200_000], ["\ud800"], [b"ls"], [1]):
            with pytest.raises(ConfigError):
                sandbox.exec(wrong)
        with pytest.raises(ConfigError, match="variable"):
            sandbox.exec(["true"], env={"A=B": "1"})
        with pytest.raises(Fault, match="could not be started"):
            sandbox.exec(["true"], cwd="/no/such/folder")
        with pytest.raises(FileNotFoundError):
            sandbox.upload(Path("/no/such/file"))


def test_the_shell_saves_whatever_a_command_changed() -> None:
    changes = (
        "IFS=,", "set -C", "set -euo pipefail", "trap 'true' EXIT", "export PATH=/nowhere", "trap 'true' EXIT; set -f",
        "mv() { echo not this; }; printf() { echo nor this; }; declare() { :; }; cd() { :; }",
    )  # fmt: skip
    with open_sandbox(SandboxSpec(env=(("GIVEN", "1"),)), "bubblewrap") as sandbox:
        for number, change in enumerate(changes):
            shell = Shell(sandbox)
            shell.reset()
            assert shell.run(f"mkdir -p /tmp/{number}; builtin cd /tmp/{number}; V=0").ok
            assert shell.run(f"builtin cd ..; V={number}; unset GIVEN; {change}").stdout == b""
            text = shell.run('builtin echo "$V $PWD ${GIVEN-gone}"').text
            assert text == f"{number} /tmp gone\n", f"{change}: {text}"


def test_a_command_that_can_not_begin_leaves_one_keeper() -> None:
    """The process that should have become the command must end, whatever goes wrong before it does."""
    endless = types.SimpleNamespace(
        cpu=float("inf"), memory=1 << 28, processes=9, open_files=99, disk=99, wall=9, output=99
    )
    with open_sandbox(backend="bubblewrap") as sandbox:
        keeper = client.get()
        command = client.Command(sandbox._tree, ["/bin/true"], b"", seccomp.build(), endless)
        with pytest.raises(Fault, match="could not be started: OverflowError"):
            keeper.run(command)
        children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
        assert not children and sandbox.exec("echo works").text == "works\n"


def test_named_endpoints_are_reached_and_nothing_else() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    other = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def answer() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"got " + connection.recv(100))

    thread = threading.Thread(target=answer)
    thread.start()
    probe = (
        "import socket, sys\ndef ask(host, port):\n    try:\n        s = socket.create_connection((host, port), 2)\n"
        "        s.sendall(b'hello'); s.shutdown(1); return s.recv(100).decode()\n    except OSError as e: return 'refused'\n"
        "print(ask('127.0.0.1', int(sys.argv[1])), ask('127.0.0.1', int(sys.argv[2])), ask('10.9.8.7', 80))"
    )
    spec = SandboxSpec(network=(f"127.0.0.1:{port}",))
    argv = ["python3", "-c", probe, str(port), str(other.getsockname()[1])]
    with open_sandbox(spec, "bubblewrap") as sandbox:
        assert sandbox.exec(argv).text == "got hello refused refused\n"
        with sandbox.fork() as child:
            sandbox.close()
            assert child.exec(argv).text == "got hello refused refused\n"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    other.close()
    thread.join()


def test_names_lead_to_addresses_of_their_own() -> None:
    places, hosts = addresses(("a.example:80", "b.example:80", "a.example:81", "10.0.0.1:5", "localhost:6"))
    assert places == [("127.0.1.1", 80), ("127.0.1.2", 80), ("127.0.1.1", 81), ("10.0.0.1", 5), ("127.0.0.1", 6)]
    assert hosts == "127.0.1.1 a.example\n127.0.1.2 b.example\n"


def test_a_forked_process_has_sandboxes_of_its_own() -> None:
    code = (
        "import os\nfrom agentgym.sandboxes import open_sandbox\nfirst = open_sandbox(backend='bubblewrap')\n"
        "first.write_file('f', 'parent')\npid = os.fork()\nif pid == 0:\n"
        "    with open_sandbox(backend='bubblewrap') as own:\n        ok = own.exec(['ls']).text == ''\n    os._exit(0 if ok else 9)\n"
        "assert os.waitpid(pid, 0)[1] == 0\nassert first.read_file('f') == b'parent'\nprint('fine')"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_a_killed_keeper_takes_everything_with_it_and_is_replaced() -> None:
    sandbox = open_sandbox(backend="bubblewrap")
    results: list[object] = []

    def run() -> None:
        try:
            results.append(sandbox.exec(["sleep", "9753.1"]))
        except Fault as fault:
            results.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    while not host_processes("sleep 9753.1"):
        time.sleep(0.01)
    keeper = client.get()
    keeper._process.kill()
    thread.join(20)
    assert isinstance(results[0], Fault) and results[0].boundary == "sandbox"
    with pytest.raises(Fault, match="gone"):
        sandbox.exec(["true"])
    sandbox.close()
    with open_sandbox(backend="bubblewrap") as other:
        assert other.exec("echo on").text == "on\n"
        deadline = time.monotonic() + 10
        while host_processes("sleep 9753.1") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not host_processes("sleep 9753.1")
        mine = f"agentgym-{owners.owner_name(os.getpid())}."
        left = [path for folder in set(cgroups.find().parents.values()) for path in folder.glob(f"{mine}*")]
        assert {path.name for path in left} <= {f"{mine}{other._tree}"}  # type: ignore[attr-defined]


def test_what_works_here_is_said() -> None:
    found = {item.name: item for item in (*diagnose(), *diagnose_host())}
    assert set(found) == {"bubblewrap", "docker", "subprocess", "overlay", "control groups", "seccomp"}
    assert all(item.ok or item.fix for item in found.values())
    assert found["bubblewrap"].ok and "isolates nothing" in found["subprocess"].detail


def test_reapers_are_asked_for_by_name() -> None:
    with pytest.raises(UnknownNameError, match="bubblewrap"):
        remove_stale("bubblewarp")
    assert isinstance(remove_stale("subprocess"), list)


@pytest.mark.parametrize("name", BACKENDS_HERE)
def test_a_forked_process_can_neither_use_nor_close_its_parents_sandbox(name: str) -> None:
    need(name)
    with quiet(name, SMALL) as sandbox:
        sandbox.write_file("f", "kept")
        pid = os.fork()
        if pid == 0:
            try:
                sandbox.exec(["true"])
            except Fault:
                sandbox.close()
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert sandbox.read_file("f") == b"kept"


def test_docker_output_that_comes_with_the_headers_is_not_lost() -> None:
    """A quick command's output may lie in the HTTP reader's buffer when the raw socket is taken over."""
    ours, theirs = socket.socketpair()
    theirs.sendall(struct.pack(">BxxxI", 1, 5) + b"early" + struct.pack(">BxxxI", 2, 3) + b"er")
    raw = ours.makefile("rb", buffering=0)
    reader = io.BufferedReader(raw)  # type: ignore[type-var]
    reader.peek()
    raw._response = types.SimpleNamespace(
        raw=types.SimpleNamespace(_fp=types.SimpleNamespace(fp=reader)), close=reader.close
    )  # type: ignore[attr-defined]
    raw._sock = ours  # type: ignore[attr-defined]
    with Exchange(raw, 100) as exchange:
        theirs.sendall(b"r")
        theirs.close()
        assert exchange.run(b"", time.monotonic() + 5)
        assert (exchange.out.value(), exchange.err.value()) == (b"early", b"err")
    reader.close()


def test_the_suite_names_what_is_broken() -> None:
    from agentgym.testing import ConformanceError

    class Leaky(bubblewrap.BubblewrapSandbox):
        """Passes the host's environment on."""

        def _run(self, argv, stdin, env, cwd, limits):  # type: ignore[no-untyped-def]
            return super()._run(argv, stdin, {**os.environ, **env}, cwd, limits)

    with pytest.raises(ConformanceError, match="host_environment"):
        check_sandbox(Leaky, only=("host_environment", "commands"))
    results = check_sandbox(bubblewrap.BubblewrapSandbox, only=("commands",))
    assert [result.status for result in results] == ["passed"]
