"""Environment ids: ours, and those of third parties.

Gymnasium 1.4 has no plug-in entry point, so ``import agentgym`` registers everything. A third-party package declares
its games in the entry-point group ``agentgym.environments``, one line an id, and nothing of it is imported before the
id is made::

    [project.entry-points."agentgym.environments"]
    "acme/Chess-v0" = "acme_envs.chess:ChessGame"
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from typing import Any, cast

import gymnasium
from gymnasium.envs.registration import EnvSpec

from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError, unknown_name
from agentgym.core.registry import missing_extra

ENTRY_POINT_GROUP = "agentgym.environments"
_MAKE = "agentgym.core.env:AgentEnv"
_ID = re.compile(r"^[\w.-]+/[\w.-]+-v\d+$")


def register(env_id: str, game: str, **kwargs: Any) -> None:
    """Registers a game with Gymnasium.

    ``gym.make(env_id)`` then returns the ``AgentEnv`` itself: order and turn limits are its own, so no wrapper is put
    around it whose counter a snapshot would miss.

    Args:
        env_id: ``"<namespace>/<Name>-v<N>"``.
        game: ``"module:attribute"`` of the game's class.
        **kwargs: Default arguments of ``AgentEnv`` and of the game.
    """
    if not _ID.match(env_id):
        raise ConfigError(f"An environment id looks like 'acme/Chess-v0', got {env_id!r}.")
    gymnasium.register(
        id=env_id,
        entry_point=_MAKE,
        kwargs={"game": game, **kwargs},
        order_enforce=False,
        disable_env_checker=True,
    )


def register_entry_points() -> None:
    """Registers the games that installed packages declare. An id that exists already is left alone."""
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if entry.name not in gymnasium.registry:
            register(entry.name, entry.value)


def env_ids() -> list[str]:
    """Ids of every registered game, ours and third parties', sorted."""
    return sorted(env_id for env_id, spec in gymnasium.registry.items() if spec.entry_point == _MAKE)


def game_target(env_id: str) -> str:
    """``"module:attribute"`` of the game behind an id."""
    return str(_spec(env_id).kwargs["game"])


def make(env_id: str, **kwargs: Any) -> AgentEnv:
    """``gymnasium.make`` with our errors, typed.

    Args:
        env_id: As registered; ``"module:acme/Chess-v0"`` imports the module first.
        **kwargs: Arguments of ``AgentEnv`` and of the game.

    Raises:
        UnknownNameError: No such id, with the closest ones.
        MissingExtraError: There is no such module.
    """
    _spec(env_id)
    return cast(AgentEnv, gymnasium.make(env_id, **kwargs))


def _spec(env_id: str) -> EnvSpec:
    module, colon, name = env_id.rpartition(":")
    if colon:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise missing_extra(error, needed_by=env_id) from error
    spec = gymnasium.registry.get(name)
    if spec is None or spec.entry_point != _MAKE:
        raise unknown_name("environment", env_id, env_ids())
    return spec
