"""``agentgym show``: a stored episode, turn by turn, with its reward ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from agentgym.core.ledger import Entry
    from agentgym.core.records import Trajectory


def show(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    episode: Annotated[str, typer.Option("--episode", "-n", help="Its number or id; the first one by default.")] = "",
    list_all: Annotated[bool, typer.Option("--list", help="One line an episode instead.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Don't cut long observations.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Print an episode with its reward ledger, or list the episodes of a run."""
    import json

    from agentgym.core.errors import DataError
    from agentgym.rollout.storage import SCREENSHOTS, read_run

    if list_all:
        for trajectory in read_run(run):
            print(headline(trajectory))
        return
    wanted = f"e{int(episode):07d}" if episode.isdecimal() else episode
    for trajectory in read_run(run):
        if wanted in ("", trajectory.trajectory_id):
            if as_json:
                print(json.dumps(trajectory.to_dict(), default=str))
            else:
                print_episode(trajectory, None if full else 600, run / SCREENSHOTS)
            return
    raise DataError(f"{str(run)!r} holds no episode {episode!r}. List them with: agentgym show {run} --list")


def headline(trajectory: Trajectory) -> str:
    """One line: id, task, how it ended, what it was worth."""
    if trajectory.fatal is not None:
        ended = f"fault ({trajectory.fatal.boundary})"
    elif trajectory.truncated:
        ended = f"truncated ({trajectory.truncation_reason})"
    else:
        ended = "solved" if trajectory.success else "failed"
    return (
        f"{trajectory.trajectory_id}  {trajectory.task_id}  {len(trajectory.turns)} turns  {ended}  "
        f"reward {trajectory.total_reward:.3f}"
    )


def print_episode(trajectory: Trajectory, limit: int | None, screenshots: Path | None = None) -> None:
    """The episode on a terminal: what was read, written and paid in every turn, and where its pictures lie."""
    from rich.console import Console
    from rich.markup import escape
    from rich.rule import Rule

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(headline(trajectory))}[/bold]")
    console.print(escape(f"{trajectory.env_id}  policy {trajectory.policy}  group {trajectory.group_id}"))
    for name, state in trajectory.gates.items():
        console.print(escape(f"gate {name}: {state}"))
    for turn in trajectory.turns:
        console.print(Rule(f"turn {turn.index + 1}", align="left", style="dim"))
        console.print(escape(_cut(turn.observation, limit)), style="dim")
        _print_picture(console, trajectory, turn.index, screenshots)
        console.print(escape(f"> {_cut(turn.message, limit)}"), style="bold cyan")
        if turn.error:
            console.print(escape(f"not understood: {turn.error}"), style="red")
        elif not turn.action_executable:
            console.print("not executable here", style="yellow")
        for entry in (entry for entry in trajectory.ledger if entry.turn == turn.index):
            console.print(escape(f"    {_booking(entry)}"), style=_STYLES[entry.status])
        console.print(f"    paid now {turn.reward:+.3f}   earned {turn.attributed:+.3f}")
    console.print(Rule("end", align="left", style="dim"))
    console.print(escape(_cut(trajectory.final_observation, limit)), style="dim")
    _print_picture(console, trajectory, len(trajectory.turns), screenshots)
    for fault in trajectory.faults:
        told = " (the agent went on)" if fault.survived else ""
        line = f"fault at the {fault.boundary} in turn {fault.turn + 1}{told}: {fault.message}"
        console.print(escape(line), style="red")
    console.print(f"[bold]total {trajectory.total_reward:+.3f}[/bold]")


def _print_picture(console: Console, trajectory: Trajectory, turns: int, folder: Path | None) -> None:
    """A link to the picture of a turn; one that a branch inherited lies with its parent."""
    from rich.style import Style
    from rich.text import Text

    from agentgym.rollout.episode import picture_path

    for name in (trajectory.trajectory_id, trajectory.parent_id):
        path = picture_path(folder, name, turns) if folder is not None and name else None
        if path is not None and path.is_file():
            console.print(Text(f"screenshot {path}", Style(color="blue", link=path.resolve().as_uri())))
            return


_STYLES = {"paid": "green", "held": "yellow", "dropped": "red", "unweighted": "dim"}


def _booking(entry: Entry) -> str:
    """One component's line of the ledger."""
    text = f"{entry.component:<18} {entry.raw:+8.3f}  {entry.status}"
    if entry.status == "paid":
        later = f" in turn {entry.paid_turn + 1}" if entry.paid_turn != entry.turn else ""
        return f"{text} {entry.value:+.3f}{later}"
    return f"{text} by {entry.held_by}" if entry.held_by else text


def _cut(text: str, limit: int | None) -> str:
    from agentgym.core.actions import clip

    return text if limit is None else clip(text, limit)
