"""Writing in the forum, and keeping order there as its moderator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal, Place, Want
from agentgym.environments.web.template import Draft, Template, World
from agentgym.environments.web.templates.forum_guide import (
    MODERATOR_AT_WORK,
    TOPICS,
    ForumGuide,
    forum_path,
    open_topics,
    topic_opened,
    topic_path,
)

Notes = Mapping[str, Any]

_TEXTS = ("Thank you, that helped.", "I tried it and it works.", "Could you say more?", "Count me in.")
_SUBJECTS = ("Meeting in the park", "A question about glue", "Best tools for beginners", "Looking for company")
_OWN = (
    "SELECT p.id AS post, p.content AS words, t.*, f.name AS forum, f.slug AS forum_slug FROM forum_conversation_post p"
    " JOIN forum_conversation_topic t ON t.id = p.topic_id JOIN forum_forum f ON f.id = t.forum_id"
    " WHERE p.poster_id = 1 AND p.approved AND t.status = 0 AND p.id <> t.first_post_id"
)
_MINE = {"poster_id": 1, "approved": 1, "enable_signature": 1}


def _done(guide: ForumGuide) -> Action:
    return guide.answer("done")


def _route(row: Mapping[str, Any]) -> tuple[Place, ...]:
    return Place(forum_path(row), {}), topic_opened(row)


# ------------------------------------------------------------------ posts


def _reply(world: World, rng: np.random.Generator) -> Draft:
    rows = open_topics(world)
    row = rows[int(rng.integers(len(rows)))]
    words = _TEXTS[int(rng.integers(len(_TEXTS)))]
    values = {"topic_id": row["id"], "subject": f"Re: {row['subject']}", "content": words, **_MINE}
    goal = Goal(wants=(Want("forum_conversation_post", "add", values),), route=_route(row))
    text = (
        f"Reply to the topic '{row['subject']}' in the forum {row['forum']}: '{words}' Leave all else in the form as it"
        " is."
    )
    return Draft(text, goal, {"path": topic_path(row), "page": "post/create/", "form": {"content": words}})


def _edit(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, f"{_OWN} ORDER BY p.id")
    words = _TEXTS[int(rng.integers(len(_TEXTS)))]
    goal = Goal(wants=(Want("forum_conversation_post", "change", {"content": words}, row["post"]),), route=_route(row))
    text = (
        f"In the topic '{row['subject']}' ({row['forum']}), change the text of my post '{row['words']}' to '{words}'."
    )
    notes = {"path": topic_path(row), "page": f"{row['post']}/post/update/", "form": {"content": words}}
    return Draft(text, goal, notes)


def _solve_post(guide: ForumGuide, notes: Notes) -> Action:
    if guide.sent("forum_conversation_post"):
        return _done(guide)
    return guide.below(notes["path"], notes["page"]) or guide.fill_fields(notes["form"], "Submit")


def _new_topic(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, TOPICS)
    subject, words = _SUBJECTS[int(rng.integers(len(_SUBJECTS)))], _TEXTS[int(rng.integers(len(_TEXTS)))]
    goal = Goal(
        wants=(
            Want("forum_conversation_topic", "add", {"subject": subject, "forum_id": row["forum_id"], "poster_id": 1}),
            Want("forum_conversation_post", "add", {"subject": subject, "content": words, **_MINE}),
        ),
        route=(Place(forum_path(row), {}), Place(f"{forum_path(row)}topic/create/", {})),
    )
    text = (
        f"Start a topic in the forum {row['forum']} with the subject '{subject}' and the message '{words}'. Leave"
        " all else in the form as it is."
    )
    return Draft(text, goal, {"forum": forum_path(row), "form": {"subject": subject, "content": words}})


def _solve_new_topic(guide: ForumGuide, notes: Notes) -> Action:
    if guide.sent("forum_conversation_topic"):
        return _done(guide)
    if guide.path == f"{notes['forum']}topic/create/":
        return guide.fill_fields(notes["form"], "Submit")
    return guide.forum(notes["forum"]) or guide.follow("topic/create/") or guide.away()


_LAST = f"{_OWN} AND p.id = t.last_post_id ORDER BY p.id"


def _delete_goal(row: Mapping[str, Any]) -> tuple[Want, ...]:
    return (Want("forum_conversation_post", "delete", {}, row["post"]),)


def _delete(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, _LAST)
    text = f"Delete my post '{row['words']}' in the topic '{row['subject']}' ({row['forum']})."
    notes = {"path": topic_path(row), "page": f"{row['post']}/post/delete/"}
    return Draft(text, Goal(wants=_delete_goal(row), route=_route(row)), notes)


def _solve_delete(guide: ForumGuide, notes: Notes) -> Action:
    if guide.sent("forum_conversation_post"):
        return _done(guide)
    return guide.below(notes["path"], notes["page"]) or guide.confirm()


def _ask_delete(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, _LAST)
    agrees = bool(rng.integers(2))
    goal = Goal(
        wants=_delete_goal(row) if agrees else (),
        confirm="Yes, delete it." if agrees else "No, let it stand.",
        route=_route(row),
        visited=(topic_opened(row),),
    )
    text = (
        f"I'm not sure about my post '{row['words']}' in the topic '{row['subject']}' ({row['forum']}). Open the "
        "topic, then ask me whether to delete the post, do what I say and answer done."
    )
    notes = {"path": topic_path(row), "page": f"{row['post']}/post/delete/", "agrees": agrees}
    return Draft(text, goal, notes)


def _solve_ask_delete(guide: ForumGuide, notes: Notes) -> Action:
    if not guide.asked:
        return guide.topic(notes["path"]) or guide.answer("Shall I delete the post?")
    return _solve_delete(guide, notes) if notes["agrees"] else _done(guide)


# ------------------------------------------------------------------ beside posts


def _subscribe(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(rng, TOPICS)
    values = {"topic_id": row["id"], "user_id": 1}
    goal = Goal(wants=(Want("forum_conversation_topic_subscribers", "add", values),), route=_route(row))
    text = f"Subscribe me to the topic '{row['subject']}' in the forum {row['forum']}."
    return Draft(text, goal, {"path": topic_path(row), "page": f"/member/topic/{row['id']}/subscribe/"})


def _solve_subscribe(guide: ForumGuide, notes: Notes) -> Action:
    if guide.sent("forum_conversation_topic_subscribers"):
        return _done(guide)
    if guide.path == notes["page"]:
        return guide.confirm()
    return guide.topic(notes["path"]) or guide.follow(notes["page"]) or guide.away()


def _vote(world: World, rng: np.random.Generator) -> Draft:
    row = world.rows(f"{TOPICS.replace('ORDER', 'WHERE t.id IN (SELECT topic_id FROM forum_polls_topicpoll) ORDER')}")[
        0
    ]
    option = world.one(rng, "SELECT * FROM forum_polls_topicpolloption ORDER BY id")
    values = {"poll_option_id": option["id"], "voter_id": 1}
    goal = Goal(wants=(Want("forum_polls_topicpollvote", "add", values),), route=_route(row))
    text = f"Vote for {option['text']} in the poll of the topic '{row['subject']}' ({row['forum']})."
    return Draft(text, goal, {"path": topic_path(row), "option": option["text"]})


def _solve_vote(guide: ForumGuide, notes: Notes) -> Action:
    if guide.sent("forum_polls_topicpollvote"):
        return _done(guide)
    there = guide.topic(notes["path"]) or guide.enter(notes["option"], True)
    return there or guide.click("button", "Submit") or guide.away()


def _sign(world: World, rng: np.random.Generator) -> Draft:
    words = ("Best wishes", "See you around", "Keep on", "Always curious")[int(rng.integers(4))]
    goal = Goal(
        wants=(
            Want(
                "forum_member_forumprofile",
                "change",
                {"signature": words},
                1,
            ),
        ),
        route=(Place("/member/profile/1/", {}), Place("/member/profile/edit/", {})),
    )
    return Draft(f"Set the signature in my profile to '{words}'.", goal, {"form": {"signature": words}})


def _solve_sign(guide: ForumGuide, notes: Notes) -> Action:
    if guide.sent("forum_member_forumprofile"):
        return _done(guide)
    if guide.path == "/member/profile/edit/":
        return guide.fill_fields(notes["form"], "Submit")
    steps = ("/member/profile/edit/", "/member/profile/1/", "/member/profile/1/posts/")
    return next((action for path in steps if (action := guide.follow(path)) is not None), guide.away())


# ------------------------------------------------------------------ moderation


def _moderated(text: str, goal: Goal, notes: Notes) -> Draft:
    return Draft(f"You moderate the forum. {text}", goal, notes, edits=MODERATOR_AT_WORK)


def _lock(world: World, rng: np.random.Generator) -> Draft:
    rows = open_topics(world)
    row = rows[int(rng.integers(len(rows)))]
    goal = Goal(wants=(Want("forum_conversation_topic", "change", {"status": 1}, row["id"]),), route=_route(row))
    text = f"Lock the topic '{row['subject']}' in the forum {row['forum']}."
    return _moderated(text, goal, {"path": topic_path(row), "page": "/lock/"})


def _pin(world: World, rng: np.random.Generator) -> Draft:
    rows = [row for row in open_topics(world) if row["type"] == 0]
    row = rows[int(rng.integers(len(rows)))]
    goal = Goal(wants=(Want("forum_conversation_topic", "change", {"type": 1}, row["id"]),), route=_route(row))
    text = f"Make the topic '{row['subject']}' in the forum {row['forum']} a sticky one."
    return _moderated(text, goal, {"path": topic_path(row), "page": "/change/sticky/"})


def _solve_moderation(guide: ForumGuide, notes: Notes) -> Action:
    if guide.sent("forum_conversation_topic"):
        return _done(guide)
    if guide.path.endswith(notes["page"]):
        return guide.confirm()
    return guide.topic(notes["path"]) or guide.follow(notes["page"]) or guide.away()


def _approve(world: World, rng: np.random.Generator) -> Draft:
    row = world.one(
        rng,
        "SELECT p.*, u.username AS author, t.subject AS topic FROM forum_conversation_post p JOIN auth_user u"
        " ON u.id = p.poster_id JOIN forum_conversation_topic t ON t.id = p.topic_id WHERE NOT p.approved"
        " ORDER BY p.id",
    )
    approves = bool(rng.integers(2))
    want = (
        Want("forum_conversation_post", "change", {"approved": 1}, row["id"])
        if approves
        else Want("forum_conversation_post", "delete", {}, row["id"])
    )
    goal = Goal(
        wants=(want,),
        route=(Place("/moderation/queue/", {}), Place(f"/moderation/queue/{row['id']}/", {})),
    )
    word = "Approve" if approves else "Disapprove"
    text = f"{word} the post of {row['author']} in '{row['topic']}' that waits in the moderation queue."
    page = "approve/" if approves else "disapprove/"
    return _moderated(text, goal, {"path": f"/moderation/queue/{row['id']}/", "page": page})


def _solve_approve(guide: ForumGuide, notes: Notes) -> Action:
    if guide.sent("forum_conversation_post"):
        return _done(guide)
    if guide.path == notes["path"] + notes["page"]:
        return guide.confirm()
    if guide.path == notes["path"]:
        return guide.follow(notes["path"] + notes["page"]) or guide.away()
    return guide.follow(notes["path"]) or guide.follow("/moderation/queue/") or guide.away()


def _forum(name: str, kind: str, difficulty: float, make: Any, solve: Any, held_out: bool = False) -> Template:
    return Template(f"forum-{name}", kind, difficulty, make, solve, held_out, ("forum",), ForumGuide)


TEMPLATES = (
    _forum("reply", "create", 0.4, _reply, _solve_post),
    _forum("new-topic", "create", 0.4, _new_topic, _solve_new_topic),
    _forum("edit-post", "edit", 0.5, _edit, _solve_post),
    _forum("delete-post", "delete", 0.5, _delete, _solve_delete),
    _forum("ask-before-deleting", "confirm", 0.7, _ask_delete, _solve_ask_delete),
    _forum("subscribe", "create", 0.4, _subscribe, _solve_subscribe),
    _forum("vote", "create", 0.4, _vote, _solve_vote),
    _forum("sign", "edit", 0.4, _sign, _solve_sign, held_out=True),
    _forum("lock", "edit", 0.5, _lock, _solve_moderation),
    _forum("pin", "edit", 0.5, _pin, _solve_moderation, held_out=True),
    _forum("queue", "edit", 0.6, _approve, _solve_approve),
)
