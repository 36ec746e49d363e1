"""Inputs that hold numbers, dates, times and colours: what they take, and how much it is (HTML, section 4.10.5.1)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date

from tinycss2.color3 import RGBA, parse_color

_NUMBER = r"-?(\d+(\.\d+)?|\.\d+)([eE][-+]?\d+)?"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,3})?)?"
_FORMATS = {
    "month": re.compile(r"(?!0000)\d{4}-(0[1-9]|1[0-2])", re.ASCII),
    "week": re.compile(r"(?!0000)\d{4}-W\d\d", re.ASCII),
    "time": re.compile(_CLOCK, re.ASCII),
    "color": re.compile(r"#[0-9a-fA-F]{6}"),
    "number": re.compile(_NUMBER, re.ASCII),
    "range": re.compile(_NUMBER, re.ASCII),
    "date": re.compile(r"\d{4}-\d\d-\d\d", re.ASCII),
    "datetime-local": re.compile(r"\d{4}-\d\d-\d\d[T ]" + _CLOCK, re.ASCII),
}
EXAMPLES = {
    "month": "2026-03",
    "week": "2026-W05",
    "time": "14:30",
    "color": "#ff0000",
    "number": "a number",
    "range": "a number",
    "date": "2026-03-14",
    "datetime-local": "2026-03-14T14:30",
}
"""What a value of each type looks like."""
_STEPS = {"number": 1.0, "range": 1.0, "date": 1.0, "month": 1.0, "week": 7.0, "time": 60.0, "datetime-local": 60.0}
"""Default step: days, months, days again, seconds."""
_DAY = 86_400.0
_FIRST_MONDAY = -3.0
"""Weeks are counted from 1969-12-29, in days of the epoch."""


def well_formed(kind: str, text: str) -> bool:
    """Whether ``text`` is a value of the input type ``kind``."""
    if not _FORMATS[kind].fullmatch(text):
        return False
    try:
        return kind in ("color", "month", "time") or math.isfinite(amount(kind, text))
    except ValueError:  # a day that isn't in the calendar
        return False


def amount(kind: str, text: str) -> float:
    """A value as a number: as it is, days or months since 1970, or seconds. Raises ValueError for no such day."""
    if kind in ("number", "range"):
        return float(text)
    if kind == "month":
        return float((int(text[:4]) - 1970) * 12 + int(text[5:]) - 1)
    if kind == "time":
        hours, minutes, *seconds = text.split(":")
        return int(hours) * 3600.0 + int(minutes) * 60 + float(seconds[0] if seconds else 0)
    day = date.fromisocalendar(int(text[:4]), int(text[6:]), 1) if kind == "week" else date.fromisoformat(text[:10])
    days = float(day.toordinal() - date(1970, 1, 1).toordinal())
    return days * _DAY + amount("time", text[11:]) if kind == "datetime-local" else days


def fitted(kind: str, attrs: Mapping[str, str], text: str) -> str:
    """The value of an input that is given ``text``: what doesn't fit its type becomes empty, or the default."""
    if kind == "color":
        found = parse_color(text)
        if not isinstance(found, RGBA):
            return "#000000"
        return "#" + "".join(f"{round(part * 255):02x}" for part in found[:3])
    if kind == "range":
        return _slid(attrs, text)
    if not well_formed(kind, text):
        return ""
    if kind == "datetime-local":
        day, clock = text[:10], text[11:]
        return f"{day}T{clock.removesuffix(':00') if clock.count(':') == 2 else clock}"
    return text


def _slid(attrs: Mapping[str, str], text: str) -> str:
    """Where a slider stands: within its bounds, on a step."""
    low, high = _bound("range", attrs, "min", 0.0), _bound("range", attrs, "max", 100.0)
    high = max(low, high)
    value = float(text) if well_formed("range", text) else low + (high - low) / 2
    value = min(max(value, low), high)
    step = step_of("range", attrs)
    if step:
        base = _base("range", attrs)
        value = base + math.floor((value - base) / step + 0.5) * step
        value -= step if value > high else 0.0
        value += step if value < low else 0.0
    return f"{round(value, 10):g}" if abs(value) < 1e6 and value != int(value) else f"{value:.0f}"


def step_of(kind: str, attrs: Mapping[str, str]) -> float:
    """The step between values, in the unit of ``amount``; 0 where any value will do."""
    text = attrs.get("step", "")
    if text.lower() == "any":
        return 0.0
    given = float(text) if well_formed("number", text) else 0.0
    if given <= 0:
        return _STEPS[kind]
    return given * 7 if kind == "week" else given


def _bound(kind: str, attrs: Mapping[str, str], name: str, otherwise: float) -> float:
    text = attrs.get(name, "")
    return amount(kind, text) if well_formed(kind, text) else otherwise


def _base(kind: str, attrs: Mapping[str, str]) -> float:
    first = attrs.get("data-agent-default", attrs.get("value", ""))
    return _bound(kind, attrs, "min", _bound(kind, {"value": first}, "value", _FIRST_MONDAY if kind == "week" else 0.0))


def out_of_range(kind: str, attrs: Mapping[str, str], text: str) -> str:
    """Why a well-formed value can't be sent; empty when it can, as what a slider stands at always can."""
    if kind == "range":
        return ""
    value = amount(kind, text)
    low, high = _bound(kind, attrs, "min", -math.inf), _bound(kind, attrs, "max", math.inf)
    if kind == "time" and low > high:  # over midnight
        if high < value < low:
            return f"It has to be at least {attrs['min']} or at most {attrs['max']}."
    elif value < low:
        return f"It has to be at least {attrs['min']}."
    elif value > high:
        return f"It has to be at most {attrs['max']}."
    step = step_of(kind, attrs)
    steps = (value - _base(kind, attrs)) / step if step else 0.0
    if math.isfinite(steps) and abs(steps - round(steps)) > 1e-6:
        unit = {"date": " days", "month": " months", "week": " days"}.get(kind, "")
        return f"It goes in steps of {step:g}{unit or ('' if kind in ('number', 'range') else ' seconds')}."
    return ""
