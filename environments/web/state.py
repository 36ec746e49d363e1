"""What changes during a web episode besides the browser and the sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agentgym.environments.web.goals import Goal, Standing, form_share, place_of, right_answer, standing
from agentgym.environments.web.rewards import MAX_READING, MAX_REPEATS, MAX_WRONG
from agentgym.environments.web.sites.changes import Change
from agentgym.tools.browser.actions import INFEASIBLE
from agentgym.tools.browser.transport import Logged


@dataclass
class Progress:
    """How far an episode has come; pure data, updated turn by turn."""

    goal: Goal
    share: float = 0.0
    wrong: int = 0
    reached: int = 0
    """Places of the route that were opened in order."""
    visited: list[int] = field(default_factory=list)
    """Numbers of the required places that were opened."""
    seen: list[int] = field(default_factory=list)
    """Numbers of the pieces of evidence that were read."""
    form: float = 0.0
    repeats: int = 0
    done: list[tuple[str, str]] = field(default_factory=list)
    """State and action of each turn so far."""
    asked: str = ""
    """What the user replied to the first question."""
    asked_first: bool = False
    """The question came before any change."""

    @classmethod
    def start(cls, goal: Goal) -> Progress:
        """At the beginning of a task, with nothing changed."""
        return cls(goal, share=standing(goal, ()).share)

    # ------------------------------------------------------------------ what a turn is worth

    def requests(self, requests: Sequence[Logged]) -> dict[str, float]:
        """Takes the pages asked for in this turn."""
        goal, before = self.goal, self.reached
        for request in requests:
            if request.method != "GET" or request.status != 200:
                continue
            for number, place in enumerate(goal.visited):
                if number not in self.visited and place.matches(request.path, request.query, request.host):
                    self.visited.append(number)
            if self.reached < len(goal.route) and goal.route[self.reached].matches(
                request.path, request.query, request.host
            ):
                self.reached += 1
        parts: dict[str, float] = {}
        if goal.route:
            parts["milestone"] = (self.reached - before) / len(goal.route)
        share = form_share(goal, requests)
        if share is not None:
            parts["form_progress"] = max(share - self.form, 0.0)
            self.form = max(share, self.form)
        return parts

    def database(self, changes: Sequence[Change]) -> dict[str, float]:
        """Takes the net changes after this turn."""
        now = standing(self.goal, changes)
        wrong = min(now.wrong, MAX_WRONG)
        parts = {"wrong_write": float(self.wrong - wrong)}
        if self.goal.wants:
            parts["goal_delta"] = now.share - self.share
        self.share, self.wrong = now.share, wrong
        return parts

    def read(self, text: str) -> dict[str, float]:
        """Takes what the agent reads in this turn."""
        for number, piece in enumerate(self.goal.evidence):
            if number not in self.seen and piece in text:
                self.seen.append(number)
        return {"reading": max(-len(text) / 1000.0, -MAX_READING)}

    def repeated(self, state: str, action: str) -> dict[str, float]:
        """Takes the state in which an action was done, and the action."""
        key = (state, action)
        if key not in self.done:
            self.done.append(key)
            return {}
        if self.repeats >= MAX_REPEATS:
            return {}
        self.repeats += 1
        return {"repeat": -1.0}

    # ------------------------------------------------------------------ the end

    @property
    def evidence(self) -> float:
        """Share of the evidence that was read; 1 when none is needed."""
        return len(self.seen) / len(self.goal.evidence) if self.goal.evidence else 1.0

    def question(self, changes: Sequence[Change]) -> str:
        """The user's reply to a question."""
        if not self.goal.confirm:
            return "I can't tell you more than the task says."
        if not self.asked:
            self.asked, self.asked_first = self.goal.confirm, not changes
        return self.asked

    def judge(self, text: str, url: str, changes: Sequence[Change], *, infeasible: bool) -> dict[str, float]:
        """Outcome components of the last turn; ``text`` is the answer, or why the task can't be done."""
        goal, now = self.goal, standing(self.goal, changes)
        said = self._said(text, infeasible)
        parts = {"goal": float(said and self._holds(now, url))}
        if goal.evidence:
            parts["evidence"] = self.evidence
        if goal.answer is not None:
            parts["answer"] = float(said)
        return parts

    def _said(self, text: str, infeasible: bool) -> bool:
        goal = self.goal
        if goal.infeasible or infeasible:
            words = text.strip().lower()
            reason = next((item for item in INFEASIBLE if words.startswith(item)), "")
            return infeasible and bool(goal.infeasible) and reason == goal.infeasible
        return goal.answer is None or right_answer(goal.answer, text)

    def _holds(self, now: Standing, url: str) -> bool:
        goal = self.goal
        host = urlsplit(url).hostname or ""
        shown = goal.final is None or (goal.final.matches(*place_of(url), host) and host != "")
        return (
            now.share == 1.0
            and now.wrong == 0
            and len(self.visited) == len(goal.visited)
            and shown
            and (not goal.must_see or self.evidence == 1.0)
            and (not goal.confirm or self.asked_first)
        )
