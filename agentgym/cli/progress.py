"""Progress on stderr: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol

PLAIN_SECONDS = 5.0


class Progress(Protocol):
    """Shows how far a long command is."""

    def update(self, done: int, note: str) -> None:
        """``done`` of the total, and what else is worth a look."""
        ...

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainProgress:
    """One line every few seconds, and one at the end."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total = what, total
        self._last, self._done, self._note = time.monotonic(), 0, ""
        self._printed = 0

    def update(self, done: int, note: str) -> None:
        """See ``Progress.update``."""
        self._done, self._note = done, note
        if time.monotonic() - self._last >= PLAIN_SECONDS:
            self._print()

    def _print(self) -> None:
        self._last, self._printed = time.monotonic(), self._done
        print(f"{self.what}: {self._done}/{self.total}  {self._note}", file=sys.stderr, flush=True)

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._done != self._printed:
            self._print()


class BarProgress:
    """A live bar."""

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(what, total=total, note="")

    def update(self, done: int, note: str) -> None:
        """See ``Progress.update``."""
        self._bar.update(self._task, completed=done, note=note)

    def __enter__(self) -> BarProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def progress(what: str, total: int) -> Progress:
    """The kind of progress that fits where stderr goes."""
    return BarProgress(what, total) if sys.stderr.isatty() else PlainProgress(what, total)
