"""Ctrl-C and SIGTERM: the first ends a run in good order, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from types import FrameType
from typing import Any


def run_until_signal(work: Coroutine[Any, Any, Any]) -> int:
    """Runs ``work`` to its end, or cancels it when a signal asks for that.

    What it writes is whole either way: cancellation reaches it where it waits, never inside a write.

    Returns:
        0, or 128 plus the number of the signal.
    """
    received: list[int] = []

    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def on_signal(number: int, frame: FrameType | None) -> None:
            if received:
                os._exit(128 + number)
            received.append(number)
            print("agentgym: ending in good order; a second signal ends at once.", file=sys.stderr, flush=True)
            loop.call_soon_threadsafe(task.cancel)

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            await work
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        if not received:
            raise
    return 128 + received[0] if received else 0
