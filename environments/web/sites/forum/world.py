"""Content of the forum: members, topics, posts and a poll drawn from a number."""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version

import numpy as np

from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites.seeding import Rows, base_database, filled, kept_world

GENERATOR = 2
"""Raised when what is below changes what a world holds."""
VISITOR, MODERATOR = 1, 2
"""Keys of the member who visits, and of the one who may lock, move and approve."""
MEMBERS = 11
CATEGORY, FORUM = 1, 0
STICKY, LOCKED = 1, 1

_words = str.split

_PARTS = {
    "Home": ("Kitchen", "Repairs", "Furniture"),
    "Outdoors": ("Hiking", "Cycling", "Gardening"),
    "Evenings": ("Books", "Films", "Music"),
}
_NAMES = _words("amber birch cedar delta ember fjord grove heron iris juniper kestrel lark maple nova otter pine")
_THINGS = _words(
    "kettle lantern ladder carpet bicycle tent violin novel saddle compass blender shelf curtain helmet rucksack cactus"
    " teapot armchair puncture gramophone hammock wardrobe rosebush camera doorbell toaster sketchbook flute kayak"
)
_ASKS = (
    "How do I clean a {}?", "Which {} would you buy?", "My {} makes a strange noise", "Selling a {}, hardly used",
    "Show us your {}", "Is an old {} worth keeping?", "Lost: a blue {}", "Beginner's guide to the {}",
)  # fmt: skip
_SAYS = (
    "I had the same question last year.", "Try warm water first.", "Ask at the shop in Mill Street.",
    "Mine lasted nine years.", "Please post a picture.", "That worked for me, thanks.", "It depends on the weather.",
    "I would wait for the sale.", "Better borrow one before you buy.", "Do not use bleach.",
)  # fmt: skip


@lru_cache(maxsize=64)
def golden(world: int) -> bytes:
    """The serialised database of a world, with its log of changes installed and empty."""
    versions = f"{version('django-machina')}-{version('Django')}-{GENERATOR}"
    return kept_world("forum", versions, world, lambda: _make(world, versions))


def _make(world: int, versions: str) -> bytes:
    base = base_database("forum", "agentgym.environments.web.sites.forum.inside:make", versions)
    rng = derive_rng("web forum", world)
    now = datetime(2026, 1, 6, 15, tzinfo=UTC) + timedelta(days=int(rng.integers(300)), minutes=int(rng.integers(300)))
    return filled(base, lambda db: _Maker(db, rng, now).fill())


