"""Every check of the shipped suite, on every backend that works here."""

from collections.abc import Callable

import pytest

from agentgym.testing.sandboxes import BEHAVIOUR, ESCAPES, LEAKS, SandboxSubject
from tests.sandboxes.conftest import ALL, BACKENDS_HERE, need, quiet

Check = Callable[[SandboxSubject], None]
ISOLATING = [name for name in BACKENDS_HERE if name != "subprocess"]


@pytest.mark.parametrize("check", BEHAVIOUR, ids=lambda check: check.__name__)
def test_behaviour(subject: SandboxSubject, check: Check) -> None:
    check(subject)


@pytest.mark.parametrize("check", ESCAPES, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ISOLATING)
def test_escape(name: str, check: Check) -> None:
    need(name)
    check(SandboxSubject(lambda spec: quiet(name, spec)))


@pytest.mark.parametrize("check", LEAKS, ids=lambda check: check.__name__)
def test_leak(subject: SandboxSubject, check: Check) -> None:
    if check.__name__ == "many_sandboxes" and not ALL:
        check(subject, 20)  # type: ignore[call-arg] - all 200 in `make test-sandboxes`
    else:
        check(subject)
