"""The suite, run on sandboxes that are broken on purpose: each check must notice what it is there for."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from agentgym.sandboxes import SandboxSpec, plain
from agentgym.sandboxes.bubblewrap import BubblewrapSandbox
from agentgym.sandboxes.docker import DockerSandbox
from agentgym.sandboxes.shell import STATE
from agentgym.testing import ConformanceError
from agentgym.testing.sandboxes import BEHAVIOUR, ESCAPES, SandboxSubject, check_sandbox, leaks
from tests.sandboxes.conftest import ALL, need, quiet

BROKEN: dict[str, type[BubblewrapSandbox]] = {}
QUICK = (
    "commands",
    "open_descriptors",
    "forks",
    "host_environment",
    "network",
    "orphans",
    "system_calls",
    "writing_outside",
)
"""Those of `make test`; the rest in `make test-sandboxes`."""
ALLOW_ALL = bytes.fromhex("0600000000 00ff7f".replace(" ", ""))


@pytest.fixture(scope="module", autouse=True)
def bubblewrap_works() -> None:
    need("bubblewrap")


def breaks(*checks: str):
    def register(kind: type[BubblewrapSandbox]) -> type[BubblewrapSandbox]:
        BROKEN.update(dict.fromkeys(checks, kind))
        return kind

    return register


class Tampered(BubblewrapSandbox):
    """Changes each command on its way to the keeper, or what comes of it."""

    def __init__(self, spec=None, *, _chain=None):
        super().__init__(spec, _chain=_chain)
        keeper = self._keeper

        class Between:
            def __getattr__(self, name):
                return getattr(keeper, name)

            def run(_, command):
                return self.result(keeper.run(self.command(command)))

        self._keeper = Between()  # type: ignore[assignment]

    def command(self, command):
        return command

    def result(self, result):
        return result

    @staticmethod
    def without(command, *names):
        return replace(command, argv=[word for word in command.argv if word not in names])

    @staticmethod
    def limited(command, **limits):
        return replace(command, limits=replace(command.limits, **limits))


@breaks("commands")
class SwapsStreams(Tampered):
    def result(self, result):
        return replace(result, stdout=result.stderr, stderr=result.stdout)


@breaks("standard_input")
class CutsInput(Tampered):
    def command(self, command):
        return replace(command, stdin=command.stdin[:65536])


@breaks("odd_output")
class DecodesOutput(Tampered):
    def result(self, result):
        return replace(result, stdout=result.stdout.decode("utf-8", "replace").encode())


@breaks("environment_variables", "host_environment")
class PassesVariablesOn(Tampered):
    def _run(self, argv, stdin, env, cwd, limits):
        return super()._run(argv, stdin, {**os.environ, **env}, cwd, limits)


@breaks("working_directory")
class StaysPut(Tampered):
    def _run(self, argv, stdin, env, cwd, limits):
        return super()._run(argv, stdin, env, "/workspace", limits)


@breaks("wall_time")
class HidesTimeouts(Tampered):
    def result(self, result):
        return replace(result, timed_out=False)


@breaks("processor_time")
class GivesProcessorTime(Tampered):
    def command(self, command):
        return self.limited(command, cpu=1e6, wall=3.0)

    def result(self, result):
        return replace(result, timed_out=False)


@breaks("long_output")
class HidesCuts(Tampered):
    def result(self, result):
        return replace(result, truncated=False)


@breaks("files")
class ReadsText(Tampered):
    def read_file(self, path, max_bytes=1 << 24):
        return super().read_file(path, max_bytes).replace(b"\r", b"")


@breaks("transfers")
class LosesPermissions(Tampered):
    def unpack(self, archive, target="/workspace"):
        super().unpack(archive, target)
        self.exec("chmod -R a-x+X .", cwd=target)


@breaks("snapshots")
class NeverRestores(Tampered):
    def restore(self, snapshot):
        self._chain(snapshot)


@breaks("forks")
class SharesWithForks(Tampered):
    def fork(self, snapshot=None):
        child = super().fork(snapshot)
        child._folders, child._tree = self._folders, self._tree
        return child


@breaks("many_snapshots")
class KeepsThirtySnapshots(Tampered):
    def snapshot(self):
        return super().snapshot() if len(self._chains) < 30 else list(self._chains)[-1]


@breaks("shells")
class ForgetsTheShell(Tampered):
    def exec(self, command, **options):
        result = super().exec(command, **options)
        super().exec(["rm", "-f", STATE])
        return result


@breaks("closing")
class NeverCloses(Tampered):
    def close(self):
        pass


@breaks("side_by_side")
class SharesFiles(Tampered):
    first: list = []

    def __init__(self, spec=None, *, _chain=None):
        super().__init__(spec, _chain=_chain)
        self.first.append(self._folders)
        self._folders = self.first[0]

    def _close(self):
        pass


@breaks("fork_bomb")
class CountsNoProcesses(Tampered):
    def command(self, command):
        return self.limited(command, processes=4000)


@breaks("memory_bomb")
class GivesMemory(Tampered):
    def command(self, command):
        return self.limited(command, memory=8 << 30)


@breaks("disk_filler")
class GivesDisk(Tampered):
    def __init__(self, spec=None, *, _chain=None):
        spec = spec or SandboxSpec()
        super().__init__(replace(spec, limits=replace(spec.limits, disk=1 << 30, memory=2 << 30)), _chain=_chain)


@breaks("sparse_and_links")
class MakesLargeFiles(Tampered):
    def command(self, command):
        return self.limited(command, disk=1 << 50)


@breaks("orphans", "late_writers", "killing_everything")
class SharesProcesses(Tampered):
    def command(self, command):
        return self.without(command, "--unshare-pid")


@breaks("host_files")
class ShowsTheHost(Tampered):
    def command(self, command):
        place = command.argv.index("--chdir")
        return replace(command, argv=[*command.argv[:place], "--ro-bind", "/host", "/var", *command.argv[place:]])


@breaks("writing_outside")
class LeavesTheRootWritable(Tampered):
    def command(self, command):
        place = command.argv.index("--chdir") - 2
        assert command.argv[place : place + 2] == ["--remount-ro", "/"]
        return replace(command, argv=command.argv[:place] + command.argv[place + 2 :])


@breaks("network")
class SharesTheNetwork(Tampered):
    def command(self, command):
        return self.without(command, "--unshare-net")


@breaks("file_methods")
class ReadsOutHere(Tampered):
    def read_file(self, path, max_bytes=1 << 24):
        place = Path(path)
        return place.read_bytes() if place.is_file() else super().read_file(path, max_bytes)


@breaks("system_calls", "devices_and_proc")
class FiltersNothing(Tampered):
    def command(self, command):
        return replace(command, seccomp=ALLOW_ALL)

    def result(self, result):
        return replace(result, stdout=result.stdout.replace(b"Seccomp:\t2", b"Seccomp:\t0"))


@breaks("setuid_programs")
class HonoursSetuid(Tampered):
    """As if: in a namespace of one user there is no other to become."""

    def _run(self, argv, stdin, env, cwd, limits):
        result = super()._run(argv, stdin, env, cwd, limits)
        return replace(result, stdout=b"0\n") if "chmod 6755" in argv[-1] else result


@breaks("odd_names")
class ListsLines(Tampered):
    def list(self, path="/workspace", *, recursive=False):
        return [entry for entry in super().list(path, recursive=recursive) if "\n" not in entry.path]


@breaks("open_file_limit")
class OpensFiles(Tampered):
    def command(self, command):
        return self.limited(command, open_files=4096)


@breaks("shared_memory")
class KeepsSharedMemory(Tampered):
    def command(self, command):
        place = command.argv.index("--chdir")
        shared = self._folders[self._folders.index("/tmp") - 1]
        return replace(command, argv=[*command.argv[:place], "--bind", shared, "/dev/shm", *command.argv[place:]])


@breaks("open_descriptors")
class HandsOnAFile(Tampered):
    def _run(self, argv, stdin, env, cwd, limits):
        return super()._run(["/bin/bash", "-c", 'exec 7</etc; exec "$@"', "bash", *argv], stdin, env, cwd, limits)


@breaks("terminal")
class SaysThatAllIsWell(Tampered):
    def result(self, result):
        return replace(result, exit_code=0)


def test_every_check_has_a_sandbox_that_it_finds_out() -> None:
    checks = {check.__name__ for check in (*BEHAVIOUR, *ESCAPES)}
    assert checks == set(BROKEN)


@pytest.mark.parametrize("check", sorted(BROKEN) if ALL else QUICK)
def test_a_broken_sandbox_is_found_out(check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_sandbox(BROKEN[check], only=(check,))
    assert [result.name for result in caught.value.results if result.status == "failed"] == [check]


def test_what_is_left_behind_is_found_out() -> None:
    class LeavesFiles(Tampered):
        def _close(self) -> None:
            os.close(tempfile.mkstemp()[0])
            super()._close()

    class LeavesDescriptors(Tampered):
        held: list = []

        def _close(self) -> None:
            self.held.append(open(os.devnull))  # noqa: PTH123, SIM115
            super()._close()

    for kind, word in ((LeavesFiles, "tmp"), (LeavesDescriptors, "descriptors")):
        with pytest.raises(AssertionError, match=word):
            leaks.many_sandboxes(SandboxSubject(kind), 3)
    for file in LeavesDescriptors.held:
        file.close()


def test_a_reaper_that_does_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []
    monkeypatch.setattr(leaks, "remove_stale", ended.append)
    monkeypatch.setattr(leaks, "_PATIENCE", 1.0)

    def check() -> None:
        try:
            leaks.killed_parent(SandboxSubject(lambda spec: quiet("subprocess", spec)))
        finally:
            plain.remove_stale()

    with pytest.raises(AssertionError, match="Still running"):
        check()
    assert ended == ["subprocess"]


def test_a_class_that_another_process_cannot_open_is_no_failure() -> None:
    class Mine(BubblewrapSandbox):
        backend = "mine"

    results = check_sandbox(Mine, only=("killed_parent",))
    assert [result.status for result in results] == ["not applicable"]
    assert DockerSandbox.isolated
