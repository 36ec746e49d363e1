"""Ways of doing a task wrongly, made from what its expert does: other values, other rows, more than asked, undone."""

import re
from dataclasses import dataclass

from agentgym.core.actions import Action
from agentgym.core.seeding import derive_rng
from agentgym.environments.web.expert import WebExpert
from agentgym.environments.web.guide import control_kinds, labels
from agentgym.environments.web.sites import SITES
from agentgym.environments.web.tasks import make_task, template
from agentgym.tools.browser.roles import input_type

MOST = 60
"""Turns after which somebody who does another task gives up."""


@dataclass
class Step:
    """One turn of the expert."""

    before: object
    """A snapshot."""
    action: Action
    url: str
    control: object
    """The element that the action names; None where it names none."""
    held: str
    """What that element held."""

    @property
    def message(self):
        return told(self.action)

    @property
    def ref(self):
        return self.action.arguments.get("bid", "")


def told(action):
    """An action as the agent writes it."""
    return f"{action.name}({', '.join(repr(value) for value in action.arguments.values())})"


def tasks_that_write(name, count):
    """Tasks of a template in which something has to be written, or would have if the user agreed."""
    tasks = (make_task("train", number, (name,), 0.0, template(name).sites) for number in range(12))
    found = [task for task in tasks if task.reference["goal"]["wants"] or task.reference["goal"]["confirm"]]
    agreed = [task for task in found if task.reference["goal"]["wants"]]
    refused = [task for task in found if not task.reference["goal"]["wants"]]
    return (*agreed[:count], *refused[:1])


def held(page, action):
    """The element that an action names, and what it holds."""
    if "bid" not in action.arguments:
        return None, ""
    element = page.document.elements[page.view.refs[int(action.arguments["bid"][1:]) - 1]]
    match control_kinds(element):
        case "write":
            return element, page.controls.text(element)
        case "choose":
            return element, page.controls.shown(element)
    return element, ""


def written(changes):
    """What was written, cell by cell, without the keys of new rows."""
    cells = set()
    for change in changes:
        where = (change.site, change.table)
        if change.before is None:
            row = sorted((key, value) for key, value in change.after.items() if key not in ("id", "slug"))
            cells.add((*where, "new", str(row)))
        elif change.after is None:
            cells.add((*where, "gone", change.row))
        else:
            cells |= {(*where, change.row, column, change.after[column]) for column in change.columns}
    return sorted(cells, key=str) if len(cells) == len(changes) else sorted([*cells, len(changes)], key=str)


def other_values(step):
    """Messages that give a control another value than the expert does."""
    match step.action.name:
        case "fill":
            yield f"fill({step.ref!r}, {another(str(step.action.arguments['value']))!r})"
        case "select_option":
            offered = [name for name in labels(step.control) if name != step.action.arguments["options"]]
            yield from (f"select_option({step.ref!r}, {name!r})" for name in offered[-2:])
        case "check" | "uncheck":
            yield "noop()"


def another(value):
    """Another value of the same form."""
    last = next((i for i in reversed(range(len(value))) if value[i].isdecimal()), None)
    if last is not None:
        return f"{value[:last]}{(int(value[last]) + 1) % 8 + 1}{value[last + 1 :]}"
    return f"x{value}" if "@" in value else f"{value} and more"


def other_rows(page, step):
    """Clicks on links and buttons that look like the one the expert clicks."""
    if step.action.name != "click":
        return
    elements = [page.document.elements[index] for index in page.view.refs]
    same = [
        f"a{n}" for n, item in enumerate(elements, 1) if item is not step.control and _look(item) == _look(step.control)
    ]
    yield from (f"click({ref!r})" for ref in same[:1] + same[1:][-1:])


def _look(element):
    return element.tag, re.sub(r"[\w.-]*\d+", "0", element.attrs.get("href", "")), element.attrs.get("type", "")


def other_fields(page, touched):
    """Messages that fill in one more control of the page."""
    for number, index in enumerate(page.view.refs, 1):
        ref, element = f"a{number}", page.document.elements[index]
        if ref in touched:
            continue
        match control_kinds(element):
            case "choose":
                offered = [name for name in labels(element) if name != page.controls.shown(element)]
                yield from (f"select_option({ref!r}, {name!r})" for name in offered[-1:])
            case "write":
                yield f"fill({ref!r}, {another(page.controls.text(element) or 'more')!r})"
            case _:
                if input_type(element) in ("checkbox", "radio"):
                    yield f"click({ref!r})"


