"""Ways through an episode that the conformance suite takes, and what it writes down on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agentgym.core.actions import Action, Tool
from agentgym.core.env import AgentEnv

JUNK: tuple[str, ...] = (
    "",
    " \n\t ",
    "hello",
    "[]",
    "nosuchtool[x]",
    "search[",
    "]][[",
    "\x00\x01\x02",
    "🙂漢字\u202e",
    "\ud800",
    '{"name": 3}',
    '{"name": "x", "arguments": "{"}',
    "[" * 5000,
    "<tool_call>{</tool_call>",
    "<a><b></a>",
    "'; DROP TABLE products; --",
    "%s %d {0} {x}",
)
"""Messages that no grammar of ours reads."""

HUGE: tuple[str, ...] = ("x" * 100_000, "🙂" * 50_000, "search[" + "a" * 1_000_000 + "]", "\n" * 100_000)


@dataclass
class Trace:
    """What an episode showed."""

    observations: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    components: list[dict[str, float]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    infos: list[dict[str, Any]] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False

    @property
    def success(self) -> bool:
        """Whether the episode ended solved."""
        return bool(self.infos) and bool(self.infos[-1].get("success", False))

    def digest(self) -> str:
        """Digest of everything that replays must reproduce."""
        parts = [self.observations, self.keys, self.components, self.rewards, self.terminated, self.truncated]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def play(
    env: AgentEnv,
    seed: int,
    messages: Iterable[str] | Iterator[str],
    *,
    task_id: str | None = None,
    trace: Trace | None = None,
) -> Trace:
    """Plays messages until they or the episode end. With ``trace`` goes on from where the environment stands."""
    if trace is None:
        trace = Trace()
        observation, info = env.reset(seed=seed, options={"task_id": task_id} if task_id else None)
        trace.observations.append(env.game.comparable(observation))
        trace.keys.append(info["state_key"])
    for message in messages:
        observation, reward, trace.terminated, trace.truncated, info = env.step(message)
        trace.messages.append(message)
        trace.observations.append(env.game.comparable(observation))
        trace.keys.append(info["state_key"])
        trace.components.append(info["rewards"])
        trace.rewards.append(float(reward))
        trace.infos.append(info)
        if not env.running:
            break
    return trace


def wander(env: AgentEnv, rng: np.random.Generator, turns: int) -> Iterator[str]:
    """Messages of an agent that half knows what it does: the expert with mistakes, and calls with random arguments."""
    has_expert = bool(type(env.game).expert)
    for _ in range(turns):
        if has_expert and rng.random() < 0.7:
            yield env.expert_message(mistake_rate=0.5, rng=rng)
        else:
            yield random_message(env, rng)


def expertly(env: AgentEnv) -> Iterator[str]:
    """The expert's messages, without end."""
    while True:
        yield env.expert_message()


def random_message(env: AgentEnv, rng: np.random.Generator) -> str:
    """A well-formed call of a random tool with random arguments."""
    tools = list(env.tools_by_name.values())
    tool = tools[int(rng.integers(len(tools)))]
    arguments = {name: _random_value(schema, rng) for name, schema in tool.properties.items()}
    return env.action_format.render([Action(tool.name, arguments)], env.tools_by_name)


def sample_actions(tools: Mapping[str, Tool], rng: np.random.Generator) -> list[Action]:
    """One well-formed call of every tool."""
    return [
        Action(tool.name, {name: _random_value(schema, rng) for name, schema in tool.properties.items()})
        for tool in tools.values()
    ]


def _random_value(schema: Mapping[str, Any], rng: np.random.Generator) -> Any:
    if "enum" in schema:
        return schema["enum"][int(rng.integers(len(schema["enum"])))]
    makers: dict[str, Callable[[], Any]] = {
        "integer": lambda: int(rng.integers(0, 20)),
        "number": lambda: float(rng.integers(0, 20)),
        "boolean": lambda: bool(rng.integers(2)),
        "array": list,
        "object": dict,
    }
    words = ("red", "mug", "1", "2", "next", "a b", "buy now", "zzz")
    return makers.get(schema.get("type", "string"), lambda: words[int(rng.integers(len(words)))])()
