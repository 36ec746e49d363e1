"""Tasks in the wiki."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Answer, Goal, Place, Want
from agentgym.environments.web.guide_kit import KitGuide
from agentgym.environments.web.sites.kit.world import pick, sample
from agentgym.environments.web.sites.wiki.world import DEVICES
from agentgym.environments.web.sites.world import World
from agentgym.environments.web.template import Draft, Template

Notes = Mapping[str, Any]

_HOST = "wiki.test"
PAGES = "SELECT * FROM agentgym_page WHERE name != 'Home' ORDER BY id"
_QUESTIONS = {
    "room": ("In which room is the {}?", "the room", "{}"),
    "code": ("What is the code of the {}?", "the code", "{}"),
    "person": ("Whom does one ask about the {}?", "the full name", "{}"),
    "limit": ("What is the limit a month under {}?", "the number", "The limit is {} a month."),
    "day": ("On which day does the team {} meet?", "the day", "meets every {}."),
}
_NEW = ("Elevator", "Bicycles", "Fire-Drill", "Recycling", "First-Aid")
_TEXTS = ("Ask at the reception.", "The list hangs in the hall.", "This has to be done once a month.")


class WikiGuide(KitGuide):
    """The wiki."""

    def shown(self, name: str) -> Action | None:
        """Opens a page by the index at its side; None once it is open."""
        return None if self.path == f"/{name}" else self.link_to(f"/{name}") or self.away()

    def below(self, name: str, way: str) -> Action | None:
        """Opens a page's form by its link; None once it is open."""
        target = f"/{name}?edit" if way == "edit" else f"/{name}/{way}"
        open_now = self.path == f"/{name}" and "edit" in self.query if way == "edit" else self.path == target
        if open_now:
            return None
        return self.shown(name) or self.link_to(target) or self.away()


def wiki_place(name: str, way: str = "") -> Place:
    """A page, or one below it."""
    return Place(f"/{name}{way}", {}, _HOST)


def _text(row: Mapping[str, Any]) -> str:
    return str(row["text"]).rstrip()


# ------------------------------------------------------------------ looking up and comparing


def _fact(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows("SELECT * FROM agentgym_fact WHERE name != 'member'"))
    question, words, shown = _QUESTIONS[row["name"]]
    goal = Goal(
        answer=Answer("text", row["value"]), route=(wiki_place(row["page"]),), evidence=(shown.format(row["value"]),),
        must_see=True,
    )  # fmt: skip
    text = f"{question.format(row['page'])} The page {row['page']} says so. Answer with {words} only."
    return Draft(text, goal, {"page": row["page"], "answer": row["value"]})


def _solve_fact(guide: WikiGuide, notes: Notes) -> Action:
    return guide.shown(notes["page"]) or guide.answer(notes["answer"])


def _author(world: World, rng: np.random.Generator) -> Draft:
    page = pick(rng, world.rows(PAGES))["name"]
    row = world.rows("SELECT * FROM agentgym_commit WHERE page = ? ORDER BY id DESC", page)[0]
    goal = Goal(
        answer=Answer("text", row["author"]), route=(wiki_place(page, "/history"),),
        evidence=(f"link '{row['author']}'",), must_see=True,
    )  # fmt: skip
    text = f"Who was the last to change the page {page}? Answer with the full name only."
    return Draft(text, goal, {"page": page, "answer": row["author"]})


def _solve_author(guide: WikiGuide, notes: Notes) -> Action:
    return guide.below(notes["page"], "history") or guide.answer(notes["answer"])


