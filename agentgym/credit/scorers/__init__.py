"""Scorers that need a whole group but no learning: tournament ranks, selection, test weights."""

from agentgym.credit.scorers.arena import Arena
from agentgym.credit.scorers.selection import Dcpo, Prof
from agentgym.credit.scorers.verpo import Verpo

__all__ = ["Arena", "Dcpo", "Prof", "Verpo"]
