"""The conformance suite: everything that users of an environment rely on, checked on any environment.

``check_agent_env("acme/Chess-v0")`` in a test, ``agentgym check acme/Chess-v0`` in a shell.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium

from agentgym.core.registration import game_target
from agentgym.testing.checks import CheckFailure, NotApplicable, Subject, each_check


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check went."""

    name: str
    claim: str
    """What the check says of a good environment."""
    status: Literal["passed", "failed", "not applicable"]
    detail: str = ""
    seconds: float = 0.0


class ConformanceError(AssertionError):
    """Some checks failed; the message lists them."""

    def __init__(self, env: str, results: list[CheckResult]) -> None:
        self.env = env
        self.results = results
        failed = [result for result in results if result.status == "failed"]
        lines = [f"  {result.name}: {result.detail}" for result in failed]
        super().__init__(f"{env} fails {len(failed)} of {len(results)} checks:\n" + "\n".join(lines))


def run_checks(
    subject: Subject,
    *,
    only: tuple[str, ...] = (),
    on_result: Callable[[CheckResult], None] | None = None,
) -> list[CheckResult]:
    """Runs the checks (``only`` those named) and returns how each went. An unexpected exception is a failure."""
    results = []
    for name, claim, check in each_check():
        if only and name not in only:
            continue
        began = time.perf_counter()
        try:
            check(subject)
        except CheckFailure as failure:
            status, detail = "failed", str(failure)
        except NotApplicable as reason:
            status, detail = "not applicable", str(reason)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            status, detail = "failed", f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        else:
            status, detail = "passed", ""
        result = CheckResult(name, claim, status, detail, time.perf_counter() - began)  # type: ignore[arg-type]
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results


def check_agent_env(
    env_id: str,
    *,
    tasks: int = 20,
    cheat_tasks: int = 200,
    env_kwargs: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> list[CheckResult]:
    """Checks a registered environment.

    Args:
        env_id: Its id.
        tasks: Tasks a split on which the expert must succeed.
        cheat_tasks: Tasks on which each cheat is tried.
        env_kwargs: Arguments for ``gym.make``.
        **kwargs: The same, for names that aren't taken here.

    Raises:
        ConformanceError: Some checks failed.
    """
    kwargs = {**(env_kwargs or {}), **kwargs}
    results = run_checks(subject_of(env_id, tasks=tasks, cheat_tasks=cheat_tasks, env_kwargs=kwargs))
    if any(result.status == "failed" for result in results):
        raise ConformanceError(env_id, results)
    return results


def subject_of(
    env_id: str,
    *,
    tasks: int = 20,
    cheat_tasks: int = 200,
    env_kwargs: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Subject:
    """The subject of a registered environment, its registered default arguments included; see ``check_agent_env``."""
    target = game_target(env_id)
    defaults = {key: value for key, value in gymnasium.registry[env_id].kwargs.items() if key != "game"}
    return Subject(target, {**defaults, **(env_kwargs or {}), **kwargs}, env_id, tasks, cheat_tasks)
