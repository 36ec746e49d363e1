"""Every check of the shipped suite, on every backend that works here."""

import os
import warnings
from collections.abc import Callable, Iterator

import pytest

from agentgym.core.errors import AgentGymError
from agentgym.sandboxes import BACKENDS, SandboxSpec, open_sandbox
from agentgym.sandboxes.plain import UnisolatedWarning
from agentgym.testing.sandboxes import BEHAVIOUR, ESCAPES, LEAKS, SandboxSubject

Check = Callable[[SandboxSubject], None]


@pytest.fixture(scope="module", params=["bubblewrap", "docker", "subprocess"])
def subject(request: pytest.FixtureRequest) -> Iterator[SandboxSubject]:
    name: str = request.param
    required = os.environ.get("AGENTGYM_REQUIRE", "").split(",")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnisolatedWarning)
        try:
            open_sandbox(backend=name).close()
        except (AgentGymError, ImportError) as error:
            if name in required:
                pytest.fail(f"AGENTGYM_REQUIRE names {name}, which does not work here: {error}")
            pytest.skip(str(error))
    yield SandboxSubject(lambda spec: _quiet(name, spec))


def _quiet(name: str, spec: SandboxSpec):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnisolatedWarning)
        return BACKENDS.get(name)(spec)


@pytest.mark.parametrize("check", BEHAVIOUR, ids=lambda check: check.__name__)
def test_behaviour(subject: SandboxSubject, check: Check) -> None:
    check(subject)


@pytest.mark.parametrize("check", ESCAPES, ids=lambda check: check.__name__)
def test_escape(subject: SandboxSubject, check: Check) -> None:
    with subject.make() as sandbox:
        if not sandbox.isolated:
            pytest.skip("this backend says that it does not isolate")
    check(subject)


@pytest.mark.parametrize("check", LEAKS, ids=lambda check: check.__name__)
def test_leak(subject: SandboxSubject, check: Check) -> None:
    with subject.make() as sandbox:
        name = sandbox.backend
    if check.__name__ == "many_sandboxes" and name == "docker":
        check(subject, 8)  # type: ignore[call-arg] - 0.5 s each; benchmarks/sandboxes.py does all 200
    else:
        check(subject)
