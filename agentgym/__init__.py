"""Gymnasium-style multi-turn environments for language-model agents."""

__version__ = "0.1.0"
