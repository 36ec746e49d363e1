"""Every test here that runs code needs a sandbox that isolates."""

import os

import pytest

from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError
from agentgym.environments.swe import checkout
from agentgym.environments.swe.checkout import Checkouts
from agentgym.sandboxes import open_sandbox

if not os.environ.get("AGENTGYM_TEST_SANDBOXES"):
    # They take minutes, Docker or packages from the index: `make test-sandboxes`.
    collect_ignore = ["test_long.py", "test_images.py", "test_resume.py"]


@pytest.fixture(scope="session")
def checkouts():
    try:
        open_sandbox().close()
    except AgentGymError as error:
        pytest.skip(str(error))
    yield checkout.shared("auto")
    checkout.close_shared()


@pytest.fixture
def sandbox(checkouts: Checkouts):
    with open_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def env(checkouts: Checkouts):
    env = AgentEnv("agentgym.environments.swe.game:SWEGame")
    yield env
    env.close()
