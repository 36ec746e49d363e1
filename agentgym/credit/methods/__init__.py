"""The methods: frozen dataclasses that bind parameters and take a `Batch`. Importing registers them all."""

from agentgym.credit.methods import (
    outcome,
    process,
    redistribution,
    released,
    signals,
    token_gae,
    token_returns,
    trees,
    turns,
)

__all__ = [
    "outcome",
    "process",
    "redistribution",
    "released",
    "signals",
    "token_gae",
    "token_returns",
    "trees",
    "turns",
]
