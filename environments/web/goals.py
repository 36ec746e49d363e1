"""Typed goals: what the database must hold, what must have been opened, what must be answered; and how far one is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from agentgym.environments.web.sites.changes import Change
from agentgym.tools.browser.transport import Logged
from agentgym.tools.browser.urls import form_decoded

MAX_ANSWER = 300
"""Characters of an answer; longer ones are wrong, whatever they contain."""

_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d %B %Y", "%B %d %Y", "%d %b %Y", "%b %d %Y", "%m/%d/%Y", "%d.%m.%Y")
_TIMES = ("%H:%M", "%I:%M %p", "%I:%M%p")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_QUOTES = ("''", '""', "``", "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}",
           "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}")  # fmt: skip
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Want:
    """One row as it has to become."""

    table: str
    op: Literal["add", "change", "delete"]
    values: Mapping[str, Any]
    """Columns that must have these values. Of a changed row, no other column may differ."""
    row: int = 0
    """Key of the row to change or delete."""
    site: str = ""
    """Name of the site that has the table; empty where only one has."""

    def about(self, change: Change) -> bool:
        """Whether a change is in this table."""
        return self.table == change.table and self.site in ("", change.site)


@dataclass(frozen=True)
class Answer:
    """What has to be said in the end."""

    kind: Literal["text", "number", "money", "date", "time", "set"]
    value: Any
    """Text; a number; cents; an ISO date; a time as 09:30; a list of texts."""


@dataclass(frozen=True)
class Place:
    """A page: its path, and the query fields that it must have. An empty field may be left out."""

    path: str
    query: Mapping[str, str]
    host: str = ""
    """Host; empty for any."""
    also: Mapping[str, list[str]] = field(default_factory=dict)
    """Field -> further values that show the same, in small letters, since their case doesn't matter; none: any."""

    def matches(self, path: str, query: str, host: str = "") -> bool:
        """Whether an address is this page."""
        found = dict(form_decoded(query))
        here = path == self.path and self.host in ("", host)
        return here and all(self._fits(key, found.get(key, "")) for key in {**found, **self.query})

    def _fits(self, key: str, value: str) -> bool:
        if value == self.query.get(key, ""):
            return True
        return key in self.also and (not self.also[key] or value.strip().lower() in self.also[key])


FIRST_PAGE: Mapping[str, list[str]] = {"page": ["1"]}
"""What a list's pager calls its first page: ``also`` of a place whose list has one."""


@dataclass(frozen=True)
class Goal:
    """All of what a task asks for. Each part that is empty asks for nothing."""

    wants: tuple[Want, ...] = ()
    answer: Answer | None = None
    route: tuple[Place, ...] = ()
    """Pages on a good way, in order: opening them is a milestone."""
    visited: tuple[Place, ...] = ()
    """Pages that must have been opened, in any order."""
    final: Place | None = None
    """The page that must be shown in the end."""
    evidence: tuple[str, ...] = ()
    """Texts that the answer rests on; whoever has read the right pages has seen them."""
    must_see: bool = False
    """Whether the evidence must have been seen: where an answer could be guessed."""
    infeasible: str = ""
    """Why the task can't be done: the reason that must be reported."""
    confirm: str = ""
    """What the user replies when asked; non-empty: asking comes before the first change."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a task's reference."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Goal:
        """Inverse of ``to_dict``."""
        values = dict(data)
        values["wants"] = tuple(Want(**item) for item in values.get("wants", ()))
        values["answer"] = Answer(**values["answer"]) if values.get("answer") else None
        for key in ("route", "visited"):
            values[key] = tuple(Place(**item) for item in values.get(key, ()))
        values["final"] = Place(**values["final"]) if values.get("final") else None
        values["evidence"] = tuple(values.get("evidence", ()))
        return cls(**values)


# ------------------------------------------------------------------ state of the database


@dataclass(frozen=True)
class Standing:
    """How the database stands to the wants."""

    share: float
    """Fulfilled part of the wants, 0 to 1; 1 when there are none."""
    wrong: int
    """Rows and columns that were changed and shouldn't have been, or not to this."""


def standing(goal: Goal, changes: Sequence[Change]) -> Standing:
    """Compares net changes with what is wanted; a pure function of the database, so nothing can be farmed."""
    shares: list[float] = []
    left, wrong = list(changes), 0
    for want in goal.wants:
        share, used = _fulfilled(want, left)
        shares.append(share)
        if used is not None:
            left.remove(used)
            wrong += _missed(want, used)
    wrong += sum(_stray(change, goal.wants) for change in left)
    return Standing(sum(shares) / len(shares) if shares else 1.0, wrong)


