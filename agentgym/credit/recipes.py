"""Published methods that are a reward scheme of the environment plus a credit method: what to combine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """A scheme that shapes the turn rewards, and the method that turns them into advantages.

    Args:
        name: Published name.
        scheme: Function of `agentgym.core.schemes` that builds it.
        method: Registered credit method.
        summary: One line.
        paper: Where it comes from.
    """

    name: str
    scheme: str
    method: str
    summary: str
    paper: str


_ALL = (
    Recipe("gra", "gra", "turn_rloo", "Immediate rewards count once the outcome reaches its gate.", "arXiv 2508.10548"),
    Recipe("gra_swe", "gra_swe", "turn_rloo", "G-RA where step rewards need a submitted patch.", "arXiv 2508.10548"),
    Recipe("hrm", "hrm", "grpo", "A level counts only if every higher level passes.", "arXiv 2603.06065"),
    Recipe("searchllm", "searchllm", "grpo", "A failed bottom line sets the total to a floor.", "arXiv 2603.10473"),
    Recipe("posterior_grpo", "posterior_grpo", "grpo", "Process reward times outcome success.", "arXiv 2508.05170"),
    Recipe("ppr", "ppr", "turn_rloo", "Process reward plus outcome minus 1, a step.", "arXiv 2509.25598"),
    Recipe("atom_searcher", "atom_searcher", "grpo", "Process weight falls over training.", "arXiv 2508.12800"),
    Recipe("toolrl", "toolrl", "grpo", "Format fades while correctness grows.", "arXiv 2504.13958"),
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
"""Recipes by name, for `agentgym credit list`."""
