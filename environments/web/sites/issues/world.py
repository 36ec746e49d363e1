"""Content of the tracker: users, keywords, issues and what is said about them, drawn from a number."""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version

import numpy as np

from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites.changes import watch
from agentgym.environments.web.sites.kit.world import pick, sample, shared
from agentgym.environments.web.sites.seeding import Rows, base_database, kept_world

_words = str.split

GENERATOR = 1
"""Raised when what is below changes what a world holds."""

TARGET = "agentgym.environments.web.sites.issues.inside:make"
ISSUES, USERS = 36, 8
PRIORITIES = ("critical", "urgent", "bug", "feature", "wish")
STATUSES = ("unread", "deferred", "chatting", "need-eg", "in-progress", "testing", "done-cbb", "resolved")
WATCHED = ("_issue", "_msg", "_user", "_keyword", "_query", "issue_messages", "issue_keyword", "issue_nosy",
           "issue_superseder")  # fmt: skip
"""Tables that hold what people do."""
_KEYWORDS = _words("printing search export login invoices charts backup mobile import mail calendar accessibility")
_SYMPTOMS = (
    "is slow with large files", "stops without a message", "shows wrong totals", "forgets the settings",
    "loses the last line", "needs a better label", "should remember the last choice", "crashes at the start",
    "ignores the time zone", "asks for the password twice", "has no keyboard shortcut", "cuts off long names",
)  # fmt: skip
_DETAILS = (
    "It began with version {version}; before, all was well.",
    "The message is {code}.",
    "{count} people have asked for it this month.",
)
_REPLIES = (
    "I can confirm this.",
    "I can't reproduce it here.",
    "A first patch is in review.",
    "Please try the new build.",
    "This belongs to another team, I think.",
    "Could you send a log?",
)


def base() -> bytes:
    """The tracker's empty database, made by the tracker itself."""
    return base_database("issues", TARGET, f"roundup-{version('roundup')}-{GENERATOR}")


@lru_cache(maxsize=64)
def golden(world: int) -> bytes:
    """The serialised database of a world, with its log of changes installed and empty.

    The texts of messages, which Roundup keeps in files, lie in the table ``agentgym_text``.
    """
    versions = f"{version('roundup')}-{GENERATOR}"
    return kept_world("issues", versions, world, lambda: _make(world))


def _make(world: int) -> bytes:
    rng, us = derive_rng("web issues", world), shared(world)
    db = sqlite3.connect(":memory:")
    db.deserialize(base())
    now = datetime(us.today.year, us.today.month, us.today.day, 12, tzinfo=UTC)
    names = [us.owner, *(person.name for person in sample(rng, us.people, USERS - 1) if person.name != us.owner)]
    _Writer(db, rng, now, names).fill()
    db.execute("UPDATE agentgym_world SET now = ?, visitor = ?", (int(now.timestamp()), login(us.owner)))
    watch(db, WATCHED)
    db.execute("VACUUM")
    data = db.serialize()
    db.close()
    return data


def login(name: str) -> str:
    """The name under which somebody is known to the tracker."""
    return name.lower().replace(" ", ".")


def stamp(moment: datetime) -> str:
    """A time as Roundup stores it."""
    return f"{moment:%Y%m%d%H%M%S}.000"


