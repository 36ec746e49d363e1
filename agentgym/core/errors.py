"""The one error tree.

Every error says what was wrong, what was expected and how to fix it. Each class also subclasses the matching
built-in or Gymnasium error, so that ``except ValueError`` works as people expect. All of them pickle.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum

import gymnasium


class AgentGymError(Exception):
    """Base of every error that agentgym raises on purpose. The command line prints it without a traceback."""


class ConfigError(AgentGymError, ValueError):
    """An option, a scheme, a file or an argument is not what it must be."""


class DataError(AgentGymError, ValueError):
    """A batch, a record or a stored run is malformed. Names the column and the row."""


class UnknownNameError(AgentGymError, LookupError):
    """A name that no registry knows, with the closest names that it does know."""


class MissingExtraError(AgentGymError, ImportError):
    """An optional dependency is not installed. Says which command installs it."""


class UnsupportedError(AgentGymError, NotImplementedError):
    """The game declared in its ``capabilities`` that it cannot do this."""


class ResetNeededError(AgentGymError, gymnasium.error.ResetNeeded):
    """``step`` before ``reset``, or after the episode ended."""


FAILURES = (Exception, SystemExit)
"""How games and policies, which are code of others, fail: one that calls ``sys.exit`` must not end a whole run."""


class Boundary(StrEnum):
    """Where a failure came from. Each fault belongs to exactly one boundary."""

    POLICY = "policy"
    PARSER = "parser"
    TOOL = "tool"
    SANDBOX = "sandbox"
    ENVIRONMENT = "environment"
    GRADER = "grader"
    STORAGE = "storage"


class Fault(AgentGymError, RuntimeError):
    """Something outside the agent failed during an episode. Recorded as data; the run goes on.

    Args:
        boundary: Where it failed.
        message: What failed and, where known, why.
        retryable: Whether doing the same again may succeed.
    """

    def __init__(self, boundary: Boundary | str, message: str, *, retryable: bool = False) -> None:
        self.boundary = Boundary(boundary)
        self.message = message
        self.retryable = retryable
        super().__init__(f"{self.boundary}: {message}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_fault, (type(self), str(self.boundary), self.message, self.retryable)


def _rebuild_fault(cls: type[Fault], boundary: str, message: str, retryable: bool) -> Fault:
    return cls(boundary, message, retryable=retryable)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a ``name`` that isn't among the ``known`` ones of its kind ("environment", "split")."""
    known = list(known)
    return UnknownNameError(
        f"Unknown {kind} {name!r}.{did_you_mean(name, known)} Known: {', '.join(map(str, known)) or 'none'}."
    )


def did_you_mean(name: str, known: Iterable[str], n: int = 3) -> str:
    """``" Did you mean 'a' or 'b'?"`` for the names in ``known`` close to ``name``, else ``""``."""
    lowered: dict[str, str] = {}
    for candidate in known:
        lowered.setdefault(candidate.lower(), candidate)
    close = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=n, cutoff=0.5)]
    if not close:
        return ""
    return " Did you mean " + " or ".join(repr(match) for match in close) + "?"
