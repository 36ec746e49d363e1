"""Options that several commands share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from agentgym.core.errors import ConfigError, unknown_name
from agentgym.core.registration import env_ids

EnvArg = Annotated[
    list[str],
    typer.Option("--env-arg", "-e", metavar="KEY=VALUE", help="Argument of the environment (value: JSON or text)."),
]
PolicyArg = Annotated[
    list[str],
    typer.Option("--policy-arg", "-p", metavar="KEY=VALUE", help="Argument of the policy (value: JSON or text)."),
]


def key_values(pairs: list[str], option: str) -> dict[str, Any]:
    """``["a=1", "b=x"]`` as ``{"a": 1, "b": "x"}``: values are JSON where they can be read so, else text."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"{option} takes KEY=VALUE, got {pair!r}.")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values


def full_id(env_id: str) -> str:
    """An id as it is registered; ``Shopping-v0`` means ``agentgym/Shopping-v0``. ``module:id`` imports the module."""
    if ":" in env_id:
        return env_id
    known = env_ids()
    for candidate in (env_id, f"agentgym/{env_id}"):
        if candidate in known:
            return candidate
    raise unknown_name("environment", env_id, known)