def _fulfilled(want: Want, changes: Sequence[Change]) -> tuple[float, Change | None]:
    """Share of a want, and the change that counts as its own. Columns beside it stay to be judged as strays."""
    if want.op == "add":
        added = [change for change in changes if want.about(change) and change.before is None]
        best = max(added, key=lambda change: _equal(want.values, change.after), default=None)
        share = _equal(want.values, best.after) if best is not None else 0.0
        return (share, best) if share >= 0.5 else (0.0, None)
    own = next((change for change in changes if want.about(change) and change.row == want.row), None)
    if own is None:
        return 0.0, None
    if want.op == "delete":
        return (1.0, own) if own.after is None else (0.0, None)
    if own.after is None:
        return 0.0, None
    stray = any(column not in want.values for column in own.columns)
    return _equal(want.values, own.after), None if stray else own


def _equal(values: Mapping[str, Any], row: Mapping[str, Any] | None) -> float:
    if row is None:
        return 0.0
    right = sum(bool(row.get(key) == value) for key, value in values.items())
    return right / max(len(values), 1)


def _missed(want: Want, change: Change) -> int:
    """Columns of a wanted row that were written, but with another value."""
    after = change.after or {}
    return sum(column in want.values and after.get(column) != want.values[column] for column in change.columns)


def _stray(change: Change, wants: Iterable[Want]) -> int:
    if change.before is None or change.after is None:
        return 1
    wanted = {
        column: value
        for want in wants
        if want.op == "change" and want.about(change) and want.row == change.row
        for column, value in want.values.items()
    }
    return sum(column not in wanted or change.after[column] != wanted[column] for column in change.columns)


def form_share(goal: Goal, requests: Iterable[Logged]) -> float | None:
    """The best share of wanted values in a form that was sent; None when no form of the kind was."""
    shares = []
    for request in requests:
        form = dict(request.form)
        for want in goal.wants:
            named = [key for key in want.values if key in form]
            if request.method == "POST" and len(named) * 2 >= len(want.values) > 0:
                right = sum(_same(form[key], want.values[key]) for key in named)
                shares.append(right / len(want.values))
    return max(shares, default=None)


def _same(sent: str, wanted: Any) -> bool:
    sent = sent.replace("\r\n", "\n").strip()
    return sent == str(wanted) or (isinstance(wanted, int) and re.fullmatch(r"\d+\.\d\d", sent) is not None
                                   and round(float(sent) * 100) == wanted)  # fmt: skip


# ------------------------------------------------------------------ answers


def right_answer(answer: Answer, text: str) -> bool:
    """Whether a text is the answer, by its type and as a whole: no part of a longer text counts."""
    text = _bare(text)
    if len(text) > MAX_ANSWER:
        return False
    if answer.kind == "set":
        given = [_text(part) for part in re.split(r"[,;\n]|\band\b", text) if part.strip()]
        return sorted(given) == sorted(map(_text, answer.value))
    if answer.kind == "number":
        return _number(text.removeprefix("#")) == float(answer.value)
    if answer.kind == "money":
        number = _number(re.sub(r"^(?:USD|(?:US)?\$)\s*|\s*(?:USD|\$|dollars?)$", "", text, flags=re.IGNORECASE))
        return number is not None and round(number * 100) == int(answer.value)
    if answer.kind == "date":
        return _date(text) == str(answer.value)
    if answer.kind == "time":
        found = _moment(text, _TIMES)
        return found is not None and f"{found:%H:%M}" == str(answer.value)
    return _text(text) == _text(str(answer.value))


def _bare(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text.removesuffix(".").strip()


def _text(text: str) -> str:
    return " ".join(_bare(text).casefold().split())


def _number(text: str) -> float | None:
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    return float(text) if len(text) < 30 and _NUMBER.fullmatch(text) else None


def _date(text: str) -> str | None:
    """A date in words or numbers, with or without the day of the week, which must be the right one."""
    words = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text).replace(",", " ").split()
    weekday = words.pop(0) if words and words[0][:3].title() in _WEEKDAYS else ""
    found = _moment(" ".join(words), _DATES)
    if found is None or (weekday and weekday.title() not in (f"{found:%A}", f"{found:%a}")):
        return None
    return found.date().isoformat()


def _moment(text: str, forms: Sequence[str]) -> datetime | None:
    for form in forms:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def place_of(url: str) -> tuple[str, str]:
    """Path and query of an address."""
    parts = urlsplit(url)
    return parts.path, parts.query
