"""Looking up, comparing and navigating in the forum; and what can't be done there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Answer, Goal, Place
from agentgym.environments.web.template import Draft, Template, World
from agentgym.environments.web.templates.forum_guide import TOPICS, ForumGuide, forum_path, topic_opened, topic_path

Notes = Mapping[str, Any]


def _author(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, TOPICS)
    goal = Goal(
        answer=Answer("text", row["author"]),
        route=(Place(forum_path(row), {}), topic_opened(row)),
        evidence=(row["subject"], f"'{row['author']}'"),
        must_see=True,
    )
    text = f"Who started the topic '{row['subject']}' in the forum {row['forum']}? Answer with the name only."
    return Draft(text, goal, {"path": topic_path(row), "answer": row["author"]})


def _solve_author(guide: ForumGuide, notes: Notes) -> Action:
    return guide.topic(notes["path"]) or guide.answer(notes["answer"])


def _where(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, TOPICS)
    goal = Goal(
        answer=Answer("text", row["forum"]),
        route=(Place("/search/", {"q": row["subject"]}), topic_opened(row)),
        visited=(topic_opened(row),),
        evidence=(_heading(row["subject"]),),
        must_see=True,
    )
    text = f"Find the topic '{row['subject']}'. In which forum is it? Answer with the name of the forum only."
    return Draft(text, goal, {"subject": row["subject"], "path": topic_path(row), "answer": row["forum"]})


def _heading(subject: str) -> str:
    """How the page of a topic begins."""
    quoted = subject.replace("'", "\\'")
    return f"heading '{quoted}'"


def _solve_where(guide: ForumGuide, notes: Notes) -> Action:
    if guide.path == notes["path"]:
        return guide.answer(notes["answer"])
    if guide.path == "/search/" and guide.query.get("q") == notes["subject"]:
        return guide.follow(notes["path"]) or guide.away()
    return guide.put("q", notes["subject"]) or guide.click("button", "Search") or guide.away()


def _replies(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, TOPICS)
    poster = world.rows(
        "SELECT u.username FROM forum_conversation_post p JOIN auth_user u ON u.id = p.poster_id WHERE p.id = ?",
        row["last_post_id"],
    )[0]["username"]
    goal = Goal(
        answer=Answer("text", poster),
        route=(Place(forum_path(row), {}), topic_opened(row)),
        evidence=(row["subject"], f"'{poster}'"),
        must_see=True,
    )
    text = f"Who wrote the latest post in the topic '{row['subject']}' ({row['forum']})? Answer with the name only."
    return Draft(text, goal, {"path": topic_path(row), "answer": poster})


def _longer(world: World, rng: np.random.Generator) -> Draft:
    rows = world.rows(TOPICS)
    while True:
        one, two = (rows[int(i)] for i in rng.choice(len(rows), size=2, replace=False))
        if one["posts_count"] != two["posts_count"]:
            break
    best = max(one, two, key=lambda row: row["posts_count"])
    goal = Goal(
        answer=Answer("number", best["posts_count"]),
        route=(Place(forum_path(one), {}), topic_opened(one)),
        evidence=tuple(_heading(row["subject"]) for row in (one, two)),
        must_see=True,
    )
    text = (
        f"Open the topics '{one['subject']}' ({one['forum']}) and '{two['subject']}' ({two['forum']}). How many "
        "posts has the longer one? Answer with the number only."
    )
    pages = [(_heading(row["subject"]), topic_path(row)) for row in (one, two)]
    return Draft(text, goal, {"pages": pages, "answer": best["posts_count"]})


def _solve_longer(guide: ForumGuide, notes: Notes) -> Action:
    for heading, path in notes["pages"]:
        if heading not in guide.seen:
            return guide.topic(path) or guide.away()
    return guide.answer(notes["answer"])


def _locked(world: World, rng: np.random.Generator) -> Draft:
    rows = [row for row in world.rows(TOPICS) if row["status"] == 1]
    row = rows[int(rng.integers(len(rows)))]
    goal = Goal(
        infeasible="not_allowed",
        route=(Place(forum_path(row), {}), topic_opened(row)),
        visited=(topic_opened(row),),
    )
    text = f"Reply 'I agree.' to the topic '{row['subject']}' in the forum {row['forum']}."
    return Draft(text, goal, {"path": topic_path(row)})


def _solve_locked(guide: ForumGuide, notes: Notes) -> Action:
    reason = guide.report("not_allowed", "the topic is locked.")
    return guide.topic(notes["path"]) or reason


def _nothing(world: World, rng: np.random.Generator) -> Draft:
    thing = ("submarine", "zeppelin", "volcano", "walrus", "pyramid")[int(rng.integers(5))]
    goal = Goal(
        infeasible="not_found", evidence=("No results.",), must_see=True, route=(Place("/search/", {"q": thing}),)
    )
    text = f"Who started the topic about a {thing}? Answer with the name only."
    return Draft(text, goal, {"thing": thing})


def _solve_nothing(guide: ForumGuide, notes: Notes) -> Action:
    if guide.path == "/search/" and guide.query.get("q") == notes["thing"]:
        return guide.report("not_found", f"nobody writes about a {notes['thing']}.")
    return guide.put("q", notes["thing"]) or guide.click("button", "Search") or guide.away()


def _forum(name: str, kind: str, difficulty: float, make: Any, solve: Any, held_out: bool = False) -> Template:
    return Template(f"forum-{name}", kind, difficulty, make, solve, held_out, ("forum",), ForumGuide)


TEMPLATES = (
    _forum("author", "look up", 0.3, _author, _solve_author),
    _forum("latest", "look up", 0.4, _replies, _solve_author, held_out=True),
    _forum("where", "navigate", 0.4, _where, _solve_where),
    _forum("longer", "compare", 0.6, _longer, _solve_longer),
    _forum("locked", "infeasible", 0.5, _locked, _solve_locked),
    _forum("no-such-topic", "infeasible", 0.4, _nothing, _solve_nothing),
)
