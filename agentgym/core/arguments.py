"""The arguments that environments are made with: what a user may give, and what they stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentgym.core.errors import ConfigError, unknown_name
from agentgym.core.formats import FORMATS, ActionFormat
from agentgym.core.game import Game
from agentgym.core.registry import load
from agentgym.core.rewards import RewardScheme


def make_game(target: str, kwargs: Mapping[str, Any]) -> Game:
    """The game behind ``module:attribute``. Raises ConfigError: these arguments don't fit it."""
    kind = load(target)
    try:
        game = kind(**kwargs)
    except TypeError as error:
        raise ConfigError(
            f"{kind.__name__} can't be made with {json.dumps(dict(kwargs), default=str)}: {error}"
        ) from error
    if not isinstance(game, Game):
        raise ConfigError(f"{target!r} is not a Game.")
    return game


def pick_scheme(
    scheme: str | RewardScheme | Mapping[str, Any], declared: Mapping[str, RewardScheme], kind: type[Game]
) -> RewardScheme:
    """A scheme that the game declares, or the one that is given. Raises ConfigError: unknown, or not for this game."""
    if isinstance(scheme, str):
        if scheme not in declared:
            raise unknown_name(f"scheme of {kind.__name__}", scheme, declared)
        scheme = declared[scheme]
    elif not isinstance(scheme, RewardScheme):
        scheme = RewardScheme.from_dict(scheme)
    scheme.check(kind.components)
    return scheme


def pick_format(name: str | None, kind: type[Game]) -> ActionFormat:
    """A format by name, or the game's native one. Raises ConfigError: the game doesn't take it."""
    offered = {item if isinstance(item, str) else item.name: item for item in kind.formats}
    if name is None:
        name = next(iter(offered))
    if name not in offered:
        raise unknown_name(f"action format of {kind.__name__}", name, offered)
    found = offered[name]
    return FORMATS.get(found) if isinstance(found, str) else found


def at_least_one(name: str, given: int | None, default: int) -> int:
    """A budget. Raises ConfigError: it is below 1."""
    value = default if given is None else given
    if value < 1:
        raise ConfigError(f"{name} must be at least 1, got {value}.")
    return int(value)