class _Maker:
    def __init__(self, db: sqlite3.Connection, rng: np.random.Generator, now: datetime) -> None:
        self.db, self.rng, self.now = db, rng, now
        self.rows = Rows(db, _stamp(now))

    def fill(self) -> None:
        self.db.execute("INSERT INTO agentgym_world VALUES (?, ?)", (int(self.now.timestamp()), VISITOR))
        self.db.execute("UPDATE django_site SET domain = 'forum.test', name = 'Town Square'")
        self.members()
        forums = self.forums()
        combinations = self.rng.permutation(len(_ASKS) * len(_THINGS))
        for number in range(46):
            ask, thing = divmod(int(combinations[number]), len(_THINGS))
            self.topic(number, forums[number % len(forums)], _ASKS[ask].format(_THINGS[thing]))
        self.poll()
        self.count(forums)

    def members(self) -> None:
        names = [_NAMES[int(i)] for i in self.rng.permutation(len(_NAMES))[:MEMBERS]]
        for key, name in enumerate(names, 1):
            self.rows.put(
                "auth_user", id=key, password="!", username=name, email=f"{name}@mail.example", is_active=1,
                is_staff=int(key == MODERATOR), is_superuser=int(key == MODERATOR), last_login=_stamp(self.now),
                date_joined=_stamp(self.now - timedelta(days=int(self.rng.integers(500, 900)))),
            )  # fmt: skip
            self.rows.put("forum_member_forumprofile", user_id=key, signature="", _signature_rendered="", avatar="")

    def forums(self) -> list[int]:
        """Two categories with three forums each."""
        found = []
        chosen = self.rng.permutation(len(_PARTS))[:2]
        for tree, place in enumerate(map(int, chosen), 1):
            part = list(_PARTS)[place]
            above = self.forum(part, CATEGORY, None, tree, 0, 1, 2 + 2 * len(_PARTS[part]))
            for i, name in enumerate(_PARTS[part]):
                found.append(self.forum(name, FORUM, above, tree, 1, 2 + 2 * i, 3 + 2 * i))
        return found

    def forum(self, name: str, kind: int, above: int | None, tree: int, level: int, left: int, right: int) -> int:
        return self.rows.put(
            "forum_forum", name=name, slug=name.lower(), description=f"All about {name.lower()}",
            _description_rendered=f"<p>All about {name.lower()}</p>", type=kind, parent_id=above, tree_id=tree,
            image="", level=level, lft=left, rght=right, display_sub_forum_list=1,
        )  # fmt: skip

    def topic(self, number: int, forum: int, subject: str) -> None:
        posters = [VISITOR if number % 5 == 1 else self.someone()]
        posters += [VISITOR if self.rng.random() < 0.2 else self.someone() for _ in range(int(self.rng.integers(0, 6)))]
        if number % 7 == 3:
            posters.append(VISITOR)  # the last word
        begun = self.now - timedelta(days=int(self.rng.integers(3, 300)), minutes=int(self.rng.integers(600)))
        slug = re.sub(r"[^a-z0-9]+", "-", re.sub(r"[^a-z0-9 -]", "", subject.lower())).strip("-")  # as the forum itself
        locked = number % 11 == 5
        topic = self.rows.put(
            "forum_conversation_topic", subject=subject, slug=slug, forum_id=forum, poster_id=posters[0], approved=1,
            type=STICKY if number in (8, 15) else 0, status=int(locked), created=_stamp(begun), updated=_stamp(begun),
            views_count=int(self.rng.integers(5, 400)),
        )  # fmt: skip
        said = self.rng.permutation(len(_SAYS))
        for place, poster in enumerate(posters):
            moment = _stamp(begun + timedelta(hours=9 * place, minutes=int(self.rng.integers(400))))
            self.post(topic, poster, ("Re: " if place else "") + subject, _SAYS[int(said[place])], moment, 1)
        if number % 9 == 2:  # waits for the moderator
            offer = f"Cheap offers for your {subject.split()[-1]}"
            self.post(topic, self.someone(), f"Re: {subject}", offer, _stamp(self.now), 0)

    def someone(self) -> int:
        return int(self.rng.integers(3, MEMBERS + 1))

    def post(self, topic: int, poster: int, subject: str, text: str, moment: str, approved: int) -> None:
        self.rows.put(
            "forum_conversation_post", topic_id=topic, poster_id=poster, subject=subject, content=text,
            _content_rendered=f"<p>{text}</p>\n", approved=approved, created=moment, updated=moment,
            enable_signature=1,
        )  # fmt: skip

    def poll(self) -> None:
        """A poll in one open topic."""
        topic = int(self.db.execute("SELECT min(id) FROM forum_conversation_topic WHERE status = 0").fetchone()[0])
        poll = self.rows.put("forum_polls_topicpoll", topic_id=topic, question="When shall we meet?", max_options=1,
                             user_changes=1)  # fmt: skip
        days = _words("Monday Tuesday Wednesday Thursday Friday")
        options = [
            self.rows.put("forum_polls_topicpolloption", poll_id=poll, text=days[int(i)])
            for i in self.rng.permutation(5)[:3]
        ]
        for voter in range(3, MEMBERS + 1):
            option = options[int(self.rng.integers(3))]
            self.rows.put("forum_polls_topicpollvote", poll_option_id=option, voter_id=voter)

    def count(self, forums: list[int]) -> None:
        """Counters and last posts, as the forum itself keeps them."""
        self.db.executescript(
            """
            UPDATE forum_conversation_topic AS t SET
              posts_count = (SELECT count(*) FROM forum_conversation_post WHERE topic_id = t.id AND approved),
              first_post_id = (SELECT min(id) FROM forum_conversation_post WHERE topic_id = t.id),
              last_post_id = (SELECT max(id) FROM forum_conversation_post WHERE topic_id = t.id AND approved);
            UPDATE forum_conversation_topic AS t SET
              last_post_on = (SELECT created FROM forum_conversation_post WHERE id = t.last_post_id);
            UPDATE forum_forum AS f SET
              direct_topics_count = (SELECT count(*) FROM forum_conversation_topic WHERE forum_id = f.id),
              direct_posts_count = (SELECT coalesce(sum(posts_count), 0) FROM forum_conversation_topic
                                    WHERE forum_id = f.id),
              last_post_on = (SELECT max(last_post_on) FROM forum_conversation_topic WHERE forum_id = f.id);
            UPDATE forum_forum AS f SET
              last_post_id = (SELECT last_post_id FROM forum_conversation_topic WHERE forum_id = f.id
                              ORDER BY last_post_on DESC, id DESC LIMIT 1);
            UPDATE forum_member_forumprofile AS m SET
              posts_count = (SELECT count(*) FROM forum_conversation_post WHERE poster_id = m.user_id AND approved);
            """
        )


def _stamp(moment: datetime) -> str:
    """A moment as Django writes it into SQLite."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")
