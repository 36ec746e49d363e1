"""Recorded messages, played back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.core.policy import Completion, Policy, Renderer, Request
from agentgym.core.text import TruncatedMessage
from agentgym.policies.scripted import written


class ReplayPolicy(Policy):
    """Writes what was written before, episode by episode and turn by turn.

    With the run's environment and seeds the environment answers as it did then, so that stored episodes can be
    re-executed, or given the tokens of another model.

    Args:
        source: The messages of each episode by its id (a ``TruncatedMessage`` where a length limit cut it), or the
            folder of a finished run.
        renderer: As for ``ScriptedPolicy``.

    Raises:
        ConfigError: ``source`` is a path without recorded turns.
    """

    name = "replay"

    def __init__(self, source: Mapping[str, Sequence[str]] | str | Path, renderer: Renderer | None = None) -> None:
        self._messages = read_messages(Path(source)) if isinstance(source, str | Path) else source
        self.renderer = renderer

    async def act(self, request: Request) -> Completion:
        """See ``Policy.act``. An episode or a turn that was not recorded is a fault of the policy."""
        messages = self._messages.get(request.episode_id)
        if messages is None:
            raise Fault(Boundary.POLICY, f"No episode {request.episode_id!r} was recorded.")
        if request.turn >= len(messages):
            raise Fault(
                Boundary.POLICY,
                f"Episode {request.episode_id!r} was recorded with {len(messages)} turns and now asks for one more: the"
                " environment answered differently.",
            )
        return written(messages[request.turn], self.renderer)


def read_messages(run: Path) -> dict[str, list[str]]:
    """The policy's messages of every stored episode of a run, by episode id."""
    files = sorted((run / "turns").glob("*.parquet"))
    if not files:
        raise ConfigError(f"{str(run)!r} holds no recorded turns. Expected the folder of a finished run.")
    messages: dict[str, list[str]] = {}
    for file in files:
        table = pq.read_table(file, columns=["trajectory_id", "index", "message", "message_truncated"])
        for row in sorted(table.to_pylist(), key=lambda row: (row["trajectory_id"], row["index"])):
            text = TruncatedMessage(row["message"]) if row["message_truncated"] else row["message"]
            messages.setdefault(row["trajectory_id"], []).append(text)
    return messages
