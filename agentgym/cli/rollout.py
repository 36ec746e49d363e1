"""``agentgym rollout``: collect episodes of a policy in an environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.options import EnvArg, PolicyArg, full_id, key_values

if TYPE_CHECKING:
    from agentgym.rollout.run import RunConfig
    from agentgym.rollout.tally import Tally


def rollout(
    env: Annotated[str, typer.Option(help="Environment id, for example agentgym/Shopping-v0.")],
    policy: Annotated[str, typer.Option(help="Policy name: scripted, random, replay, transformers, ...")],
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
    temperature: Annotated[float, typer.Option(help="Sampling temperature; 0 is greedy.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Nucleus sampling.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Sample among the k likeliest tokens; 0 for all.")] = 0,
    max_tokens: Annotated[int, typer.Option(help="New tokens a message.")] = 256,
    context: Annotated[
        str, typer.Option(help="What the policy reads: full, window:8, window:4096tokens, summary:clip, ...")
    ] = "full",
    context_tokens: Annotated[int, typer.Option(help="Longest context in tokens; 0 for no limit.")] = 0,
    seconds: Annotated[float, typer.Option(help="Wall time of an episode; 0 for no limit.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Episodes in flight.")] = 64,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Play episodes and store them; an interrupted run goes on with --resume."""
    import asyncio
    import json

    from agentgym.core.policy import PolicySpec, Sampling
    from agentgym.rollout.engine import Limits
    from agentgym.rollout.run import RunConfig

    env_kwargs = {"scheme": scheme, **key_values(env_arg, "--env-arg")}
    if action_format:
        env_kwargs["action_format"] = action_format
    config = RunConfig(
        env_id=full_id(env),
        policy=PolicySpec(policy, key_values(policy_arg, "--policy-arg")),
        episodes=episodes,
        env_kwargs=env_kwargs,
        group_size=group,
        seed=seed,
        split=split,
        task_ids=tuple(task),
        sampling=Sampling(temperature, top_p, top_k, max_tokens),
        limits=Limits(context_tokens=context_tokens or None, seconds=seconds or None),
        context=context,
    )
    try:
        asyncio.run(_run(config, out, resume, concurrency))
    except (KeyboardInterrupt, asyncio.CancelledError):
        typer.echo(f"Interrupted. Everything that was finished is stored; go on with: --resume --out {out}", err=True)
        raise typer.Exit(130) from None
    summary = summarise(out)
    if as_json:
        print(json.dumps(summary))
        return
    print_summary(summary)
    print(f"stored in           {out}")


async def _run(config: RunConfig, out: Path, resume: bool, concurrency: int) -> None:
    import time

    from agentgym.cli.progress import progress
    from agentgym.core.records import Trajectory
    from agentgym.rollout.run import run

    began = time.monotonic()
    with progress("episodes", config.episodes) as bar:

        def on_episode(trajectory: Trajectory, tally: Tally, stored: int) -> None:
            rate = tally.episodes / max(time.monotonic() - began, 1e-9)
            mean = tally.reward / max(tally.scored, 1)
            failures = sum(tally.faults.values())
            bar.update(stored, f"{rate:.1f} episodes/s  mean reward {mean:.3f}  failures {failures}")

        await run(config, out, resume=resume, concurrency=concurrency, on_episode=on_episode)


def summarise(out: Path) -> dict[str, object]:
    """Totals over everything that a run has stored."""
    from agentgym.rollout.storage import read_run
    from agentgym.rollout.tally import Tally

    tally = Tally()
    for trajectory in read_run(out):
        tally.add(trajectory)
    return tally.summary()


def print_summary(summary: dict[str, object]) -> None:
    """A summary as aligned lines."""
    for key, value in summary.items():
        if isinstance(value, dict):
            value = "  ".join(f"{name} {_number(item)}" for name, item in value.items()) or "none"
        print(f"{key:<20}{_number(value)}")


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
