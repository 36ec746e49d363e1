"""Solves any task of the web environment through its public actions."""

from __future__ import annotations

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.game import WebGame
from agentgym.environments.web.guide import control_kinds, labels
from agentgym.environments.web.sites import SITES
from agentgym.environments.web.tasks import template

_WORDS = ("Ada", "12", "done", "555-1234", "a@b.example", "")


class WebExpert:
    """Follows the template's own way, wherever the episode stands. It knows what to look for, not where it stands."""

    def __init__(self, game: WebGame) -> None:
        self.game = game

    def act(self) -> Action:
        """See ``Expert.act``."""
        state = self.game.state
        progress = state.progress
        seen = frozenset(progress.goal.evidence[i] for i in progress.seen)
        way = template(state.template)
        home = SITES[way.sites[0]].home
        return way.solve(way.guide(self.game.browser, self.game.changes, progress.asked, seen, home), state.notes)

    def mistake(self, rng: np.random.Generator) -> Action:
        """See ``Expert.mistake``: wrong links, wrong values, going back, references that aren't there."""
        page = self.game.browser.page
        kind = int(rng.integers(10))
        if kind == 0:
            return Action("go_back", {})
        if kind == 1 or not page.view.refs:
            return Action("click", {"bid": f"a{int(rng.integers(1, 60))}"})
        place = int(rng.integers(len(page.view.refs)))
        ref, element = f"a{place + 1}", page.document.elements[page.view.refs[place]]
        match control_kinds(element):
            case "choose":
                offered = labels(element)
                return Action("select_option", {"bid": ref, "options": offered[int(rng.integers(len(offered)))]})
            case "write":
                return Action("fill", {"bid": ref, "value": _WORDS[int(rng.integers(len(_WORDS)))]})
        return Action("click", {"bid": ref})
