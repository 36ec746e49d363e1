"""Shared by all tests: a small complete game, importable in child processes too."""

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