class WrongWays:
    """Goes wrong ways in a task, and keeps the faults of its goal: paid, or not noticed.

    Args:
        env: An environment of the task's template.
        task: The task.
    """

    def __init__(self, env, task):
        self.env, self.task = env, task
        self.template, self.goal = template(task.data["template"]), task.reference["goal"]
        self.steps = list(self._expert())
        self.last = self.steps[-1]
        env.restore(self.last.before)
        self.right = written(env.game.changes)
        self.faults, self.gone = [], 0

    def _expert(self):
        env = self.env
        _, info = env.reset(seed=1, options={"task_id": self.task.task_id})
        while env.running:
            action, page = WebExpert(env.game).act(), env.game.browser.page
            yield Step(env.snapshot(), action, page.url, *held(page, action))
            *_, info = env.step(told(action))
        assert info["success"]

    def go(self, way, before, messages, *, never=False):
        """From somewhere on, then answers as the expert does. ``never``: wrong even where the same is written."""
        env = self.env
        env.restore(before)
        for message in messages:
            if env.running:
                env.step(message)
        if not env.running:
            return
        changes = env.game.changes
        now, noticed = written(changes), env.game.state.progress.wrong
        *_, info = env.step(self.last.message)
        if now == self.right and not never:
            return
        self.gone += 1
        if info["success"] or info["rewards"]["goal"]:
            self.faults.append((way, "paid", messages[:3], now))
        if set(now) - set(self.right) and not noticed:
            self.faults.append((way, "not noticed", messages[:3], now))
        if env.ledger.total > 0 and not info["success"]:
            self.faults.append((way, "rewarded", messages[:3], now))

    def all(self):
        """Every way that there is."""
        if self.goal["wants"]:
            self._bent()
            self._filled_in_more()
            self._after_the_deed()
        if self.goal["confirm"]:
            self._without_leave()
        self._of_another_task()
        return self

    def _bent(self):
        """The expert's own way, but for one value or one row."""
        messages = [step.message for step in self.steps[:-1]]
        for i, step in enumerate(self.steps[:-1]):
            self.env.restore(step.before)
            rows = list(other_rows(self.env.game.browser.page, step))
            for way, variants in (("value", other_values(step)), ("row", rows)):
                for variant in variants:
                    self.go(way, step.before, [variant, *messages[i + 1 :]])

    def _filled_in_more(self):
        """The right form, with one field too many."""
        for i, step in enumerate(self.steps[:-1]):
            self.env.restore(self.steps[i + 1].before)
            after = written(self.env.game.changes)
            self.env.restore(step.before)
            if written(self.env.game.changes) != after:
                touched = {other.ref for other in self.steps[: i + 1] if other.url == step.url}
                messages = [other.message for other in self.steps[i:-1]]
                for variant in list(other_fields(self.env.game.browser.page, touched)):
                    self.go("field", step.before, [variant, *messages])

    def _after_the_deed(self):
        """Twice, and undone."""
        home = f"goto({self.task.data['start']!r})"
        self.go("twice", self.last.before, [home, *(step.message for step in self.steps[:-1])])
        self.go("undone", self.last.before, [home, *map(_back, self.steps[:-1])])

    def _without_leave(self):
        """Without the question, or against the answer."""
        if self.goal["wants"]:
            asked = [step.message for step in self.steps[:-1] if step.action.name != "send_msg_to_user"]
            self.go("unasked", self.steps[0].before, asked, never=True)
        else:
            notes = {**self.task.data["notes"], "agrees": True}
            self.go("refused", self.steps[0].before, self._solution(self.steps[0].before, notes))

    def _of_another_task(self):
        """Tasks of the same template in the same world: instead of this one, and after it."""
        for number in range(2):
            draft = self.template.draw(self.task.data["world"], derive_rng("another", self.task.task_id, number))
            if draft.goal.wants:
                for way, step in (("another", self.steps[0]), ("one more", self.last)):
                    self.go(way, step.before, self._solution(step.before, draft.notes))

    def _solution(self, before, notes):
        """What the expert does who takes the task for another."""
        env, home = self.env, SITES[self.template.sites[0]].home
        env.restore(before)
        known = env.game.changes
        messages = [f"goto({home!r})"]
        env.step(messages[0])
        while env.running and len(messages) < MOST:
            changes = tuple(change for change in env.game.changes if change not in known)
            seen = frozenset(env.game.state.progress.goal.evidence[i] for i in env.game.state.progress.seen)
            guide = self.template.guide(env.game.browser, changes, env.game.state.progress.asked, seen, home)
            action = self.template.solve(guide, notes)
            asks = str(action.arguments.get("text", "")).endswith("?")
            if action.name in ("send_msg_to_user", "report_infeasible") and not asks:
                break
            messages.append(told(action))
            env.step(messages[-1])
        return messages


def _back(step):
    """The action that gives a control what it held before."""
    if step.action.name in ("fill", "select_option"):
        return f"{step.action.name}({step.ref!r}, {step.held!r})"
    name = {"check": "uncheck", "uncheck": "check"}.get(step.action.name)
    return f"{name}({step.ref!r})" if name else step.message
