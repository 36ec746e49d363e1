"""Tasks in the issue tracker."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Answer, Goal, Place, Want
from agentgym.environments.web.guide_kit import KitGuide
from agentgym.environments.web.sites.issues.world import PRIORITIES, STATUSES
from agentgym.environments.web.sites.kit.world import pick, sample
from agentgym.environments.web.sites.world import World
from agentgym.environments.web.template import Draft, Template

Notes = Mapping[str, Any]

_HOST = "issues.test"
ISSUES = (
    "SELECT id, _title AS title, _priority AS priority, _status AS status, _assignedto AS assignedto,"
    " _creator AS creator, _creation AS creation FROM _issue ORDER BY id"
)
_USERS = "SELECT id, _username AS name FROM _user WHERE id > 2 ORDER BY id"
_REOPENED = (1, 7, 8)
"""Statuses that a message turns into ``chatting``."""
_CHATTING = 3
_COMMENTS = (
    "I see the same here.",
    "This is fixed in my branch.",
    "It only happens at night.",
    "See the mail of today.",
)
_FACTS = {
    "version": "With which version did the problem '{title}' begin, as the issue says? Answer with the version only.",
    "code": "Which code does the message have that the issue '{title}' names? Answer with the code only.",
    "count": "How many people have asked for it this month, as the issue '{title}' says? Answer with the number only.",
}
_SAID = {"version": "with version {}", "code": "The message is {}.", "count": "{} people have asked"}


class IssuesGuide(KitGuide):
    """The tracker. Its controls mostly have no labels; they are found by their names in the form."""

    def issue(self, key: int) -> Action | None:
        """Opens an issue by its number; None once it is open."""
        return None if self.path == f"/issue{key}" else self.send({"@number": str(key)}, "Show issue:")

    def form(self, address: str) -> Action | None:
        """Opens a form of the menu by its address; None once it is open."""
        path, _, template = address.partition("?@template=")
        here = self.path == f"/{path}" and self.query.get("@template", "") == template
        return None if here else self.link_to(address) or self.away()


def issue_place(key: int) -> Place:
    """The page of an issue."""
    return Place(f"/issue{key}", {}, _HOST)


def me(world: World) -> int:
    """The visitor's key."""
    row = world.rows("SELECT _user.id FROM _user JOIN agentgym_world ON _username = visitor")[0]
    return int(row["id"])


# ------------------------------------------------------------------ looking up and comparing


