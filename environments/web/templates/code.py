"""Tasks in the code browser, which is read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Answer, Goal, Place
from agentgym.environments.web.guide_kit import KitGuide
from agentgym.environments.web.sites.code.world import CONSTANTS
from agentgym.environments.web.sites.kit.world import pick
from agentgym.environments.web.sites.world import World
from agentgym.environments.web.template import Draft, Template

Notes = Mapping[str, Any]

_HOST = "code.test"
_COMMITS = "SELECT * FROM agentgym_commit ORDER BY id"


class CodeGuide(KitGuide):
    """The code browser."""

    def repository(self, name: str) -> Action | None:
        """Opens a repository; None once it or a page below it is open."""
        return None if self.path.startswith(f"/{name}/") else self.link_to(f"/{name}/") or self.away()

    def file(self, name: str, path: str, view: str = "blob") -> Action | None:
        """Opens a file, or the history of it (``tree``), through its folder; None once it is open."""
        target = f"/{name}/{view}/main/{path}"
        if self.path == target:
            return None
        folder = f"/{name}/tree/main/{path.rpartition('/')[0]}"
        there = self.repository(name) or self.link_to(target) or self.link_to(f"/{name}/blob/main/{path}")
        return there or self.link_to(folder) or self.link_to(f"/{name}/") or self.away()

    def commit(self, name: str, said: str) -> Action | None:
        """Opens lists of a repository's commits; None once the one that reads like this was seen."""
        if said in self.seen:
            return None
        there = self.link_to(f"/{name}/tree/main/?page=1") if self.path == f"/{name}/" else self.link_to(f"/{name}/")
        return there or self.away()


def values_of(world: World) -> list[dict[str, Any]]:
    """Constants of the source files: repository, path, name, value."""
    return world.rows("SELECT * FROM agentgym_constant ORDER BY repo, path, name")


def newest(world: World, repo: str) -> dict[str, Any]:
    """The newest commit of a repository."""
    return world.rows("SELECT * FROM agentgym_commit WHERE repo = ? ORDER BY id DESC", repo)[0]


def repositories(world: World) -> list[str]:
    """Names of the repositories."""
    return [row["name"] for row in world.rows("SELECT name FROM agentgym_repo ORDER BY name")]


def said_of(row: Mapping[str, Any]) -> str:
    """What a list of commits shows of one."""
    return f"{row['message']} {row['author']}"


def file_place(row: Mapping[str, Any], view: str = "blob") -> Place:
    """The page of a file, or of its history (``tree``)."""
    return Place(f"/{row['repo']}/{view}/main/{row['path']}", {}, _HOST)


def _constant(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, values_of(world))
    goal = Goal(
        answer=Answer("number", row["value"]), route=(file_place(row),), evidence=(f"{row['name']} = {row['value']}",),
        must_see=True,
    )  # fmt: skip
    text = (
        f"Which value does {row['name']} have in {row['path']} of the repository {row['repo']}? Answer with the number"
        " only."
    )
    return Draft(text, goal, {"repo": row["repo"], "path": row["path"], "answer": row["value"]})


def _solve_file(guide: CodeGuide, notes: Notes) -> Action:
    return guide.file(notes["repo"], notes["path"]) or guide.answer(notes["answer"])


def _commit(world: World, rng: np.random.Generator, last: bool) -> Draft:
    repo = pick(rng, repositories(world))
    rows = [row for row in world.rows(_COMMITS) if row["repo"] == repo and row["message"].startswith("Add ")]
    row = newest(world, repo) if last else pick(rng, rows)
    goal = Goal(
        answer=Answer("text", row["author"]), route=(Place(f"/{repo}/", {}, _HOST),),
        evidence=(said_of(row),), must_see=True,
    )  # fmt: skip
    what = "has made the newest commit of" if last else f"has made the commit '{row['message']}' in"
    text = f"Who {what} the repository {repo}? Answer with the full name only."
    return Draft(text, goal, {"repo": repo, "said": said_of(row), "answer": row["author"]})


def _solve_commit(guide: CodeGuide, notes: Notes) -> Action:
    return guide.commit(notes["repo"], notes["said"]) or guide.answer(notes["answer"])


