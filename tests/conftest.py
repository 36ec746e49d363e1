"""Shared by all tests: a small complete game, importable in child processes too."""

import os
import sys
from pathlib import Path

import gymnasium
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import agentgym

TOY = "toy/Rooms-v0"
STOCHASTIC = "toy/Dice-v0"

for env_id, target in ((TOY, "toys:RoomsGame"), (STOCHASTIC, "toys:DiceGame")):
    if env_id not in gymnasium.registry:
        agentgym.register(env_id, target)


@pytest.fixture
def rooms() -> agentgym.AgentEnv:
    """The deterministic toy."""
    return agentgym.make(TOY)


@pytest.fixture
def dice() -> agentgym.AgentEnv:
    """The toy that draws in every turn."""
    return agentgym.make(STOCHASTIC)


def pytest_terminal_summary(terminalreporter):
    """Where nothing may be skipped, says what was."""
    if os.environ.get("AGENTGYM_NO_SKIPS"):
        for report in terminalreporter.stats.get("skipped", []):
            terminalreporter.write_line(f"skipped, which counts as a failure here: {report.nodeid} {report.longrepr}")


def pytest_sessionfinish(session, exitstatus):
    """In CI a skipped test is a failure: everything optional is installed there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if (
        os.environ.get("AGENTGYM_NO_SKIPS")
        and reporter is not None
        and reporter.stats.get("skipped")
        and not exitstatus
    ):
        session.exitstatus = 1
