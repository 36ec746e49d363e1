"""Search: multi-hop questions over a corpus, with turn-level rewards and a real retriever."""

from agentgym.environments.search.official import score
from agentgym.rules.answers import normalize_answer

__all__ = ["normalize_answer", "score"]