def _changes(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows("SELECT DISTINCT repo, path FROM agentgym_constant ORDER BY repo, path"))
    module = row["path"].rpartition("/")[2].removesuffix(".py")
    named = [item for item in world.rows(_COMMITS) if item["repo"] == row["repo"]]
    found = [item for item in named if item["message"] == f"Add {module}" or f" of {module} to " in item["message"]]
    goal = Goal(
        answer=Answer("number", len(found)), route=(file_place(row, "tree"),), must_see=True,
        evidence=tuple(f"{item['message']} {item['author']}" for item in found),
    )  # fmt: skip
    text = (
        f"How many commits have changed {row['path']} of the repository {row['repo']}, the one that added it included?"
        " Answer with the number only."
    )
    return Draft(text, goal, {"repo": row["repo"], "path": row["path"], "answer": len(found)})


def _solve_history(guide: CodeGuide, notes: Notes) -> Action:
    return guide.file(notes["repo"], notes["path"], "tree") or guide.answer(notes["answer"])


def two_files(world: World, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Two values of a constant in different files: the larger one, then both in random order."""
    rows = values_of(world)
    pairs = [
        (one, two)
        for one in rows
        for two in rows
        if (one["repo"], one["name"]) == (two["repo"], two["name"]) and one["value"] > two["value"]
    ]
    one, two = pick(rng, pairs)
    return (one, one, two) if rng.integers(2) else (one, two, one)


def _larger(world: World, rng: np.random.Generator) -> Draft:
    one, first, second = two_files(world, rng)
    shown = [f"{row['name']} = {row['value']}" for row in (first, second)]
    goal = Goal(
        answer=Answer("text", one["path"]),
        route=(file_place(first), file_place(second)),
        evidence=tuple(shown),
        must_see=True,
    )
    text = (
        f"In the repository {one['repo']}, which file has the larger {one['name']}, {first['path']} or"
        f" {second['path']}? Answer with the file's path only."
    )
    files = [[row["path"], words] for row, words in zip((first, second), shown, strict=True)]
    return Draft(text, goal, {"repo": one["repo"], "all": files, "answer": one["path"]})


def _solve_larger(guide: CodeGuide, notes: Notes) -> Action:
    for path, shown in notes["all"]:
        if shown not in guide.seen:
            return guide.file(notes["repo"], path) or guide.away()
    return guide.answer(notes["answer"])


def _show(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, values_of(world))
    place = replace(file_place(row, "tree"), also={"page": ["0"]})
    goal = Goal(route=(file_place(row), place), final=place)
    text = (
        f"Show the history of {row['path']} on the branch main of the repository {row['repo']}, and answer done while"
        " it is shown."
    )
    return Draft(text, goal, {"repo": row["repo"], "path": row["path"], "answer": "done"})


def _absent(world: World, rng: np.random.Generator) -> Draft:
    row = pick(rng, world.rows("SELECT DISTINCT repo, path FROM agentgym_constant ORDER BY repo, path"))
    known = {item["name"] for item in values_of(world) if (item["repo"], item["path"]) == (row["repo"], row["path"])}
    name = pick(rng, [item for item in CONSTANTS if item not in known])
    module = row["path"].rpartition("/")[2].removesuffix(".py")
    goal = Goal(
        infeasible="not_found", evidence=(f'"""The {module} part."""',), must_see=True, route=(file_place(row),)
    )
    text = (
        f"Which value does {name} have in {row['path']} of the repository {row['repo']}? Answer with the number only."
    )
    return Draft(text, goal, {"repo": row["repo"], "path": row["path"], "name": name})


def _solve_absent(guide: CodeGuide, notes: Notes) -> Action:
    there = guide.file(notes["repo"], notes["path"])
    return there or guide.report("not_found", f"there is no {notes['name']} in that file.")


_code = partial(Template, sites=("code",), guide=CodeGuide)

TEMPLATES = (
    _code("code-constant", "look up", 0.3, _constant, _solve_file),
    _code("code-newest", "look up", 0.2, partial(_commit, last=True), _solve_commit),
    _code("code-who-added", "look up", 0.3, partial(_commit, last=False), _solve_commit, held_out=True),
    _code("code-changes", "navigate", 0.4, _changes, _solve_history),
    _code("code-larger", "compare", 0.5, _larger, _solve_larger),
    _code("code-show", "navigate", 0.3, _show, _solve_history),
    _code("code-absent", "infeasible", 0.4, _absent, _solve_absent),
)
