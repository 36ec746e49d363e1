"""When events take place: repetition, days left out, overlaps and gaps. Pure functions of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from agentgym.environments.web.sites.kit.days import a_time

REPEATS = ("", "weekly", "fortnightly", "monthly")
"""``monthly`` is the same day of each month that has it."""
KINDS = ("work", "personal", "family")
ANSWERS = ("yes", "maybe", "no")
OPENS, CLOSES = 8 * 60, 18 * 60
"""Minutes since midnight between which times can be free."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Occurrence:
    """One event on one day. Minutes since midnight."""

    day: date
    start: int
    end: int
    event: Row


def occurrences(events: Iterable[Row], skipped: Iterable[tuple[int, str]], first: date, last: date) -> list[Occurrence]:
    """What takes place from one day to another, in order.

    Args:
        events: Rows of ``event``.
        skipped: Event and ISO day of what was left out.
        first: The first day.
        last: The last day, which counts.
    """
    out = set(skipped)
    found = [
        Occurrence(day, start, start + event["minutes"], event)
        for event in events
        for start in [a_time(event["start"]) or 0]
        for day in _days(event, first, last)
        if (event["id"], day.isoformat()) not in out
    ]
    return sorted(found, key=lambda item: (item.day, item.start, item.event["id"]))


def _days(event: Row, first: date, last: date) -> Iterator[date]:
    begin = date.fromisoformat(event["day"])
    repeats = event["repeats"]
    if not repeats:
        if first <= begin <= last:
            yield begin
        return
    end = min(last, date.fromisoformat(event["until"])) if event["until"] else last
    if repeats == "monthly":
        day = max(begin, first)
        while day <= end:
            if day.day == begin.day:
                yield day
            day += timedelta(days=1)
        return
    step = {"weekly": 7, "fortnightly": 14}[repeats]
    day = begin + timedelta(days=max(-(-(first - begin).days // step), 0) * step)
    while day <= end:
        yield day
        day += timedelta(days=step)


def overlapping(taken: Iterable[Occurrence], start: int, minutes: int) -> list[Occurrence]:
    """What takes place during that time of the day."""
    return [item for item in taken if item.start < start + minutes and start < item.end]


def gaps(taken: Iterable[Occurrence], minutes: int) -> list[tuple[int, int]]:
    """The free times of a day that last so long."""
    found, free = [], OPENS
    for item in sorted(taken, key=lambda item: item.start):
        until = min(item.start, CLOSES)
        if until - free >= minutes:
            found.append((free, until))
        free = max(free, item.end)
    if CLOSES - free >= minutes:
        found.append((free, CLOSES))
    return found
