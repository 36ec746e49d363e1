"""``agentgym envs``: what can be made."""

from __future__ import annotations

from typing import Annotated

import typer


def envs(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the registered environments."""
    import json

    from agentgym.core.registration import env_ids, game_target
    from agentgym.core.registry import load

    rows = []
    for env_id in env_ids():
        target = game_target(env_id)
        row = {"id": env_id, "game": target, "summary": ""}
        try:
            row["summary"] = (load(target).__doc__ or "").strip().partition("\n")[0]
        except ImportError as error:
            row["summary"] = f"not available: {error}"
        rows.append(row)
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    width = max((len(row["id"]) for row in rows), default=0)
    for row in rows:
        print(f"{row['id']:<{width}}  {row['summary']}")
