"""Innocent processes of this machine, which every test here must leave alone; and the backends."""

import os
import secrets
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agentgym.core.errors import AgentGymError
from agentgym.sandboxes import BACKENDS, SandboxSpec, open_sandbox
from agentgym.sandboxes.keeper import cgroups
from agentgym.sandboxes.plain import UnisolatedWarning
from agentgym.testing.sandboxes import SandboxSubject
from agentgym.testing.sandboxes.subject import bystander

ALL = bool(os.environ.get("AGENTGYM_TEST_SANDBOXES"))
"""Docker too, and what takes minutes: `make test-sandboxes`."""
BACKENDS_HERE = ["bubblewrap", "docker", "subprocess"] if ALL else ["bubblewrap", "subprocess"]


@pytest.fixture(scope="session")
def innocents() -> Iterator[dict[str, object]]:
    """Processes that look like a sandbox's: by name, user, variables and control group."""
    with ExitStack() as stack:
        running = {
            "bwrap": stack.enter_context(bystander("bwrap")),
            "marked": stack.enter_context(bystander("bash", AGENTGYM_PLAIN="agentgym-plain-notes")),
            "marked as stale": stack.enter_context(bystander("sleep", AGENTGYM_PLAIN="agentgym-plain-9.9-9.abcdefgh")),
            "agentgym-keeper": stack.enter_context(bystander("agentgym-keeper")),
        }
        folder = cgroups.find().parents.get("pids")
        if folder is not None:
            group = folder / f"agentgym-web-{secrets.token_hex(4)}"
            group.mkdir()
            stack.callback(lambda: cgroup_rmdir(group))
            process = stack.enter_context(bystander("agentgym-worker"))
            (group / "cgroup.procs").write_text(str(process.pid))
            running["in a control group of a similar name"] = process
        yield running


def cgroup_rmdir(group: Path) -> None:
    for _ in range(1000):
        try:
            group.rmdir()
        except OSError:
            continue
        return


@pytest.fixture(autouse=True)
def nobody_is_hurt(innocents) -> Iterator[None]:
    yield
    dead = [name for name, process in innocents.items() if process.poll() is not None]
    assert not dead, f"killed although innocent: {dead}"


@pytest.fixture(scope="module", params=BACKENDS_HERE)
def subject(request: pytest.FixtureRequest) -> Iterator[SandboxSubject]:
    need(request.param)
    yield SandboxSubject(lambda spec: quiet(request.param, spec))


def need(name: str) -> None:
    """Skips with the reason where a backend doesn't work; fails where AGENTGYM_REQUIRE names it."""
    required = os.environ.get("AGENTGYM_REQUIRE", "").split(",")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnisolatedWarning)
        try:
            open_sandbox(backend=name).close()
        except (AgentGymError, ImportError) as error:
            if name in required:
                pytest.fail(f"AGENTGYM_REQUIRE names {name}, which does not work here: {error}")
            pytest.skip(str(error))


def quiet(name: str, spec: SandboxSpec):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnisolatedWarning)
        return BACKENDS.get(name)(spec)
