"""What people put into forms."""

from __future__ import annotations

import re

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def number(text: str) -> int:
    """The number of a field; 0 where it holds none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def is_address(text: str) -> bool:
    """Whether it looks like an e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def addresses(text: str) -> list[str]:
    """Addresses of a field, each once, sorted: their order says nothing."""
    return sorted({part.lower() for part in re.split(r"[,;\s]+", text) if part})
