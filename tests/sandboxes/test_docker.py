"""What only the Docker backend has. Not part of `make test`: it needs a daemon."""

import os
import time
from dataclasses import replace

import pytest

from agentgym.core.errors import ConfigError, UnsupportedError
from agentgym.sandboxes import SandboxSpec, docker, images, open_sandbox
from agentgym.sandboxes.docker_daemon import owner
from agentgym.testing.sandboxes import SMALL
from tests.sandboxes.conftest import ALL, need

if ALL:

    def own_containers() -> set[str]:
        """Others may use the same daemon."""
        wanted = {"label": f"{docker.LABEL}={owner()}"}
        return {item["Id"] for item in docker.connect().containers(all=True, filters=wanted)}

    @pytest.fixture(autouse=True)
    def docker_works() -> None:
        need("docker")

    def test_warm_containers_are_taken_once_and_replaced() -> None:
        before = own_containers()
        with docker.keep_warm(SMALL, 2) as pool:
            assert pool.wait() and pool.ready == 2
            waiting = own_containers() - before
            named = replace(SMALL, env=(("A", "1"),))
            with open_sandbox(named, "docker") as first, open_sandbox(replace(SMALL, image="host"), "docker") as second:
                assert {first._id, second._id} == waiting  # type: ignore[attr-defined]
                assert first.exec("echo $A").text == "1\n" and second.exec("echo $A").text == "\n"
                first.write_file("f", "x")
                with first.fork() as child:
                    assert child.read_file("f") == b"x"
            with open_sandbox(SandboxSpec(), "docker") as other:
                assert other._id not in waiting, "a container of other limits was handed out"  # type: ignore[attr-defined]
            assert pool.wait() and pool.ready == 2
        for _ in range(100):
            left = own_containers() - before
            if not left:
                break
            time.sleep(0.05)
        assert not left

    def test_writable_images_are_committed() -> None:
        spec = replace(SMALL, writable_image=True)
        with open_sandbox(spec, "docker") as sandbox:
            assert sandbox.exec("echo one > /etc/agentgym-test").ok
            before = sandbox.snapshot()
            sandbox.exec("echo two > /etc/agentgym-test")
            with sandbox.fork() as child, sandbox.fork(before) as old:
                sandbox.exec("echo three > /etc/agentgym-test")
                assert (child.read_file("/etc/agentgym-test"), old.read_file("/etc/agentgym-test")) == (
                    b"two\n",
                    b"one\n",
                )
            sandbox.restore(before)
            assert sandbox.read_file("/etc/agentgym-test") == b"one\n"
            assert "disk" not in sandbox.enforces

    def test_what_docker_cannot_do_is_said_when_it_is_opened() -> None:
        with pytest.raises(UnsupportedError, match="docker pull no/such:image"):
            open_sandbox(SandboxSpec(image="no/such:image"), "docker")
        with pytest.raises(UnsupportedError, match="bubblewrap"):
            open_sandbox(SandboxSpec(network=("a.example:1",)), "docker")
        count = len(own_containers())
        with pytest.raises(ConfigError, match="mounts"):
            open_sandbox(SandboxSpec(mounts=(("/no/such/folder", "/x"),)), "docker")
        assert len(own_containers()) == count
        assert not os.path.exists("/no/such/folder")  # noqa: PTH110

    def test_the_base_image_is_built_once() -> None:
        found = images.there()
        assert found is not None and images.build() == found
        assert images.there("agentgym/no-such:image") is None
