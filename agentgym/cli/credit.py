"""``agentgym credit``: what there is, what it computes, and what it says about saved rollouts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from agentgym.core.records import Trajectory
    from agentgym.credit import Batch, Credit

app = typer.Typer(help="Step-level credit: list the methods, explain one, apply one to a run.", no_args_is_help=True)


@app.command("list")
def list_methods(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the credit methods (needs, population, default, paper, presets) and recipes of scheme and method."""
    import json
    from dataclasses import asdict

    from agentgym.credit import METHODS, RECIPES

    rows: list[dict[str, Any]] = [
        {
            "method": info.name,
            "summary": info.summary,
            "needs": list(info.needs),
            "population": info.population,
            "default": info.default,
            "paper": info.paper,
            "presets": list(info.presets),
        }
        for info in METHODS.values()
    ]
    recipes = [asdict(recipe) for recipe in RECIPES.values()]
    if as_json:
        print(json.dumps(rows + recipes, indent=2))
        return
    for row in rows:
        print(f"{row['method']}\n    {row['summary']}")
        for key in ("needs", "population", "default", "paper", "presets"):
            value = ", ".join(row[key]) if isinstance(row[key], list) else row[key]
            print(f"    {key:<11} {value or 'nothing more' if key == 'needs' else value or 'none'}")
    print("\nRecipes: a reward scheme (agentgym.core.schemes) with the method that its paper trains with")
    for recipe in recipes:
        print(f"{recipe['name']}\n    {recipe['summary']}")
        for key in ("scheme", "method", "paper"):
            print(f"    {key:<11} {recipe[key]}")


@app.command()
def explain(method: Annotated[str, typer.Argument(help="A method or one of its presets.")]) -> None:
    """Print a method's docstring, with its equation."""
    from agentgym.core.errors import ConfigError
    from agentgym.credit import CreditError, find

    try:
        info, _ = find(method)
    except CreditError as error:
        raise ConfigError(str(error)) from error
    print(f"{info.name}: {info.summary}\n\n{info.doc}\n\npaper: {info.paper}")
    for name, parameters in info.presets.items():
        print(f"preset {name}: {', '.join(f'{key}={value!r}' for key, value in parameters.items())}")


@app.command()
def apply(
    method: Annotated[str, typer.Argument(help="A method or preset.")],
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    parameter: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the method.")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Write the turn advantages here, as Parquet.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute credit on saved rollouts: diagnostics, and the turn advantages with --out."""
    import json

    from agentgym.cli.options import key_values
    from agentgym.core.errors import ConfigError
    from agentgym.credit import CreditError, make
    from agentgym.rollout.batch import to_batch, trainable
    from agentgym.rollout.storage import read_run

    stored = list(read_run(run))
    usable = [trajectory for trajectory in stored if trainable(trajectory)]
    if not usable:
        raise ConfigError(f"{str(run)!r} holds no scored episode with a turn.")
    text_only = not all(trajectory.token_faithful for trajectory in usable)
    batch = to_batch(usable, text_only=text_only)
    try:
        credit = make(method, **key_values(parameter, "--set"))(batch)
    except (CreditError, TypeError) as error:
        raise ConfigError(str(error)) from error
    if out is not None:
        _write(out, usable, batch, credit)
    summary: dict[str, Any] = {
        "trajectories": batch.n_trajectories,
        "left_out": len(stored) - len(usable),
        "turns": batch.n_turns,
        "tokens": batch.n_tokens,
        **credit.diagnostics,
    }
    if as_json:
        print(json.dumps(summary))
        return
    for key, value in summary.items():
        print(f"{key:<22}{_short(value)}")
    if text_only:
        print("The run has no sampled tokens: turn and trajectory credit only.")


def _short(value: object) -> str:
    if isinstance(value, list):
        return "  ".join(_short(item) for item in value[:12]) + ("  ..." if len(value) > 12 else "")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(out: Path, trajectories: list[Trajectory], batch: Batch, credit: Credit) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [trajectories[row].trajectory_id for row in batch.turn_trajectory]
    columns = {"trajectory_id": names, "index": batch.turn_index, "reward": batch.turn_reward, "advantage": credit.turn}
    pq.write_table(pa.table(columns), out)
