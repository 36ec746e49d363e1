"""``agentgym data``: stored runs merged, filtered, counted, and exported for other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from agentgym.core.records import Trajectory

app = typer.Typer(help="Merge, filter, count and export stored runs.", no_args_is_help=True, rich_markup_mode=None)

RunArgument = Annotated[Path, typer.Argument(help="Folder of a run.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder of the new run.")]

FORMATS = ("jsonl", "sft", "parquet", "dpo")


@app.command()
def merge(runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")], out: OutOption) -> None:
    """Make one run of several of the same environment and scheme."""
    from agentgym.rollout.merging import merge_runs

    typer.echo(f"{merge_runs(runs, out)} episodes in {out}", err=True)


@app.command("filter")
def filter_(
    run: RunArgument,
    out: OutOption,
    success: Annotated[bool, typer.Option("--success", help="Only solved tasks.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Only scored episodes that did not solve theirs.")] = False,
    scored: Annotated[bool, typer.Option("--scored", help="Only episodes that no failure ended.")] = False,
    faithful: Annotated[bool, typer.Option("--faithful", help="Only episodes with the tokens sampled.")] = False,
    min_reward: Annotated[float | None, typer.Option(help="Least total reward; implies --scored.")] = None,
    max_reward: Annotated[float | None, typer.Option(help="Most total reward; implies --scored.")] = None,
    min_turns: Annotated[int, typer.Option(min=0, help="Fewest turns.")] = 0,
    max_turns: Annotated[int | None, typer.Option(min=0, help="Most turns.")] = None,
    task: Annotated[str, typer.Option(help="Only tasks whose id fits this pattern, such as 'train/1*'.")] = "",
) -> None:
    """Copy the episodes that fit every option into a new run."""
    from fnmatch import fnmatchcase

    from agentgym.core.errors import ConfigError
    from agentgym.rollout.merging import filter_run

    if success and failed:
        raise ConfigError("--success and --failed leave nothing; choose one.")
    tests: dict[str, Callable[[Trajectory], bool]] = {}
    if success:
        tests["success"] = lambda t: t.success is True
    if failed:
        tests["failed"] = lambda t: t.success is False
    if scored:
        tests["scored"] = lambda t: t.scored
    if faithful:
        tests["faithful"] = lambda t: t.token_faithful
    if min_reward is not None:
        tests[f"total_reward >= {min_reward}"] = lambda t: t.scored and t.total_reward >= min_reward
    if max_reward is not None:
        tests[f"total_reward <= {max_reward}"] = lambda t: t.scored and t.total_reward <= max_reward
    if min_turns:
        tests[f"turns >= {min_turns}"] = lambda t: len(t.turns) >= min_turns
    if max_turns is not None:
        tests[f"turns <= {max_turns}"] = lambda t: len(t.turns) <= max_turns
    if task:
        tests[f"task like {task}"] = lambda t: fnmatchcase(t.task_id, task)
    if not tests:
        raise ConfigError("Say what to keep, for example --success or --min-reward 0.5.")
    kept = filter_run(run, out, lambda t: all(test(t) for test in tests.values()), {"kept": list(tests)})
    typer.echo(f"{kept} episodes in {out}", err=True)


@app.command()
def stats(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    verify: Annotated[bool, typer.Option("--verify", help="Also check every file against the manifest.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a list with one object a run.")] = False,
) -> None:
    """Print the totals of runs."""
    import json

    from agentgym.cli.rollout import print_summary
    from agentgym.rollout.shards import check_hashes, read_manifest
    from agentgym.rollout.storage import read_config, stored_totals

    found: list[dict[str, Any]] = []
    for path in runs:
        config = read_config(path)
        if verify:
            check_hashes(path, read_manifest(path).values())
        policy = config.get("policy", {}).get("name", "")
        found.append(
            {"run": str(path), "env_id": config.get("env_id"), "policy": policy, **stored_totals(path).summary()}
        )
    if as_json:
        print(json.dumps(found))
        return
    for number, summary in enumerate(found):
        print("\n" * bool(number), end="")
        print_summary(summary)
    if verify:
        typer.echo("every file is what the manifest says", err=True)


@app.command()
def export(
    run: RunArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; - for stdout (not for parquet).")],
    form: Annotated[str, typer.Option("--format", "-f", help="jsonl, sft, parquet or dpo.")] = "jsonl",
    margin: Annotated[float, typer.Option(help="dpo: least difference of the returns of a pair.")] = 0.0,
    pairs: Annotated[str, typer.Option(help="dpo: best-worst of each group, or all.")] = "best-worst",
    keep_references: Annotated[
        bool, typer.Option("--keep-references", help="jsonl, parquet: keep accepted answers. Not for publication.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a run as JSON lines, chats for supervised tuning, a Parquet data set, or preference pairs."""
    from agentgym.core.errors import ConfigError, unknown_name
    from agentgym.rollout import exports
    from agentgym.rollout.storage import read_config, read_run

    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)
    if pairs not in ("best-worst", "all"):
        raise unknown_name("rule for pairs", pairs, ("best-worst", "all"))
    if keep_references and form in ("sft", "dpo"):
        raise ConfigError(f"--format {form} has no place for references.")
    if str(out) != "-" and out.exists() and not force:
        raise ConfigError(f"{str(out)!r} exists already. Add --force to overwrite it, or name another file.")
    chat = exports.ChatForm.of_run(read_config(run))
    records = read_run(run)
    if form == "parquet":
        if str(out) == "-":
            raise ConfigError("Parquet can't go to stdout; name a file.")
        rows = exports.dataset_rows(records, references=keep_references)
        count = _write_parquet(out, rows, exports.dataset_schema(references=keep_references))
    else:
        made: Iterable[Mapping[str, Any]]
        if form == "jsonl":
            made = exports.jsonl_rows(records, references=keep_references)
        elif form == "sft":
            made = exports.sft_rows(records, chat)
        else:
            made = exports.dpo_rows(records, chat, margin=margin, pairs="all" if pairs == "all" else "best-worst")
        count = _write_lines(out, made)
    typer.echo(f"{count} rows in {out}", err=True)
    if not count:
        typer.echo("agentgym: nothing in the run fits this format (see agentgym data stats).", err=True)


def _write_lines(out: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    import json
    import sys

    def write(file: Any) -> int:
        count = 0
        for row in rows:
            file.write(json.dumps(row, default=str) + "\n")
            count += 1
        return count

    if str(out) == "-":
        return write(sys.stdout)
    partial = out.with_name(out.name + ".partial")
    with _writing(out), partial.open("w", encoding="utf-8") as file:
        count = write(file)
    partial.replace(out)
    return count


def _write_parquet(out: Path, rows: Iterable[Mapping[str, Any]], schema: Any) -> int:
    from itertools import islice

    import pyarrow as pa
    import pyarrow.parquet as pq

    partial, count, source = out.with_name(out.name + ".partial"), 0, iter(rows)
    with _writing(out), pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        while chunk := list(islice(source, 256)):
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
            count += len(chunk)
    partial.replace(out)
    return count


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """A folder that isn't there or can't be written is the user's mistake."""
    from agentgym.core.errors import ConfigError

    try:
        yield
    except OSError as error:
        raise ConfigError(f"{str(out)!r} can't be written: {error.strerror}") from None
