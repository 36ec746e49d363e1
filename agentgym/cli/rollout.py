"""``agentgym rollout``: collect episodes of a policy in an environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.options import EnvArg, PolicyArg, full_id, key_values

if TYPE_CHECKING:
    from agentgym.rollout.run import RunConfig
    from agentgym.rollout.tally import Tally


def rollout(
    env: Annotated[str, typer.Option(help="Environment id, for example agentgym/Shopping-v0.")],
    policy: Annotated[str, typer.Option(help="Policy name: scripted, random, replay, transformers, vllm, openai.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    episodes: Annotated[int, typer.Option(min=1, help="Episodes to play.")] = 100,
    group: Annotated[int, typer.Option(min=1, help="Episodes a task (same task and seed).")] = 1,
    split: Annotated[str, typer.Option(help="Split that tasks are drawn from.")] = "train",
    task: Annotated[list[str], typer.Option("--task", help="Play this task id; repeatable.")] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 0,
    scheme: Annotated[
        str, typer.Option(help="Reward scheme: gated, outcome, dense, or one of the environment.")
    ] = "gated",
    action_format: Annotated[str, typer.Option(help="Action format; empty for the environment's own.")] = "",
    env_arg: EnvArg = [],  # noqa: B006
    policy_arg: PolicyArg = [],  # noqa: B006
    model: Annotated[str, typer.Option(help="Model of the policy: a folder or a name. Short for -p model=...")] = "",
    base_url: Annotated[str, typer.Option(help="Address of the policy's server. Short for -p base_url=...")] = "",
    temperature: Annotated[float, typer.Option(help="Sampling temperature; 0 is greedy.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Nucleus sampling.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Sample among the k likeliest tokens; 0 for all.")] = 0,
    max_tokens: Annotated[int, typer.Option(help="New tokens a message.")] = 256,
    context: Annotated[
        str, typer.Option(help="What the policy reads: full, window:8, window:4096tokens, summary:clip, ...")
    ] = "full",
    context_tokens: Annotated[int, typer.Option(help="Longest context in tokens; 0 for no limit.")] = 0,
    seconds: Annotated[float, typer.Option(help="Wall time of an episode, all included; 0 for no limit.")] = 3600,
    call_seconds: Annotated[
        float, typer.Option(help="Wall time of one request or environment call; 0 for no limit.")
    ] = 0,
    retries: Annotated[int, typer.Option(min=0, help="Times that a failed episode is played again.")] = 2,
    request_retries: Annotated[int, typer.Option(min=0, help="Times that a failed request is made again.")] = 3,
    inject: Annotated[
        str, typer.Option(help="Make things fail: policy=0.05,tool=0.05,env=0.02,hang=0.01,kill-worker=30s.")
    ] = "",
    tree: Annotated[str, typer.Option(help="Fork episodes: 2:3 is three branches after two turns.")] = "",
    workers: Annotated[
        str, typer.Option(help="Processes that play; or ray, ray:4, ray://HOST:PORT. 0: this process alone.")
    ] = "0",
    screenshots: Annotated[
        bool, typer.Option("--screenshots", help="Store a picture a turn, where the environment has any.")
    ] = False,
    shard_size: Annotated[int, typer.Option(min=1, help="Episodes (or trees) a file.")] = 256,
    concurrency: Annotated[int, typer.Option(min=1, help="Episodes in flight.")] = 64,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be played.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")] = False,
) -> None:
    """Play episodes and store them; an interrupted run goes on with --resume."""
    from agentgym.core.policy import PolicySpec, Sampling
    from agentgym.rollout.limits import Limits, Retries
    from agentgym.rollout.run import RunConfig
    from agentgym.rollout.storage import SCREENSHOTS

    env_kwargs = {"scheme": scheme, **key_values(env_arg, "--env-arg")}
    if action_format:
        env_kwargs["action_format"] = action_format
    named = {name: value for name, value in (("model", model), ("base_url", base_url)) if value}
    config = RunConfig(
        env_id=full_id(env),
        policy=PolicySpec(policy, {**named, **key_values(policy_arg, "--policy-arg")}),
        episodes=episodes,
        env_kwargs=env_kwargs,
        group_size=group,
        seed=seed,
        split=split,
        task_ids=tuple(task),
        sampling=Sampling(temperature, top_p, top_k, max_tokens),
        limits=Limits(
            context_tokens=context_tokens or None, seconds=seconds or None, call_seconds=call_seconds or None
        ),
        context=context,
        retries=Retries(request_retries, retries),
        inject=inject,
        tree=tree,
        shard_size=shard_size,
        screenshots=str(out / SCREENSHOTS) if screenshots else "",
    )
    with only_json_on_stdout(as_json) as print_json:
        if dry_run:
            found = plan_of(config, out, resume=resume, workers=workers)
            print_json(found) if as_json else print_summary(found)
            return
        failures: dict[str, str] = {}
        ended = _run(config, out, failures, resume=resume, concurrency=concurrency, workers=workers)
        summary = summarise(out) if (out / "run.json").exists() else {}
        if as_json:
            print_json({**summary, "out": str(out), "interrupted": ended != 0})
        elif not ended:
            print_summary(summary)
            print(f"stored in           {out}")
    if ended:
        typer.echo(f"Interrupted. Everything that was finished is stored; go on with: --resume --out {out}", err=True)
        raise typer.Exit(ended)
    for boundary, message in failures.items():
        typer.echo(f"agentgym: the last failure of the boundary {boundary}: {message}", err=True)
    if not summary["scored"]:
        typer.echo("agentgym: not one episode was scored.", err=True)
        raise typer.Exit(1)


def _run(
    config: RunConfig, out: Path, failures: dict[str, str], *, resume: bool, concurrency: int, workers: str
) -> int:
    """Plays; returns the exit code that a signal asks for, or 0. Fills ``failures``: boundary -> last message."""
    from agentgym.cli.live import rollout_view
    from agentgym.cli.signals import run_until_signal
    from agentgym.core.records import Trajectory
    from agentgym.rollout.run import run
    from agentgym.rollout.workers import parse_workers

    if "kill-worker" in config.inject and parse_workers(workers).kind == "here":
        typer.echo("agentgym: kill-worker has nothing to kill without --workers.", err=True)
    with rollout_view(f"{config.env_id}  {config.policy.name}", config.episodes) as view:

        def on_episode(trajectory: Trajectory, tally: Tally, stored: int) -> None:
            failures.update({fault.boundary: fault.message for fault in trajectory.faults if not fault.survived})
            view.update(tally, stored)

        return run_until_signal(
            run(
                config,
                out,
                resume=resume,
                concurrency=concurrency,
                workers=workers,
                on_start=view.start,
                on_episode=on_episode,
            )
        )


def plan_of(config: RunConfig, out: Path, *, resume: bool, workers: str) -> dict[str, object]:
    """What a run would do, with everything checked that can be without playing."""
    from itertools import islice

    from agentgym.rollout.jobs import plan
    from agentgym.rollout.run import check_policy
    from agentgym.rollout.storage import check_resumable, stored_jobs
    from agentgym.rollout.workers import parse_workers, require

    env = config.make_env()
    resolved = config.resolved(env)
    first = next(islice(plan(1, 1, config.seed, task_ids=config.task_ids), 1))
    env.reset(seed=first.env_seed, options={"task_id": first.task_id} if first.task_id else None)
    first_task = env.task.task_id
    env.close()
    check_policy(config.policy)
    where = parse_workers(workers)
    require(where)
    check_resumable(out, resolved, resume=resume)
    stored = stored_jobs(out) if resume else 0
    return {
        "would_play": config.episodes - stored,
        "stored": stored,
        "groups": -(-config.episodes // config.group_size),
        "first_task": first_task,
        "workers": f"{where.count or 'all'} {where.kind}" if where.kind != "here" else "none",
        "out": str(out),
        **resolved,
    }


def summarise(out: Path) -> dict[str, object]:
    """Totals over everything that a run has stored."""
    from agentgym.rollout.storage import stored_totals

    return stored_totals(out).summary()


@contextmanager
def only_json_on_stdout(wanted: bool) -> Iterator[Callable[[object], None]]:
    """Gives what prints JSON; while it is ``wanted``, everything else that is written to stdout goes to stderr.

    Libraries, and Ray above all, write there below Python.
    """
    import json
    import os
    import sys

    if not wanted:
        yield lambda value: print(json.dumps(value, default=str))
        return
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    found: list[object] = []
    try:
        yield found.append
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)
        for value in found:
            print(json.dumps(value, default=str), flush=True)


def print_summary(summary: dict[str, object]) -> None:
    """A summary as aligned lines."""
    for key, value in summary.items():
        if isinstance(value, dict):
            value = "  ".join(f"{name} {_number(item)}" for name, item in value.items()) or "none"
        print(f"{key:<20}{_number(value)}")


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
