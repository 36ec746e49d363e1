"""Gymnasium-style multi-turn environments for language-model agents.

Importing this package registers the environments with Gymnasium and loads nothing heavy.
"""

from agentgym.core.actions import Action, Tool, tool
from agentgym.core.env import AgentEnv, Info, Snapshot
from agentgym.core.errors import AgentGymError, Boundary, Fault
from agentgym.core.formats import FORMATS, ActionFormat, Parsed
from agentgym.core.game import Capabilities, Game, Observation, Outcome
from agentgym.core.ledger import Ledger, rescore
from agentgym.core.policy import BatchPolicy, Completion, Policy, Request, Sampling
from agentgym.core.registration import env_ids, make, register, register_entry_points
from agentgym.core.rewards import (
    EXECUTABLE,
    FORMAT,
    TURN_COST,
    Component,
    Condition,
    Floor,
    Gate,
    Level,
    Posterior,
    Renorm,
    RewardScheme,
    Schedule,
    accumulate,
    hierarchy,
)
from agentgym.core.tasks import Curriculum, GeneratedTasks, ListedTasks, Task, TaskSampler, TaskSource
from agentgym.core.text import Message, TextSpace, TruncatedMessage
from agentgym.core.version import __version__

from agentgym import environments as environments  # isort: skip - registers our ids, needs everything above

register_entry_points()

__all__ = [
    "EXECUTABLE",
    "FORMAT",
    "FORMATS",
    "TURN_COST",
    "Action",
    "ActionFormat",
    "AgentEnv",
    "AgentGymError",
    "BatchPolicy",
    "Boundary",
    "Capabilities",
    "Completion",
    "Component",
    "Condition",
    "Curriculum",
    "Fault",
    "Floor",
    "Game",
    "Gate",
    "GeneratedTasks",
    "Info",
    "Ledger",
    "Level",
    "ListedTasks",
    "Message",
    "Observation",
    "Outcome",
    "Parsed",
    "Policy",
    "Posterior",
    "Renorm",
    "Request",
    "RewardScheme",
    "Sampling",
    "Schedule",
    "Snapshot",
    "Task",
    "TaskSampler",
    "TaskSource",
    "TextSpace",
    "Tool",
    "TruncatedMessage",
    "__version__",
    "accumulate",
    "env_ids",
    "hierarchy",
    "make",
    "register",
    "register_entry_points",
    "rescore",
    "tool",
]
