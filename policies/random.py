"""Random actions that an environment can parse: the floor that any agent must beat."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.core.policy import Completion, Policy, Request
from agentgym.core.seeding import derive_rng
from agentgym.policies.scripted import live

_WORDS = re.compile(r"\w[\w.-]*")
_MOST_WORDS = 3
_LARGEST_INTEGER = 10


class RandomPolicy(Policy):
    """Draws one of the environment's tools, and arguments that fit its schema.

    Texts are one to three words in a row of what the environment said last, since that is where the names of things
    that can be acted on stand.
    """

    name = "random"
    bound = True

    async def act(self, request: Request) -> Completion:
        """See ``Policy.act``."""
        env = live(request, self.name)
        rng = derive_rng(request.seed, "random")
        words = _WORDS.findall(request.messages[-1]["content"]) or ["nothing"]
        tools = env.tools_by_name
        tool = tools[_choice(list(tools), rng)]
        arguments = {
            key: draw_argument(schema, words, rng)
            for key, schema in tool.properties.items()
            if key in tool.parameters.get("required", ()) or rng.random() < 0.5
        }
        return Completion(env.action_format.render([Action(tool.name, arguments)], tools))


def draw_argument(schema: Mapping[str, Any], words: Sequence[str], rng: np.random.Generator) -> Any:
    """A value that fits a JSON schema.

    Args:
        schema: Of one parameter. Types that it doesn't name are texts.
        words: Where texts come from; at least one.
        rng: Draws.
    """
    if schema.get("enum"):
        return _choice(list(schema["enum"]), rng)
    kind = schema.get("type", "string")
    if kind == "boolean":
        return bool(rng.integers(2))
    if kind in ("integer", "number"):
        low = int(schema.get("minimum", 0))
        return int(rng.integers(low, int(schema.get("maximum", low + _LARGEST_INTEGER)) + 1))
    if kind == "array":
        items = schema.get("items", {})
        return [draw_argument(items, words, rng) for _ in range(rng.integers(1, _MOST_WORDS + 1))]
    if kind == "object":
        return {key: draw_argument(inner, words, rng) for key, inner in schema.get("properties", {}).items()}
    start = int(rng.integers(len(words)))
    return " ".join(words[start : start + int(rng.integers(1, _MOST_WORDS + 1))])


def _choice(options: Sequence[Any], rng: np.random.Generator) -> Any:
    return options[int(rng.integers(len(options)))]
