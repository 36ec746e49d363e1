"""An environment in a process of its own, for games that may crash, hold the interpreter or never return.

Looks like an ``AgentEnv`` to an episode. Each call goes over a pipe, and with its result comes what an episode reads of
the environment afterwards. A call that hangs is ended by killing the process.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, cast

from agentgym.core.env import AgentEnv, Step
from agentgym.core.errors import Boundary, ConfigError, Fault, UnsupportedError

_READ = ("messages", "running", "ledger")
"""Attributes that an episode reads after a call."""


class HostedEnv:
    """The near end of the pipe. What doesn't change during an episode is read from the template."""

    def __init__(self, template: AgentEnv, make_env: Callable[[], AgentEnv]) -> None:
        self._template = template
        self._state: dict[str, Any] = {name: getattr(template, name) for name in _READ}
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        try:
            self._process = context.Process(target=_serve, args=(theirs, make_env), daemon=True)
            self._process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"{type(template.game).__name__} wants a process of its own, and what makes it can't be sent to one: "
                f"{error}. Use a registered environment id, or a function at the top of a module."
            ) from None
        finally:
            theirs.close()

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__["_state"]
        return state[name] if name in state else getattr(self.__dict__["_template"], name)

    def begin(self) -> None:
        """Waits until the environment is made: starting an interpreter is not the episode's time."""
        self._answer()

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """See ``AgentEnv.reset``."""
        return cast(tuple[str, dict[str, Any]], self._call("reset", seed=seed, options=options))

    def step(self, action: str) -> Step:
        """See ``AgentEnv.step``."""
        return cast(Step, self._call("step", action))

    def truncate(self, reason: str) -> Step:
        """See ``AgentEnv.truncate``."""
        return cast(Step, self._call("truncate", reason))

    def expert_message(self, **options: Any) -> str:
        """See ``AgentEnv.expert_message``."""
        return cast(str, self._call("expert_message", **options))

    def fork(self, *, seed: int | None = None) -> AgentEnv:
        """Raises UnsupportedError: a process can't be forked together with its state."""
        raise UnsupportedError("An environment in a process of its own can't be forked.")

    def kill(self) -> None:
        """Ends the process whatever it does; a call that waits for it fails."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process. Safe to call twice."""
        with suppress(OSError):
            self._connection.send(None)
        self._process.join(timeout=5.0)
        self.kill()

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        with suppress(OSError):  # the answer says what is wrong
            self._connection.send((name, arguments, options))
        return self._answer()

    def _answer(self) -> Any:
        try:
            result, error, state = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(timeout=5.0)
            raise Fault(Boundary.ENVIRONMENT, f"its process ended ({_how(self._process.exitcode)})") from None
        self._state.update(state)
        if error is not None:
            raise error
        return result


def _how(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(connection: Connection, make_env: Callable[[], AgentEnv]) -> None:
    """The far end: does what it is told until nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    env = make_env()
    with suppress(EOFError, OSError):
        connection.send((None, None, {}))
        while (message := connection.recv()) is not None:
            name, arguments, options = message
            result, failure = None, None
            try:
                result = getattr(env, name)(*arguments, **options)
            except Exception as error:
                failure = error if _pickles(error) else RuntimeError(f"{type(error).__name__}: {error}")
            state = {key: getattr(env, key) for key in _READ}
            if name == "reset" and failure is None:
                state["task"] = env.task
            connection.send((result, failure, state))
    with suppress(Exception):
        env.close()
    os._exit(0)


def _pickles(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True
