"""The expert: it knows the proof, searches for each of its steps, and answers."""

from __future__ import annotations

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.search.game import SearchGame

_WRONG_ANSWERS = ("yes", "no", "unanswerable", "1850", "2")


class Expert:
    """Searches for the steps of the proof that no document seen so far states, in order, then answers."""

    def __init__(self, game: SearchGame) -> None:
        self.game = game

    def act(self) -> Action:
        """The next search that was not made yet, or the answer."""
        state = self.game.state
        queries = state.queries or (state.question,)
        for step, query in enumerate(queries):
            if step not in state.covered and query not in state.asked:
                return Action("search", {"query": query})
        return Action("answer", {"text": state.answers[0]})

    def mistake(self, rng: np.random.Generator) -> Action:
        """A search for something else, a document opened for nothing, or a hasty answer."""
        state, draw = self.game.state, rng.random()
        if draw < 0.2:
            return Action("answer", {"text": _WRONG_ANSWERS[int(rng.integers(len(_WRONG_ANSWERS)))]})
        if draw < 0.4 and state.last:
            return Action("open", {"doc": str(1 + int(rng.integers(len(state.last))))})
        words = state.question.rstrip("?").split()
        start = int(rng.integers(len(words)))
        return Action("search", {"query": " ".join(words[start : start + 3])})
