"""Fewer garbage collections while episodes are played and laid out.

Records are many small objects that stay, and Python looks through the young ones again after every 700 of them: a fifth
of what a rollout costs beside policy and environment, and more where records are kept.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ALLOCATIONS = 20_000
"""Objects that may be made between two collections; a few megabytes."""

_guard = threading.Lock()
_holders = 0
_before = (0, 0, 0)


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Within this, in all threads, the collector waits for more objects. What a user has set higher, or off, stays."""
    global _holders, _before
    with _guard:
        _holders += 1
        if _holders == 1:
            _before = gc.get_threshold()
            if 0 < _before[0] < ALLOCATIONS:
                gc.set_threshold(ALLOCATIONS, *_before[1:])
    try:
        yield
    finally:
        with _guard:
            _holders -= 1
            if _holders == 0 and gc.get_threshold() == (ALLOCATIONS, *_before[1:]):
                gc.set_threshold(*_before)