class _Writer:
    """Writes what the tracker would have written; its index of words and its histories included."""

    def __init__(self, db: sqlite3.Connection, rng: np.random.Generator, now: datetime, names: list[str]) -> None:
        self.db, self.rng, self.now, self.names = db, rng, now, names
        self.rows = Rows(db, stamp(now))
        self.users: list[int] = []
        self.texts = self.messages = 0

    def _put(self, kind: str, moment: datetime, creator: int, **values: object) -> int:
        """An item with its stamps and the first line of its history."""
        own = {f"_{name}": value for name, value in values.items()}
        key = self.rows.put(
            f"_{kind}", _activity=stamp(moment), _actor=creator, _creation=stamp(moment), _creator=creator, **own
        )
        self.rows.put(
            f"{kind}__journal", nodeid=key, date=stamp(moment), tag=str(creator), action="create", params="{}"
        )
        return key

    def _index(self, kind: str, key: int, name: str, text: str) -> None:
        self.texts += 1
        self.rows.put("__textids", _class=kind, _itemid=str(key), _prop=name, _textid=self.texts)
        words = sorted(set(re.findall(r"\b\w{2,50}\b", text.upper())))
        self.db.executemany("INSERT INTO __words VALUES (?, ?)", [(word, self.texts) for word in words])

    def fill(self) -> None:
        """Everything, then the counters from which the tracker goes on."""
        long_ago = self.now - timedelta(days=400)
        for name in self.names:
            values = {"username": login(name), "realname": name, "address": f"{login(name)}@issues.example"}
            self.users.append(self._put("user", long_ago, 1, roles="User", **values))
        for name in sample(self.rng, _KEYWORDS, 7):
            self._put("keyword", long_ago, 1, name=name)
        titles = [(int(i) % 7 + 1, _SYMPTOMS[int(i) // 7]) for i in
                  self.rng.choice(7 * len(_SYMPTOMS), size=ISSUES, replace=False)]  # fmt: skip
        days = sorted(
            (int(day) for day in self.rng.choice(np.arange(4, 300), size=ISSUES, replace=False)), reverse=True
        )
        for (keyword, symptom), day in zip(titles, days, strict=True):
            self._issue(keyword, symptom, self.now - timedelta(days=day))
        counts = {"user": None, "keyword": None, "issue": None, "msg": None}
        for kind in counts:
            following = self.db.execute(f"SELECT max(id) + 1 FROM _{kind}").fetchone()[0]
            self.db.execute("UPDATE ids SET num = ? WHERE name = ?", (following, kind))
        self.db.execute("UPDATE ids SET num = ? WHERE name = '__textids'", (self.texts + 1,))

    def _issue(self, keyword: int, symptom: str, moment: datetime) -> None:
        name = self.db.execute("SELECT _name FROM _keyword WHERE id = ?", (keyword,)).fetchone()[0]
        title, creator = f"{name.capitalize()} {symptom}", pick(self.rng, self.users)
        assigned = pick(self.rng, self.users) if self.rng.random() < 0.7 else None
        key = self._put(
            "issue", moment, creator, title=title, priority=int(self.rng.integers(1, 6)),
            status=int(self.rng.integers(1, 9)), assignedto=assigned,
        )  # fmt: skip
        self.rows.put("issue_keyword", linkid=keyword, nodeid=key)
        people = {creator, assigned} - {None}
        for user in sorted(user for user in people if user is not None):
            self.rows.put("issue_nosy", linkid=user, nodeid=key)
        self._index("issue", key, "title", title)
        code = f"E{int(self.rng.integers(100, 1000))}-{key}"
        facts = {"version": f"{int(self.rng.integers(2, 9))}.{int(self.rng.integers(0, 20))}", "code": code,
                 "count": str(int(self.rng.integers(3, 60)))}  # fmt: skip
        kind = int(self.rng.integers(3))
        detail = _DETAILS[kind].format(**facts)
        fact = tuple(facts)[kind]
        self.rows.put("agentgym_fact", issue=key, name=fact, value=facts[fact])
        self._message(key, creator, moment, f"{title}. {detail}")
        for _ in range(int(self.rng.integers(0, 3))):
            moment += timedelta(hours=int(self.rng.integers(2, 30)))
            self._message(key, pick(self.rng, self.users), moment, pick(self.rng, _REPLIES))
        self.db.execute("UPDATE _issue SET _activity = ? WHERE id = ?", (stamp(moment), key))

    def _message(self, issue: int, author: int, moment: datetime, text: str) -> None:
        self.messages += 1
        key = self._put("msg", moment, author, author=author, date=stamp(moment), summary=text[:60],
                        messageid=f"<{self.messages}@issues.test>", type="text/plain")  # fmt: skip
        self.rows.put("issue_messages", linkid=key, nodeid=issue)
        self.rows.put("agentgym_text", msg=key, text=text)
        self._index("msg", key, "content", text)
