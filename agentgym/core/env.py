"""``AgentEnv``: a Game as a Gymnasium environment.

Parsing, rewards, budgets, snapshots and info are here, in one place and the same for every game.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NotRequired, SupportsFloat, TypedDict, cast, final

import gymnasium
import numpy as np
import numpy.typing as npt

from agentgym.core.actions import Tool
from agentgym.core.arguments import at_least_one, make_game, pick_format, pick_scheme
from agentgym.core.errors import (
    FAILURES,
    AgentGymError,
    Boundary,
    ConfigError,
    Fault,
    ResetNeededError,
    UnsupportedError,
    unknown_name,
)
from agentgym.core.formats import Parsed
from agentgym.core.game import Expert, Game, observations_text
from agentgym.core.ledger import Ledger
from agentgym.core.policy import Layout
from agentgym.core.registry import load, missing_extra
from agentgym.core.rewards import End, RewardScheme, default_schemes
from agentgym.core.seeding import derive_rng
from agentgym.core.tasks import SPLITS, Task, check_split
from agentgym.core.text import Message, TextSpace, TruncatedMessage
from agentgym.core.turn import NATIVE_COMPONENTS, Turn, clip_observation

MAX_MESSAGE: Final = 1 << 24
"""Characters of the action space. Longer messages are read all the same; parsers cope."""


class Info(TypedDict):
    """Diagnostics of a turn; never control. What is unknown is an absent key."""

    task_id: str
    turn: int
    """Turns played so far: 0 after reset."""
    state_key: str
    action: NotRequired[str]
    """The parsed calls, as ``name(argument='...')``."""
    action_valid: NotRequired[bool]
    """The message was understood."""
    action_executable: NotRequired[bool]
    """Everything in it could be done."""
    rewards: NotRequired[dict[str, float]]
    """Raw components, before the scheme."""
    tool_calls: NotRequired[list[dict[str, Any]]]
    tags: NotRequired[list[str]]
    success: NotRequired[bool]
    truncation_reason: NotRequired[str]
    message_truncated: NotRequired[bool]
    error: NotRequired[str]
    """Why the message was not understood."""


Step = tuple[str, SupportsFloat, bool, bool, dict[str, Any]]


@dataclass(frozen=True)
class Snapshot:
    """An episode at one moment. Picklable; restorable into any environment made with equal arguments."""

    spec: str
    """Which environment it belongs to."""
    task: Task
    seed: int
    game: Any
    """What ``Game.save`` gave."""
    rng: Mapping[str, Any]
    ledger: bytes
    turn: int
    calls: int
    running: bool
    messages: tuple[Message, ...]
    info: Mapping[str, Any]

    def close(self) -> None:
        """Frees what the snapshot holds, for games whose state is more than memory."""
        close = getattr(self.game, "close", None)
        if close is not None:
            close()


@final
class AgentEnv(gymnasium.Env[str, str]):
    """Plays a game: text in, text out.

    Args:
        game: The game, or ``"module:attribute"`` of its class.
        scheme: Which reward scheme pays: a name that the game declares, a ``RewardScheme``, or one as a dict.
        action_format: Grammar of messages: a name, or a format of the game's own. None: the game's native one.
        split: Which split ``reset`` draws from.
        max_turns: Turns before truncation. None: the game's default.
        max_tool_calls: Calls over the episode before truncation. None: the game's default.
        progress: Training progress in [0, 1] for scheduled schemes; ``reset(options={"progress": ...})`` overrides it.
        render_mode: ``"ansi"`` (text), ``"rgb_array"`` (for games with pictures) or None.
        **kwargs: Arguments of the game.

    ``reset(seed=..., options={"task_id": ...})``: the seed draws the task unless one is named, and all randomness
    inside the episode. Equal task and seed make a group.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 1}

    def __init__(
        self,
        game: str | Game,
        *,
        scheme: str | RewardScheme | Mapping[str, Any] = "gated",
        action_format: str | None = None,
        split: str = "train",
        max_turns: int | None = None,
        max_tool_calls: int | None = None,
        progress: float = 0.0,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.game: Game = make_game(game, kwargs) if isinstance(game, str) else game
        kind = type(self.game)
        self.schemes: Mapping[str, RewardScheme] = kind.schemes or default_schemes(kind.components)
        self.scheme = pick_scheme(scheme, self.schemes, kind)
        self.action_format = pick_format(action_format, kind)
        self.split = check_split(split, self.game.tasks().splits)
        self.max_turns = at_least_one("max_turns", max_turns, kind.max_turns)
        self.max_tool_calls = at_least_one("max_tool_calls", max_tool_calls, kind.max_tool_calls)
        self.progress = progress
        modes = ["ansi", "rgb_array"] if self.game.has_pictures else ["ansi"]
        self.metadata = {**type(self).metadata, "render_modes": modes}
        if render_mode == "rgb_array" and render_mode not in modes:
            raise ConfigError(
                f"{kind.__name__} has no pictures: render_mode must be 'ansi' or None. Web environments have some with"
                " backend='chromium'."
            )
        if render_mode not in (None, *modes):
            raise ConfigError(f"render_mode must be 'ansi', 'rgb_array' or None, got {render_mode!r}.")
        self.render_mode = render_mode
        self.observation_space = TextSpace(kind.max_observation)
        self.action_space = TextSpace(MAX_MESSAGE)
        self._tools = {tool.name: tool for tool in self.game.tools}
        self._native = tuple(component.name for component in NATIVE_COMPONENTS if component in kind.components)
        self._spec_key = f"{kind.__module__}:{kind.__qualname__} {sorted(kwargs.items())!r}"
        self._expert: Expert | None = None
        self._task: Task | None = None
        self._ledger = Ledger(self.scheme)
        self._seed = 0
        self._turn = 0
        self._calls = 0
        self._running = False
        self._messages: tuple[Message, ...] = ()
        self._info: dict[str, Any] = {}

    # ------------------------------------------------------------------ what the agent is told

    @property
    def system_prompt(self) -> str:
        """The job, and the grammar of actions. Structured formats show their tools through ``tools`` instead."""
        grammar = "" if self.action_format.structured else self.action_format.instructions(self._tools)
        return "\n\n".join(part for part in (self.game.instructions, grammar) if part)

    @property
    def tools(self) -> list[dict[str, Any]]:
        """Name, description and JSON schema of every tool, in OpenAI's form."""
        return [tool.schema() for tool in self._tools.values()]

    @property
    def tools_by_name(self) -> Mapping[str, Tool]:
        """The tools themselves."""
        return self._tools

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings after which a message is over. They stay in the message."""
        return self.action_format.stop(self._tools)

    @property
    def layout(self) -> Layout:
        """How a conversation with this game is laid out."""
        return type(self.game).layout

    @property
    def messages(self) -> tuple[Message, ...]:
        """This turn's reply as chat messages: one, or one a call for parallel structured calls."""
        return self._messages

    # ------------------------------------------------------------------ what has happened

    @property
    def task(self) -> Task:
        """The task being played, with its reference."""
        if self._task is None:
            raise ResetNeededError("No task yet: call reset() first.")
        return self._task

    @property
    def episode_seed(self) -> int:
        """The seed of the running episode."""
        return self._seed

    @property
    def ledger(self) -> Ledger:
        """The books of the running episode."""
        return self._ledger

    @property
    def running(self) -> bool:
        """Whether ``step`` may be called."""
        return self._running

    # ------------------------------------------------------------------ the episode

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: Draws the task and everything random in the episode. None: the next one of this environment.
            options: ``task_id`` (play this task), ``split`` (draw from it), ``progress`` (for scheduled schemes).

        Raises:
            ConfigError: An unknown option.
            UnknownNameError: No such task or split.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        task_id, split = options.pop("task_id", None), options.pop("split", self.split)
        progress = float(options.pop("progress", self.progress))
        if options:
            known = ("task_id", "split", "progress")
            key = next(iter(options))
            raise ConfigError(str(unknown_name("reset option", str(key), known)))
        self._seed = int(self.np_random.integers(1 << 62)) if seed is None else int(seed)
        source = self.game.tasks()
        if task_id is not None:
            self._task = source.get(task_id)
        else:
            self._task = source.draw(check_split(split, source.splits), derive_rng(self._seed, "task"))
        self._ledger = Ledger(self.scheme, progress)
        self._turn = self._calls = 0
        self._running = True
        self._expert = None
        self.game.rng = derive_rng(self._seed, "episode")
        try:
            text = self.game.start(self._task, self.game.rng).text
        except FAILURES as error:
            raise self._fault(error) from error
        text = clip_observation(text, type(self.game).max_observation)
        self._messages = ({"role": "user", "content": text},)
        self._info = {"task_id": self._task.task_id, "turn": 0, "state_key": self.game.state_key()}
        return text, dict(self._info)

    def step(self, action: str) -> Step:
        """Plays one turn.

        Args:
            action: The model's raw message. A ``TruncatedMessage`` flags that a length limit cut it.

        Returns:
            Observation, the reward that the scheme pays now, terminated, truncated, info.

        Raises:
            ResetNeededError: No running episode.
            Fault: The game itself failed; the episode is over and unscored.
        """
        if not self._running:
            raise ResetNeededError("The episode is over or was never begun: call reset() before step().")
        if not isinstance(action, str):
            raise TypeError(f"A message must be a str, got {type(action).__name__}.")
        try:
            parsed = self.action_format.parse(action, self._tools)
        except FAILURES as error:
            raise self._fault(error, Boundary.PARSER) from error
        try:
            turn = self._play(parsed)
        except FAILURES as error:
            raise self._fault(error) from error
        self._turn += 1
        truncation = ""
        if not turn.terminal:
            if self._turn >= self.max_turns:
                truncation = "max_turns"
            elif self._calls >= self.max_tool_calls:
                truncation = "max_tool_calls"
        for name in self._native:
            turn.components[name] = turn.native(name)
        end: End | None = "terminated" if turn.terminal else "truncated" if truncation else None
        try:
            reward = self._ledger.add(turn.components, end)
        except AgentGymError as error:
            raise self._fault(error) from error
        self._running = end is None
        text = self._reply(turn)
        try:
            info = self._info = self._describe(parsed, turn, truncation)
        except Exception as error:
            raise self._fault(error) from error
        if isinstance(action, TruncatedMessage):
            info["message_truncated"] = True
        return text, reward, turn.terminal, bool(truncation), dict(info)

    def truncate(self, reason: str) -> Step:
        """Closes the running episode from outside: a token, context or time limit, or a shutdown.

        Returns the five-tuple of a last step without a message; its reward is what closing still pays (a renorm or a
        floor), and its observation is the last one.
        """
        if not self._running:
            raise ResetNeededError("There is no running episode to truncate.")
        reward = self._ledger.close("truncated")
        self._running = False
        self._info = {**self._info, "truncation_reason": reason}
        return self._observation(), reward, False, True, dict(self._info)

    def render(self) -> Any:
        """The current state: text with ``ansi``, uint8[height, width, 3] with ``rgb_array``, None without a mode."""
        if self.render_mode == "rgb_array":
            return pixels(self.game.screenshot())
        return self.game.render() if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Frees what the game holds."""
        self._running = False
        self.game.close()

    # ------------------------------------------------------------------ snapshots

    def snapshot(self) -> Snapshot:
        """The episode as it stands."""
        if self._task is None:
            raise ResetNeededError("There is nothing to snapshot: call reset() first.")
        if not type(self.game).capabilities.snapshot:
            raise UnsupportedError(f"{self._name} can't be snapshotted (see its capabilities).")
        return Snapshot(
            spec=self._spec_key,
            task=self._task,
            seed=self._seed,
            game=self.game.save(),
            rng=self.game.rng.bit_generator.state,
            ledger=_freeze(self._ledger),
            turn=self._turn,
            calls=self._calls,
            running=self._running,
            messages=self._messages,
            info=dict(self._info),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back to ``snapshot``, which an environment made with equal arguments gave."""
        if snapshot.spec != self._spec_key:
            raise ConfigError(
                "The snapshot belongs to another environment.\n"
                f"  snapshot: {snapshot.spec}\n  this one: {self._spec_key}"
            )
        self._task, self._seed = snapshot.task, snapshot.seed
        self.game.rng = derive_rng(snapshot.seed, "episode")
        self.game.rng.bit_generator.state = snapshot.rng
        self.game.load(snapshot.game)
        self._ledger = _thaw(snapshot.ledger)
        self.scheme = self._ledger.scheme
        self._turn, self._calls, self._running = snapshot.turn, snapshot.calls, snapshot.running
        self._messages, self._info = snapshot.messages, dict(snapshot.info)
        self._expert = None

    def fork(self, *, seed: int | None = None) -> AgentEnv:
        """An independent environment in the same state.

        Without a seed the fork copies the random state: equal actions lead to equal worlds. With one it diverges
        wherever the game draws.
        """
        if not type(self.game).capabilities.fork:
            raise UnsupportedError(f"{self._name} can't be forked (see its capabilities).")
        other = AgentEnv(
            self.game.clone(),
            scheme=self.scheme,
            split=self.split,
            max_turns=self.max_turns,
            max_tool_calls=self.max_tool_calls,
            progress=self.progress,
            render_mode=self.render_mode,
        )
        other.spec = self.spec
        other.action_format = self.action_format
        other._spec_key = self._spec_key
        other.restore(self.snapshot())
        if seed is not None:
            other.game.rng = derive_rng(self._seed, "fork", self._turn, seed)
        return other

    # ------------------------------------------------------------------ experts

    def expert_message(self, *, mistake_rate: float = 0.0, rng: np.random.Generator | None = None) -> str:
        """The message that the game's expert would write now, or with ``mistake_rate`` a plausible wrong one."""
        if not self._running:
            raise ResetNeededError("The expert needs a running episode: call reset() first.")
        if not type(self.game).expert:
            raise UnsupportedError(f"{self._name} has no expert.")
        if self._expert is None:
            self._expert = cast(Expert, load(type(self.game).expert)(self.game))
        if mistake_rate and rng is None:
            raise ConfigError("mistake_rate needs an rng to draw the mistakes from.")
        wrong = rng is not None and mistake_rate > 0 and rng.random() < mistake_rate
        action = self._expert.mistake(rng) if wrong and rng is not None else self._expert.act()
        return self.action_format.render([action], self._tools)

    # ------------------------------------------------------------------ parts of a turn

    @property
    def _name(self) -> str:
        return self.spec.id if self.spec is not None else type(self.game).__name__

    def _play(self, parsed: Parsed) -> Turn:
        """Does the calls of a message in order, until one ends the episode or the budget of calls is spent."""
        turn = Turn(valid=not parsed.error)
        if parsed.error:
            turn.problem = parsed.error
            turn.replies.append((None, self.game.reject(parsed.error)))
            return turn
        for action in parsed.actions:
            if self._calls >= self.max_tool_calls:
                turn.replies.append((action, "The budget of tool calls is spent; this call was not made."))
                continue
            problem = self._tools[action.name].problem(action.arguments)
            if problem:
                turn.valid, turn.problem = False, problem
                turn.replies.append((action, self.game.reject(problem)))
                continue
            self._calls += 1
            turn.take(action, self.game.act(action))
            if turn.terminal:
                break
        return turn

    def _reply(self, turn: Turn) -> str:
        """Sets this turn's messages and returns their rendering."""
        limit = type(self.game).max_observation
        if self.action_format.structured and any(action is not None for action, _ in turn.replies):
            share = max(limit // len(turn.replies) - 2, 1)
            self._messages = tuple(
                {
                    "role": "tool",
                    "tool_call_id": action.call_id if action else "",
                    "content": clip_observation(text, share),
                }
                for action, text in turn.replies
            )
        else:
            text = observations_text([text for _, text in turn.replies])
            self._messages = ({"role": "user", "content": clip_observation(text, limit)},)
        return self._observation()

    def _observation(self) -> str:
        return observations_text([message["content"] for message in self._messages])

    def _describe(self, parsed: Parsed, turn: Turn, truncation: str) -> dict[str, Any]:
        info: dict[str, Any] = {
            "task_id": self.task.task_id,
            "turn": self._turn,
            "state_key": self.game.state_key(),
            "action": "; ".join(map(str, parsed.actions)),
            "action_valid": turn.valid,
            "action_executable": turn.valid and turn.executable,
            "rewards": turn.components,
            "tool_calls": [action.to_dict() for action in parsed.actions],
        }
        if turn.tags:
            info["tags"] = turn.tags
        if turn.faults:
            info["faults"] = [(str(fault.boundary), fault.message) for fault in turn.faults]
        if turn.success is not None:
            info["success"] = turn.success
        if turn.problem:
            info["error"] = turn.problem
        if truncation:
            info["truncation_reason"] = truncation
        return info

    def _fault(self, error: BaseException, boundary: Boundary = Boundary.ENVIRONMENT) -> Fault:
        """Ends the episode unscored and puts the failure to a boundary."""
        self._running = False
        self._ledger.fault()
        if isinstance(error, Fault):
            return error
        return Fault(boundary, f"{self._name} failed: {type(error).__name__}: {error}")


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    """uint8[height, width, 3] of a PNG.

    Raises:
        MissingExtraError: Pillow isn't installed.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise missing_extra(error, needed_by="render_mode='rgb_array'") from error
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _freeze(ledger: Ledger) -> bytes:
    return pickle.dumps(ledger, protocol=pickle.HIGHEST_PROTOCOL)


def _thaw(data: bytes) -> Ledger:
    return cast(Ledger, pickle.loads(data))


__all__ = ["SPLITS", "AgentEnv", "Info", "Snapshot", "Step"]