def _detail(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows("SELECT issue, name, value, _title AS title FROM agentgym_fact JOIN _issue ON id = issue")
    row = pick(rng, rows)
    name, value = row["name"], row["value"]
    kind: Any = "number" if name == "count" else "text"
    goal = Goal(
        answer=Answer(kind, int(value) if name == "count" else value), route=(issue_place(row["issue"]),),
        evidence=(_SAID[name].format(value),), must_see=True,
    )  # fmt: skip
    text = f"{_FACTS[name].format(title=row['title'])} It is issue {row['issue']}."
    return Draft(text, goal, {"id": row["issue"], "answer": value})


def _solve_detail(guide: IssuesGuide, notes: Notes) -> Action:
    return guide.issue(notes["id"]) or guide.answer(notes["answer"])


def _older(world: World, rng: np.random.Generator) -> Draft:
    one, two = sample(rng, world.rows(ISSUES), 2)
    best = min(one, two, key=lambda row: row["creation"])
    shown = [_created(row) for row in (one, two)]
    goal = Goal(
        answer=Answer("text", PRIORITIES[best["priority"] - 1]),
        route=(issue_place(one["id"]), issue_place(two["id"])), evidence=tuple(shown), must_see=True,
    )  # fmt: skip
    text = (
        f"Take the older one of the issues '{one['title']}' ({one['id']}) and '{two['title']}' ({two['id']}), by the"
        " date of creation. What is its priority? Answer with the priority only."
    )
    all_ = [[row["id"], words] for row, words in zip((one, two), shown, strict=True)]
    return Draft(text, goal, {"all": all_, "answer": PRIORITIES[best["priority"] - 1]})


def _created(row: Mapping[str, Any]) -> str:
    stamp = row["creation"]
    return f"Created on {stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}"


def _solve_older(guide: IssuesGuide, notes: Notes) -> Action:
    for key, shown in notes["all"]:
        if shown not in guide.seen:
            return guide.issue(key) or guide.away()
    return guide.answer(notes["answer"])


def _count(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows("SELECT _status AS status, count(*) AS n FROM _issue GROUP BY _status ORDER BY _status"))
    name = STATUSES[row["status"] - 1]
    goal = Goal(
        answer=Answer("number", row["n"]), route=(Place("/issue", {"@template": "search"}, _HOST),),
        evidence=(f"out of {row['n']} |",), must_see=True,
    )  # fmt: skip
    text = f"How many issues have the status {name}? Search for them, then answer with the number only."
    return Draft(text, goal, {"status": name, "key": str(row["status"]), "answer": row["n"]})


def _solve_count(guide: IssuesGuide, notes: Notes) -> Action:
    if guide.path == "/issue" and guide.query.get("status") == notes["key"]:
        return guide.answer(notes["answer"])
    return guide.form("issue?@template=search") or guide.send({"status": notes["status"]}, "Search")


# ------------------------------------------------------------------ writing


def noted(world: World, row: Mapping[str, Any], text: str) -> tuple[Want, ...]:
    """A message about an issue, and the status that follows from it."""
    said = Want("message", "add", {"issue": row["id"], "author": me(world), "text": text})
    if row["status"] not in _REOPENED:
        return (said,)
    return said, Want("issue", "change", {"status": _CHATTING}, row["id"])


def _comment(world: World, rng: np.random.Generator) -> Draft:
    row, text = pick(rng, world.rows(ISSUES)), pick(rng, _COMMENTS)
    goal = Goal(wants=noted(world, row, text), route=(issue_place(row["id"]),))
    task = f"Add the note '{text}' to the issue '{row['title']}' ({row['id']}). Set no status; the tracker does."
    return Draft(task, goal, {"id": row["id"], "form": {"@note": text}, "table": "message"})


def _edit(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows(ISSUES))
    user = pick(rng, [item for item in world.rows(_USERS) if item["id"] != row["assignedto"]])
    priority = pick(rng, [number for number in range(1, 6) if number != row["priority"]])
    values = {"assignedto": user["id"], "priority": priority}
    goal = Goal(wants=(Want("issue", "change", values, row["id"]),), route=(issue_place(row["id"]),))
    name = PRIORITIES[priority - 1]
    task = f"Assign the issue '{row['title']}' ({row['id']}) to {user['name']} and set its priority to {name}."
    form = {"priority": name, "assignedto": user["name"]}
    return Draft(task, goal, {"id": row["id"], "form": form, "table": "issue"})


def _resolve(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, [item for item in world.rows(ISSUES) if item["status"] != 8])
    wants = (Want("issue", "change", {"status": 8}, row["id"]),)
    goal = Goal(wants=wants, route=(issue_place(row["id"]),))
    task = f"The issue '{row['title']}' ({row['id']}) is done: set its status to resolved, without a note."
    return Draft(task, goal, {"id": row["id"], "form": {"status": "resolved"}, "table": "issue"})


def _solve_change(guide: IssuesGuide, notes: Notes) -> Action:
    if guide.sent(notes["table"]):
        return guide.answer("done")
    return guide.issue(notes["id"]) or guide.send(notes["form"], "Submit Changes")


def _create(world: World, rng: np.random.Generator) -> Draft:
    keyword = pick(rng, world.rows("SELECT id, _name AS name FROM _keyword ORDER BY id"))
    part, fault = pick(rng, ("Menu", "Icon", "Button", "Dialogue")), pick(rng, ("hidden", "too small"))
    title = f"{part} of {keyword['name']} is {fault}"
    number, text = int(rng.integers(1, 6)), pick(rng, _COMMENTS)
    values = {"title": title, "priority": number, "status": 1, "assignedto": None}
    wants = (
        Want("issue", "add", values),
        Want("message", "add", {"author": me(world), "text": text}),
        Want("issue_keyword", "add", {"keyword": keyword["id"]}),
    )
    goal = Goal(wants=wants, route=(Place("/issue", {"@template": "item"}, _HOST),))
    name = PRIORITIES[number - 1]
    task = (
        f"Create an issue with the title '{title}', priority {name}, keyword {keyword['name']} and the note '{text}'."
        " Leave all other fields as they are."
    )
    form = {"title": title, "priority": name, "keyword": keyword["name"], "@note": text}
    return Draft(task, goal, {"form": form})


def _solve_create(guide: IssuesGuide, notes: Notes) -> Action:
    if guide.sent("issue"):
        return guide.answer("done")
    return guide.form("issue?@template=item") or guide.send(notes["form"], "Submit New Entry")


def _remove(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(
        "SELECT linkid AS msg, nodeid AS issue, _title AS title, _status AS status FROM issue_messages JOIN _issue ON"
        " _issue.id = nodeid WHERE linkid > (SELECT min(linkid) FROM issue_messages AS own WHERE own.nodeid ="
        " issue_messages.nodeid) AND _status NOT IN (1, 7, 8) ORDER BY linkid"
    )
    row = pick(rng, rows)
    goal = Goal(wants=(Want("message", "delete", {}, row["msg"]),), route=(issue_place(row["issue"]),))
    task = f"Remove the message msg{row['msg']} from the issue '{row['title']}' ({row['issue']})."
    return Draft(task, goal, {"id": row["issue"], "msg": row["msg"]})


def _solve_remove(guide: IssuesGuide, notes: Notes) -> Action:
    if guide.sent("message", notes["msg"]):
        return guide.answer("done")
    there = guide.issue(notes["id"])
    if there is not None:
        return there
    lines = guide.page.view.refs
    after = False
    for number, index in enumerate(lines, 1):
        element = guide.page.document.elements[index]
        after = after or element.attrs.get("href") == f"msg{notes['msg']}"
        if after and element.attrs.get("value") == "remove":
            return Action("click", {"bid": f"a{number}"})
    return guide.away()


# ------------------------------------------------------------------ refused, or asked first


def _taken(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows("SELECT id, _name AS name FROM _keyword ORDER BY id"))
    goal = Goal(
        infeasible="not_allowed", evidence=(f'node with key "{row["name"]}" exists',), must_see=True,
        route=(Place("/keyword", {"@template": "item"}, _HOST),),
    )  # fmt: skip
    task = f"Create a second keyword that is named {row['name']} as well. If that is refused, say so."
    return Draft(task, goal, {"name": row["name"]})


def _solve_taken(guide: IssuesGuide, notes: Notes) -> Action:
    if guide.seen:
        return guide.report("not_allowed", "that keyword exists.")
    return guide.form("keyword?@template=item") or guide.send({"name": notes["name"]}, "Submit New Entry")


def _ask(world: World, rng: np.random.Generator) -> Draft:
    row, agrees = pick(rng, [item for item in world.rows(ISSUES) if item["status"] != 2]), bool(rng.integers(2))
    place = issue_place(row["id"])
    goal = Goal(
        wants=(Want("issue", "change", {"status": 2}, row["id"]),) if agrees else (),
        confirm="Yes, defer it." if agrees else "No, it has to be done now.", route=(place,), visited=(place,),
    )  # fmt: skip
    task = (
        f"I think that the issue '{row['title']}' ({row['id']}) can wait. Open it, ask me whether its status shall"
        " become deferred, and do what I say. Then answer done."
    )
    return Draft(task, goal, {"id": row["id"], "agrees": agrees, "form": {"status": "deferred"}, "table": "issue"})


def _solve_ask(guide: IssuesGuide, notes: Notes) -> Action:
    if guide.asked:
        return _solve_change(guide, notes) if notes["agrees"] else guide.answer("done")
    return guide.issue(notes["id"]) or guide.answer(f"Shall issue {notes['id']} be deferred?")


_issues = partial(Template, sites=("issues",), guide=IssuesGuide)

TEMPLATES = (
    _issues("issues-detail", "look up", 0.3, _detail, _solve_detail),
    _issues("issues-older", "compare", 0.5, _older, _solve_older),
    _issues("issues-count", "navigate", 0.4, _count, _solve_count),
    _issues("issues-comment", "create", 0.4, _comment, _solve_change),
    _issues("issues-create", "create", 0.6, _create, _solve_create),
    _issues("issues-edit", "edit", 0.5, _edit, _solve_change),
    _issues("issues-resolve", "edit", 0.4, _resolve, _solve_change, held_out=True),
    _issues("issues-remove", "delete", 0.5, _remove, _solve_remove),
    _issues("issues-keyword-taken", "infeasible", 0.5, _taken, _solve_taken),
    _issues("issues-ask-before-deferring", "confirm", 0.5, _ask, _solve_ask),
)
