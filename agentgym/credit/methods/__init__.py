"""The methods: frozen dataclasses that bind parameters and take a `Batch`. Importing registers them all."""

from agentgym.credit.methods import outcome, released, signals, token_gae, turns

__all__ = ["outcome", "released", "signals", "token_gae", "turns"]
