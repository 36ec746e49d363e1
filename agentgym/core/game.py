"""What an author of an environment writes: a ``Game``."""

from __future__ import annotations

import copy
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from agentgym.core.actions import Action, Tool
from agentgym.core.errors import Fault, UnsupportedError
from agentgym.core.formats import ActionFormat
from agentgym.core.policy import Layout
from agentgym.core.rewards import Component, RewardScheme
from agentgym.core.tasks import Task, TaskSource


@dataclass(frozen=True, slots=True)
class Observation:
    """What the agent reads."""

    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one action led to."""

    observation: str
    components: Mapping[str, float] = field(default_factory=dict)
    """Raw reward components of this action. A component that was not measured is absent, which differs from 0."""
    terminal: bool = False
    """The episode is over because the task is (not because of a limit)."""
    executable: bool = True
    """Whether the action could be done in this state. A command that ran and failed is executable. When False, the
    action must have changed nothing: neither ``state`` nor ``rng``."""
    success: bool | None = None
    """Whether the task is solved; None while that is unknown."""
    tags: tuple[str, ...] = ()
    """What kind of turn this was (``plan``, ``explore``, ``answer``), for methods that ask."""
    fault: Fault | None = None
    """A failure outside the agent that the episode goes on from: told in the observation, kept in the record."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a game can and can't do, said before anyone asks for it."""

    snapshot: bool = True
    fork: bool = True
    lost: tuple[str, ...] = ()
    """What snapshots and forks don't hold, in words; empty when they are exact."""
    replay: Literal["bytes", "normalised"] = "bytes"
    """``normalised``: durations, addresses and process ids of real programs are replaced before comparing."""
    blocking: bool | Literal["process"] = False
    """``start`` and ``act`` may wait for a process, a disk or a network, so that rollouts run them in a thread.
    ``"process"``: they may also crash, hold the interpreter or never return, so that each environment of a rollout gets
    a process of its own, which can be killed."""


class Expert(Protocol):
    """Solves any task of a game, looking at its state. Constructed with the game, before or in mid-episode."""

    def act(self) -> Action:
        """The next action of a shortest or near-shortest solution from the current state."""
        ...

    def mistake(self, rng: np.random.Generator) -> Action:
        """A plausible wrong action from the current state, from which ``act`` can recover or fail."""
        ...


Cheat = Callable[[str, np.random.Generator], str]
"""``(observation, rng) -> message``: one episode of going for reward without doing the task."""


class Game(ABC):
    """The rules of an environment: tasks, actions, what they lead to, and raw rewards.

    Everything that changes during an episode lives in ``self.state`` (picklable) and ``self.rng``. Everything else on
    the instance is the immutable world, which forks share. ``AgentEnv`` does the rest: parsing, schemes, budgets,
    snapshots, info.
    """

    components: ClassVar[tuple[Component, ...]] = ()
    """Every reward component that ``act`` may emit. ``FORMAT``, ``EXECUTABLE`` and ``TURN_COST`` are filled in."""
    schemes: ClassVar[Mapping[str, RewardScheme]] = {}
    """At least ``gated`` (the default), ``outcome`` and ``dense``; derived from the components when empty."""
    tools: tuple[Tool, ...] = ()
    """What the agent can do."""
    formats: ClassVar[tuple[str | ActionFormat, ...]] = ("bracket", "json", "xml", "react")
    """Grammars that the game takes: registered names or formats of its own. The first is its native one."""
    layout: ClassVar[Layout] = "chat"
    capabilities: ClassVar[Capabilities] = Capabilities()
    max_turns: ClassVar[int] = 20
    max_tool_calls: ClassVar[int] = 100
    """Over an episode; a message may hold several calls."""
    max_observation: ClassVar[int] = 16_384
    """Characters of one observation; longer ones are cut, with a note."""
    expert: ClassVar[str] = ""
    """``"module:attr"`` of an ``Expert`` class."""
    cheats: ClassVar[Mapping[str, str]] = {}
    """Name -> ``"module:attr"`` of a function without arguments that makes a ``Cheat`` for one episode."""
    blind_guess: ClassVar[float] = 0.0
    """Success rate of an agent that answers without looking; cheats may reach it."""
    known_exploits: ClassVar[Mapping[str, str]] = {}
    """Cheats that pay, kept for compatibility with someone else's environment: name -> what they exploit."""

    rng: np.random.Generator
    """All randomness of the episode. Set by ``AgentEnv`` before ``start``."""
    state: Any = None
    """All that changes during the episode."""

    @property
    def instructions(self) -> str:
        """What the agent is told about its job, before the grammar of its actions."""
        return ""

    @abstractmethod
    def tasks(self) -> TaskSource:
        """Where tasks come from."""

    @abstractmethod
    def start(self, task: Task, rng: np.random.Generator) -> Observation:
        """Sets ``self.state`` to the beginning of ``task`` and returns what the agent reads first."""

    @abstractmethod
    def act(self, action: Action) -> Outcome:
        """Does one well-formed action: its tool exists and its arguments fit the tool's schema."""

    @abstractmethod
    def state_key(self) -> str:
        """Digest of the state without its history: equal keys mean the same choices lie ahead (GiGPO's anchor)."""

    def reject(self, problem: str) -> str:
        """What the agent reads after a message that could not be understood. Must change nothing."""
        return f"Invalid action. {problem}"

    def comparable(self, text: str) -> str:
        """``text`` without what differs between replays (durations, addresses). For ``replay="normalised"`` only."""
        return text

    def save(self) -> Any:
        """The state as something picklable that later changes don't reach."""
        return pickle.dumps(self.state, protocol=pickle.HIGHEST_PROTOCOL)

    def load(self, saved: Any) -> None:
        """Restores what ``save`` gave, in this or another instance made with equal arguments."""
        self.state = pickle.loads(saved)

    def clone(self) -> Game:
        """Another instance over the same world, without an episode."""
        other = copy.copy(self)
        other.state = None
        return other

    def render(self) -> str:
        """The current state as text for a person."""
        return ""

    def screenshot(self) -> bytes:
        """What a person would see, as a PNG. Only games with pictures have it: see ``has_pictures``."""
        raise UnsupportedError(f"{type(self).__name__} has no pictures.")

    @property
    def has_pictures(self) -> bool:
        """Whether there is a ``screenshot``."""
        return type(self).screenshot is not Game.screenshot

    def close(self) -> None:  # noqa: B027 - most games hold nothing
        """Frees what the game holds. Safe to call twice."""


def observations_text(replies: Sequence[str]) -> str:
    """Several replies of one turn as one observation."""
    return "\n\n".join(replies)
