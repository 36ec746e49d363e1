"""``agentgym train``: a supervised warm start, then RL with step-level credit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer


def train(
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    config: Annotated[Path | None, typer.Option(help="TOML file; see examples/shopping_tiny.toml.")] = None,
    settings: Annotated[
        list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting; repeatable.")
    ] = [],  # noqa: B006
    engine: Annotated[
        str | None, typer.Option(help="What generates: torch (the learner's model) or vllm. Short for engine.name.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    show_config: Annotated[bool, typer.Option("--show-config", help="Print the resolved settings and stop.")] = False,
) -> None:
    """Train a policy; an interrupted run goes on with --resume, along the same curve."""
    import json

    from agentgym.cli.options import key_values
    from agentgym.core.registry import load

    load_config = load("agentgym.training.config:load")
    overrides = key_values(settings, "--set")
    if engine is not None:
        overrides["engine.name"] = engine
    resolved = load_config(config, overrides)
    if show_config:
        print(json.dumps(resolved.to_dict(), indent=2))
        return
    run = load("agentgym.training.run:train")
    try:
        run(resolved, out, resume=resume, on_step=print_step)
    except KeyboardInterrupt:
        typer.echo(f"Interrupted. Go on from the last checkpoint with: --resume --out {out}", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"metrics in {out / 'metrics.jsonl'}, model in {out / 'model'}", err=True)


_SHOWN = ("loss", "success", "reward", "turns", "entropy", "kl", "clip_fraction", "sampler_gap", "grad_norm")


def print_step(phase: str, step: int, steps: int, row: Mapping[str, Any]) -> None:
    """One line a step on stderr; of the warm start every tenth."""
    if phase == "warm_start" and step % 10 and step != steps:
        return
    values = "  ".join(f"{key} {row[key]:.4g}" for key in _SHOWN if key in row)
    if phase.startswith("evaluation"):
        values += f"  [{row['success_low']:.3f}, {row['success_high']:.3f}]"
    typer.echo(f"{phase} {step}/{steps}  {values}", err=True)
