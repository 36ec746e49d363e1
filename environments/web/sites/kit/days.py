"""Days as first-party sites write them, in English whatever the machine speaks."""

from __future__ import annotations

from datetime import date

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip


def day_words(day: date) -> str:
    """``Thursday, 12 March``."""
    return f"{WEEKDAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]}"


def month_words(day: date) -> str:
    """``March 2026``."""
    return f"{MONTHS[day.month - 1]} {day.year}"


def a_day(text: str) -> date | None:
    """The day of an ISO date; None where it isn't one."""
    try:
        return date.fromisoformat(text) if len(text) == 10 and text[4::3] == "--" else None
    except ValueError:
        return None


def a_time(text: str) -> int | None:
    """Minutes since midnight of ``hh:mm``; None where it isn't one."""
    hours, _, minutes = text.partition(":")
    if len(text) != 5 or not (hours + minutes).isascii() or not (hours + minutes).isdecimal():
        return None
    found = int(hours) * 60 + int(minutes)
    return found if int(hours) < 24 and int(minutes) < 60 else None


def time_words(minutes: int) -> str:
    """``hh:mm`` of minutes since midnight."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