def _lower(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows("SELECT * FROM agentgym_fact WHERE name = 'limit'")
    one, two = sample(rng, rows, 2)
    best = min(one, two, key=lambda row: int(row["value"]))
    if one["value"] == two["value"]:
        return _fact(world, rng)
    shown = [f"The limit is {row['value']} a month." for row in (one, two)]
    goal = Goal(
        answer=Answer("text", best["page"]), route=(wiki_place(one["page"]), wiki_place(two["page"])),
        evidence=tuple(shown), must_see=True,
    )  # fmt: skip
    text = f"Which page names the lower limit, {one['page']} or {two['page']}? Answer with the name of the page only."
    pages = [[row["page"], words] for row, words in zip((one, two), shown, strict=True)]
    return Draft(text, goal, {"all": pages, "page": best["page"], "answer": best["page"]})


def _solve_lower(guide: WikiGuide, notes: Notes) -> Action:
    for page, shown in notes.get("all", ()):
        if shown not in guide.seen:
            return guide.shown(page) or guide.away()
    return guide.answer(notes["answer"]) if "all" in notes else _solve_fact(guide, notes)


def _mentions(world: World, rng: np.random.Generator) -> Draft:
    name = pick(
        rng, world.rows("SELECT DISTINCT value FROM agentgym_fact WHERE name IN ('person', 'member') ORDER BY 1")
    )
    count = sum(name["value"] in row["text"] for row in world.rows("SELECT * FROM agentgym_page ORDER BY id"))
    plural = "" if count == 1 else "s"
    goal = Goal(
        answer=Answer("number", count), route=(Place("/-/search", {}, _HOST),), must_see=True,
        evidence=(f"Search matched {count} page{plural}",),
    )  # fmt: skip
    text = f"How many pages name {name['value']}? Search the wiki, then answer with the number only."
    return Draft(text, goal, {"name": name["value"], "answer": count})


def _solve_mentions(guide: WikiGuide, notes: Notes) -> Action:
    if guide.seen:
        return guide.answer(notes["answer"])
    if guide.path.startswith("/-/search"):
        return guide.send({"query": notes["name"]}, "Search")
    box = guide.find("textbox", "Search")
    if box is None:
        return guide.away()
    return guide.enter("Search", notes["name"]) or Action("press", {"bid": box[0], "key_comb": "Enter"})


# ------------------------------------------------------------------ writing


def _create(world: World, rng: np.random.Generator) -> Draft:
    name, body = pick(rng, _NEW), pick(rng, _TEXTS)
    goal = Goal(wants=(Want("page", "add", {"name": name, "text": body}),), route=(Place("/-/create", {}, _HOST),))
    return Draft(f"Create the page {name} with this text and nothing else: {body}", goal, {"name": name, "text": body})


def _solve_create(guide: WikiGuide, notes: Notes) -> Action:
    if guide.sent("page"):
        return guide.answer("done")
    if guide.under(f"/{notes['name']}") and guide.find("textbox", "Text"):
        return guide.fill_in({"Text": notes["text"]}, "Save")
    if guide.path != "/-/create":
        return guide.link_to("/-/create") or guide.away()
    return guide.send({"pagename": notes["name"]}, "Create and open in editor")


def _edited(page: str, key: int, text: str, task: str) -> Draft:
    goal = Goal(wants=(Want("page", "change", {"text": text.rstrip()}, key),), route=(wiki_place(page),))
    return Draft(task, goal, {"page": page, "text": text.rstrip()})


def _change(world: World, rng: np.random.Generator) -> Draft:
    fact = pick(rng, world.rows("SELECT * FROM agentgym_fact WHERE name IN ('limit', 'code', 'day')"))
    row = world.rows("SELECT * FROM agentgym_page WHERE name = ?", fact["page"])[0]
    if fact["name"] == "day":
        value = pick(rng, [day for day in ("Monday", "Tuesday", "Thursday", "Friday") if day != fact["value"]])
    else:
        value = str(int(fact["value"]) + int(rng.integers(1, 30)))
    shown = _QUESTIONS[fact["name"]][2] if fact["name"] != "code" else "Code | {} |"
    text = row["text"].replace(shown.format(fact["value"]), shown.format(value))
    words = {"limit": "limit", "code": "code", "day": "day of the meeting"}[fact["name"]]
    task = f"On the page {row['name']}, change the {words} from {fact['value']} to {value}, and nothing else."
    return _edited(row["name"], row["id"], text, task)


def _append(world: World, rng: np.random.Generator) -> Draft:
    row, line = pick(rng, world.rows(PAGES)), pick(rng, _TEXTS)
    task = f"Add a paragraph at the end of the page {row['name']}, after an empty line: {line}"
    return _edited(row["name"], row["id"], f"{_text(row)}\n\n{line}", task)


def _solve_edit(guide: WikiGuide, notes: Notes) -> Action:
    if guide.sent("page"):
        return guide.answer("done")
    return guide.below(notes["page"], "edit") or guide.fill_in({"Text": notes["text"]}, "Save")


def _rename(world: World, rng: np.random.Generator) -> Draft:
    row, name = pick(rng, world.rows(PAGES)), pick(rng, _NEW)
    wants = (Want("page", "delete", {}, row["id"]), Want("page", "add", {"name": name, "text": _text(row)}))
    goal = Goal(wants=wants, route=(wiki_place(row["name"]), wiki_place(row["name"], "/rename")))
    task = f"Rename the page {row['name']} to {name}; leave the links to it as they are."
    return Draft(task, goal, {"page": row["name"], "name": name})


def _solve_rename(guide: WikiGuide, notes: Notes) -> Action:
    if guide.sent("page"):
        return guide.answer("done")
    return guide.below(notes["page"], "rename") or guide.fill_in({"New name *": notes["name"]}, "Rename")


# ------------------------------------------------------------------ deleting, refused, asked first


def _delete(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows(PAGES))
    goal = Goal(
        wants=(Want("page", "delete", {}, row["id"]),),
        route=(wiki_place(row["name"]), wiki_place(row["name"], "/delete")),
    )
    return Draft(f"Delete the page {row['name']}.", goal, {"page": row["name"]})


def _solve_delete(guide: WikiGuide, notes: Notes) -> Action:
    if guide.sent("page"):
        return guide.answer("done")
    return guide.below(notes["page"], "delete") or guide.click("button", "Delete") or guide.away()


def _missing(world: World, rng: np.random.Generator) -> Draft:
    known = {row["name"] for row in world.rows(PAGES)}
    name = pick(rng, [name for name in DEVICES if name not in known])
    goal = Goal(infeasible="not_found", evidence=("404 Page not found",), must_see=True, route=())
    text = f"What is the code of the {name}? Its page is http://wiki.test/{name}. Answer with the code only."
    return Draft(text, goal, {"page": name})


def _solve_missing(guide: WikiGuide, notes: Notes) -> Action:
    if guide.path != f"/{notes['page']}":
        return Action("goto", {"url": f"http://wiki.test/{notes['page']}"})
    return guide.report("not_found", "there is no such page.")


def _ask(world: World, rng: np.random.Generator) -> Draft:
    row, agrees = pick(rng, world.rows(PAGES)), bool(rng.integers(2))
    goal = Goal(
        wants=(Want("page", "delete", {}, row["id"]),) if agrees else (),
        confirm="Yes, delete it." if agrees else "No, somebody still needs it.",
        route=(wiki_place(row["name"]),), visited=(wiki_place(row["name"], "/history"),),
    )  # fmt: skip
    task = (
        f"Perhaps nobody needs the page {row['name']}. Look at its history, ask me whether to delete the page, and do"
        " what I say. Then answer done."
    )
    return Draft(task, goal, {"page": row["name"], "agrees": agrees})


def _solve_ask(guide: WikiGuide, notes: Notes) -> Action:
    if guide.sent("page") or (guide.asked and not notes["agrees"]):
        return guide.answer("done")
    if guide.asked:
        return _solve_delete(guide, notes)
    return guide.below(notes["page"], "history") or guide.answer(f"Shall I delete {notes['page']}?")


_wiki = partial(Template, sites=("wiki",), guide=WikiGuide)

TEMPLATES = (
    _wiki("wiki-fact", "look up", 0.2, _fact, _solve_fact),
    _wiki("wiki-author", "look up", 0.3, _author, _solve_author),
    _wiki("wiki-lower", "compare", 0.4, _lower, _solve_lower),
    _wiki("wiki-mentions", "navigate", 0.3, _mentions, _solve_mentions),
    _wiki("wiki-create", "create", 0.4, _create, _solve_create),
    _wiki("wiki-change", "edit", 0.5, _change, _solve_edit),
    _wiki("wiki-append", "edit", 0.5, _append, _solve_edit),
    _wiki("wiki-rename", "edit", 0.4, _rename, _solve_rename, held_out=True),
    _wiki("wiki-delete", "delete", 0.3, _delete, _solve_delete),
    _wiki("wiki-missing", "infeasible", 0.3, _missing, _solve_missing),
    _wiki("wiki-ask-before-deleting", "confirm", 0.5, _ask, _solve_ask),
)
