"""``agentgym``: the entry point, and how errors look.

A mistake of the user is one line on stderr and exit code 2, never a traceback. Ctrl-C exits with 130. Commands import
what they need when they run, so that ``agentgym --help`` is quick.
"""

from __future__ import annotations

import os
import sys

import typer

from agentgym.cli import check, credit, data, doctor, envs, init, play, retriever, rollout, show, swe, train, web
from agentgym.core.errors import AgentGymError

app = typer.Typer(
    name="agentgym",
    help="Multi-turn environments for language-model agents, with turn-level rewards and step-level credit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command("envs")(envs.envs)
app.command("rollout")(rollout.rollout)
app.command("show")(show.show)
app.command("play")(play.play)
app.command("train")(train.train)
app.command("check")(check.check)
app.command("init")(init.init)
app.command("doctor")(doctor.doctor)
app.add_typer(credit.app, name="credit")
app.add_typer(data.app, name="data")
app.add_typer(retriever.app, name="retriever")
app.add_typer(swe.app, name="swe")
app.add_typer(web.app, name="web")


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except AgentGymError as error:
        print(f"agentgym: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("agentgym: interrupted.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away: `agentgym show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
