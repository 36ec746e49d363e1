"""``agentgym init``: a working environment to start from."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer

FILES = {
    "pyproject.toml.tmpl": "pyproject.toml",
    "test_env.py.tmpl": "tests/test_$module.py",
    "__init__.py.tmpl": "$module/__init__.py",
    "game.py.tmpl": "$module/game.py",
    "tasks.py.tmpl": "$module/tasks.py",
    "rewards.py.tmpl": "$module/rewards.py",
    "expert.py.tmpl": "$module/expert.py",
    "cheats.py.tmpl": "$module/cheats.py",
    "README.md.tmpl": "$module/README.md",
}


def init(
    name: Annotated[str, typer.Argument(help="Name of the environment, for example lost-things.")],
    folder: Annotated[Path, typer.Option(help="Where to put the new folder.")] = Path(),
    namespace: Annotated[str, typer.Option(help="First part of the environment's id.")] = "",
) -> None:
    """Write a working environment to start from: game, tasks, rewards, expert and cheats, as an installable package."""
    from agentgym.core.errors import ConfigError

    words = re.findall(r"[a-z0-9]+", name.lower())
    module = "_".join(words)
    if not module.isidentifier() or keyword.iskeyword(module):
        raise ConfigError(
            f"{name!r} gives no Python module name. Use letters, digits and dashes, beginning with a letter."
        )
    target = folder / "-".join(words)
    if target.exists():
        raise ConfigError(f"{str(target)!r} exists already.")
    values = {
        "module": module,
        "distribution": "-".join(words),
        "class_name": "".join(word.capitalize() for word in words),
        "namespace": namespace or "my",
    }
    templates = Path(__file__).with_name("template")
    for source, place in FILES.items():
        path = target / Template(place).substitute(values)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template((templates / source).read_text("utf-8")).substitute(values), "utf-8")
    env_id = f"{values['namespace']}/{values['class_name']}-v0"
    print(f"Wrote {target}. Next:\n  pip install -e {target}\n  agentgym check {env_id}\n  agentgym play {env_id}")
