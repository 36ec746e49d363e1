"""``agentgym swe``: make tasks out of packages, check them, write them as rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(help="Bug-fixing tasks: build them from a package, verify them, export them.", no_args_is_help=True)


@app.command("build")
def build(
    package: Annotated[str, typer.Option(help="name==version, or the folder of a local git repository.")],
    tasks: Annotated[int, typer.Option(min=1, help="How many verified tasks.")] = 50,
    out: Annotated[Path, typer.Option(help="JSON file; what is in it already counts.")] = Path("swe-tasks.json"),
    requires: Annotated[
        list[str], typer.Option("--requires", help="What its tests need besides pytest, as pip takes it; repeatable.")
    ] = [],  # noqa: B006
    split: Annotated[str, typer.Option(help="Split that the tasks go to: train, validation or test.")] = "train",
    seed: Annotated[int, typer.Option(help="Order in which mutations are tried.")] = 0,
    backend: Annotated[str, typer.Option(help="Sandbox backend: auto, bubblewrap or docker.")] = "auto",
    writer: Annotated[
        str, typer.Option(help="Program that rewrites issues: prompt on stdin, issue on stdout. Empty: templates.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Plant bugs in a package and keep those that its tests notice; run again, it goes on where it stopped."""
    import json
    from collections import Counter

    from agentgym.cli.progress import progress
    from agentgym.core.tasks import SPLITS, check_split
    from agentgym.environments.swe.build import command

    check_split(split, SPLITS)
    with progress(f"tasks of {package}", tasks) as bar:
        bugs = command.main(
            package, tasks, str(out), seed=seed, backend=backend, split=split, requires=tuple(requires),
            writer=_program(writer) if writer else None, progress=bar.update,
        )  # fmt: skip
    families = dict(sorted(Counter(bug.mutator for bug in bugs).items()))
    if as_json:
        print(json.dumps({"package": package, "tasks": len(bugs), "families": families, "out": str(out)}))
        return
    print(f"{len(bugs)} tasks of {package} in {out}")
    if len(bugs) < tasks:
        print(f"No more than that: every mutation was tried ({tasks} were asked for).")
    print("families: " + ", ".join(f"{name} {count}" for name, count in families.items()))
    print(f"play them: agentgym play agentgym/SWE-v0 -e tasks={out}")


def _program(line: str) -> Callable[[str], str]:
    import shlex
    import subprocess

    from agentgym.core.errors import ConfigError

    def write(prompt: str) -> str:
        try:
            done = subprocess.run(shlex.split(line), input=prompt, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConfigError(f"--writer {line!r} failed: {error}") from error
        return done.stdout

    return write


@app.command("verify")
def verify(
    tasks: Annotated[str, typer.Option(help="bundled, manifest, or a file of tasks.")] = "bundled",
    sample: Annotated[int, typer.Option(min=0, help="How many, chosen by --seed; 0 for all.")] = 10,
    seed: Annotated[int, typer.Option(help="Which ones.")] = 0,
    backend: Annotated[str, typer.Option(help="Sandbox backend: auto, bubblewrap or docker.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Plant bugs again from their recipes, run the tests in clean sandboxes, compare; exits with 1 on a difference."""
    import json
    from dataclasses import asdict

    from agentgym.cli.progress import progress
    from agentgym.environments.swe import audit

    found = []
    chosen = audit.sample(tasks, sample, seed)
    with progress("verified", len(chosen)) as bar:
        for result in audit.rebuild(tasks, chosen, backend):
            found.append(result)
            bar.update(len(found), result.instance_id)
    wrong = [result for result in found if result.problem]
    if as_json:
        print(json.dumps([asdict(result) for result in found], indent=2))
    else:
        for result in wrong:
            print(f"{result.instance_id}: {result.problem}")
        print(f"{len(found) - len(wrong)} of {len(found)} tasks are what was recorded")
    raise typer.Exit(1 if wrong else 0)


@app.command("export")
def export(
    out: Annotated[Path, typer.Option(help="JSON Lines file of SWE-bench rows.")],
    tasks: Annotated[str, typer.Option(help="bundled, manifest, or a file of tasks.")] = "bundled",
) -> None:
    """Write tasks as rows that SWE-bench's readers understand."""
    import json

    from agentgym.core.errors import ConfigError
    from agentgym.environments.swe.tasks import load, row

    dataset = load(tasks)
    text = "".join(json.dumps(row(dataset, bug)) + "\n" for bug in dataset.bugs.values())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {out} can't be written: {error.strerror}.") from error
    print(f"{len(dataset.bugs)} rows in {out}")
