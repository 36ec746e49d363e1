"""What ends processes can't reach one that it didn't start. Breaks it on purpose where it could go wrong."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from agentgym.sandboxes import SandboxSpec, docker, plain, remove_stale
from agentgym.sandboxes.keeper import cgroups, owners
from agentgym.testing.sandboxes import SandboxSubject, check_sandbox
from agentgym.testing.sandboxes.subject import bystander
from tests.sandboxes.conftest import quiet

ROOT = os.geteuid() == 0


@pytest.fixture
def gone() -> str:
    """The name of an owner that has ended."""
    with subprocess.Popen(["sleep", "60"]) as child:
        name = owners.owner_name(child.pid)
        child.kill()
    return name


def test_numbers_that_mean_something_else_to_kill_are_refused() -> None:
    for pid in (0, 1, -1, os.getpid()):
        assert not owners.kill_if(pid, lambda pid: True)


def test_a_number_that_passed_to_another_process_is_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "60"]) as first:
        held = os.pidfd_open(first.pid)
        first.kill()
    monkeypatch.setattr(os, "pidfd_open", lambda pid: held)  # as if `first` had had the bystander's number until now
    with bystander("sleep") as innocent:
        assert not owners.kill_if(innocent.pid, lambda pid: True)
        assert innocent.poll() is None


def test_what_is_ours_is_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert not owners.kill_if(child.pid, lambda pid: False)
        assert child.poll() is None
        assert owners.kill_if(child.pid, lambda pid: True)
        assert child.wait(10) == -9


def test_only_groups_that_we_named_are_removed(tmp_path: Path, gone: str, innocents) -> None:
    names = [
        f"agentgym-{gone}.7",
        f"agentgym-{owners.owner_name(os.getpid())}.7",
        "agentgym-web",
        "agentgym-1.2-3",
        f"agentgym-{gone}",
    ]
    for name in names:
        (tmp_path / name).mkdir()
    where = cgroups.Hierarchies(1, {"pids": tmp_path, "memory": tmp_path})
    assert [path.name for path in where.stale()] == names[:1]
    assert cgroups.remove(tmp_path / names[0]) and not (tmp_path / names[0]).exists()
    with pytest.raises(ValueError, match="no control group of a sandbox"):
        cgroups.remove(tmp_path / "agentgym-web")


def test_a_stale_group_ends_with_its_processes(gone: str, innocents) -> None:
    parents = cgroups.find().parents
    if not parents:
        return  # nothing to reap where no group can be made
    path = parents["pids"] / f"agentgym-{gone}.7"
    path.mkdir()
    with subprocess.Popen(["sleep", "60"]) as left:
        (path / "cgroup.procs").write_text(str(left.pid))
        assert str(path) in remove_stale("bubblewrap")
        assert left.wait(10) == -9
    assert not path.exists()


def test_only_folders_that_we_named_are_removed(tmp_path: Path, gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = [
        "agentgym-plain-notes", f"agentgym-plain-{gone}", f"agentgym-plain-{owners.owner_name(os.getpid())}.abcdefgh"
    ]  # fmt: skip
    for name in (*kept, f"agentgym-plain-{gone}.abcdefgh"):
        (tmp_path / name).mkdir()
    (tmp_path / f"agentgym-plain-{gone}.link").symlink_to(tmp_path / kept[0])
    assert plain.remove_stale() == [f"agentgym-plain-{gone}.abcdefgh"]
    assert all((tmp_path / name).is_dir() for name in kept)


def test_killing_everything_in_a_container_kills_nothing_out_here() -> None:
    """The script that Docker's backend runs in a container, run where process 1 is not the container's."""
    user = owners.spare_users()[-1] if ROOT else None
    with subprocess.Popen(["sleep", "60"], user=user, env={}) as innocent:
        if ROOT:  # as another user it would end everything of ours, were it wrong
            done = subprocess.run(["/bin/sh", "-c", docker._KILL_ALL], user=user, env={}, cwd="/", check=False)
            assert done.returncode == 0
        assert innocent.poll() is None
        innocent.kill()


def test_a_sandbox_without_a_process_namespace_is_not_attacked() -> None:
    """The suite runs hostile code. Where that could reach this machine it must not even start."""

    class Open(plain.PlainSandbox):
        isolated = True

    def make(spec: SandboxSpec):
        with pytest.warns(plain.UnisolatedWarning):
            return Open(spec)

    from agentgym.testing.conformance import ConformanceError

    dangerous = ("fork_bomb", "memory_bomb", "orphans", "late_writers", "killing_everything")
    with pytest.raises(ConformanceError) as caught:
        check_sandbox(make, only=dangerous)
    assert len(caught.value.results) == len(dangerous)
    for result in caught.value.results:
        assert result.status == "failed" and "not even tried" in result.detail, result


if ROOT:

    def test_kill_all_in_one_plain_sandbox_spares_the_others() -> None:
        subject = SandboxSubject(lambda spec: quiet("subprocess", spec))
        with subject.make() as first, subject.make() as second:
            assert first.exec(["id", "-u"]).text != second.exec(["id", "-u"]).text
            with subprocess.Popen(["sleep", "60"], user=int(second.exec(["id", "-u"]).text), env={}) as other:
                assert first.exec("kill -9 -1; echo on").text in ("on\n", "")
                assert other.poll() is None
                other.kill()
