"""``agentgym check``: the conformance suite on any environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.options import EnvArg, full_id, key_values

if TYPE_CHECKING:
    from agentgym.testing.conformance import CheckResult

_MARKS = {"passed": "ok  ", "failed": "FAIL", "not applicable": "n/a "}


def check(
    env_id: Annotated[str, typer.Argument(metavar="ENV_ID")],
    env_arg: EnvArg = [],  # noqa: B006
    only: Annotated[list[str], typer.Option("--only", help="Run this check alone; repeatable.")] = [],  # noqa: B006
    tasks: Annotated[int, typer.Option(min=1, help="Tasks a split that the expert must solve.")] = 20,
    cheat_tasks: Annotated[int, typer.Option(min=1, help="Tasks on which each cheat is tried.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that an environment keeps every promise; exits with 1 when it doesn't."""
    import json
    from dataclasses import asdict

    from agentgym.core.errors import AgentGymError, unknown_name
    from agentgym.testing.checks import each_check
    from agentgym.testing.conformance import run_checks, subject_of

    known = [name for name, _, _ in each_check()]
    for name in only:
        if name not in known:
            raise unknown_name("check", name, known)
    kwargs = key_values(env_arg, "--env-arg")
    subject = subject_of(full_id(env_id), tasks=tasks, cheat_tasks=cheat_tasks, env_kwargs=kwargs)
    try:
        subject.make().close()
    except AgentGymError:
        raise  # a missing argument or package is the user's to mend, and not nineteen broken promises
    except Exception:
        pass  # the checks say where
    results = run_checks(subject, only=tuple(only), on_result=None if as_json else _print)
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    failed = sum(result.status == "failed" for result in results)
    if not as_json:
        print(f"{len(results) - failed} of {len(results)} checks hold for {subject.env_id}.")
    raise typer.Exit(1 if failed else 0)


def _print(result: CheckResult) -> None:
    print(f"{_MARKS[result.status]} {result.name:<18} {result.seconds:6.2f} s  {result.claim}", flush=True)
    if result.detail:
        print("     " + result.detail.replace("\n", "\n     "), flush=True)
