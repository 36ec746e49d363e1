"""``agentgym play``: a person plays an environment in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.options import EnvArg, full_id, key_values

if TYPE_CHECKING:
    from agentgym.core.env import AgentEnv, Snapshot

HELP = ":expert shows the expert's next message, :undo takes a turn back, :state renders, :help, :quit"


def play(
    env_id: Annotated[str, typer.Argument(metavar="ENV_ID")],
    task: Annotated[str, typer.Option(help="Task id; empty to draw one.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the episode.")] = 0,
    split: Annotated[str, typer.Option(help="Split that the task is drawn from.")] = "train",
    screenshots: Annotated[
        Path | None, typer.Option(help="Folder for a picture a turn, where the environment has any.")
    ] = None,
    env_arg: EnvArg = [],  # noqa: B006
) -> None:
    """Play an environment yourself."""
    from agentgym.core.errors import ConfigError
    from agentgym.core.registration import make

    env = make(full_id(env_id), split=split, render_mode="ansi", **key_values(env_arg, "--env-arg"))
    if screenshots is not None and not env.game.has_pictures:
        raise ConfigError("This environment has no pictures to store (web environments have some in Chromium).")
    observation, info = env.reset(seed=seed, options={"task_id": task} if task else None)
    print(f"task {info['task_id']}\n\n{env.system_prompt}\n\n({HELP})\n\n{observation}")
    history: list[Snapshot] = []
    _picture(env, screenshots, 0)
    while env.running:
        try:
            message = input("\n> ")
        except EOFError:
            print("\nEnd of input: the episode was left unfinished.")
            break
        if message.startswith(":"):
            if not _command(message.strip(), env, history):
                break
            continue
        if type(env.game).capabilities.snapshot:
            history.append(env.snapshot())
        observation, reward, _, _, info = env.step(message.replace("\\n", "\n"))
        print(f"\n{observation}\n\n{_account(env, float(reward), info)}")
        _picture(env, screenshots, int(info["turn"]))
    print(f"\ntotal reward {env.ledger.total:+.3f}  success {info.get('success', 'unknown')}")
    env.close()


def _picture(env: AgentEnv, folder: Path | None, turns: int) -> None:
    """Stores what is seen now, and says where."""
    if folder is None:
        return
    from agentgym.rollout.episode import picture_path

    path = picture_path(folder, env.task.task_id.replace("/", "-"), turns)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(env.game.screenshot())
    print(f"(picture: {path})")


def _account(env: AgentEnv, reward: float, info: dict[str, object]) -> str:
    raw = info["rewards"]
    parts = [f"{name} {value:+.3g}" for name, value in raw.items()] if isinstance(raw, dict) else []
    gates = "".join(f"  [{name}: {state}]" for name, state in env.ledger.gates.items())
    return f"(turn {info['turn']}: paid {reward:+.3f}; {', '.join(parts)}{gates})"


def _command(command: str, env: AgentEnv, history: list[Snapshot]) -> bool:
    """Does a command of the player. False: leave."""
    if command in (":quit", ":q"):
        return False
    if command == ":expert":
        print(env.expert_message() if type(env.game).expert else "This game has no expert.")
    elif command == ":state":
        print(env.render())
    elif command == ":undo":
        if history:
            env.restore(history.pop())
            print("\n\n".join(message["content"] for message in env.messages))
        else:
            print("Nothing to take back.")
    else:
        print(HELP)
    return True
