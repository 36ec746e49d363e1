"""What a rollout is doing, live: rates, rewards by component, open gates, failures by boundary, time left."""

from __future__ import annotations

import sys
import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from agentgym.cli.progress import PlainProgress

if TYPE_CHECKING:
    from rich.console import RenderableType

    from agentgym.rollout.tally import Tally

_HALF_LIFE = 20.0
"""Seconds after which what was measured counts half in the rates."""


class RolloutView(Protocol):
    """Shows how far a rollout is."""

    def start(self, stored: Tally, jobs: int) -> None:
        """What was stored before."""
        ...

    def update(self, tally: Tally, jobs: int) -> None:
        """Totals of what this process played, and how many jobs are stored in all."""
        ...

    def __enter__(self) -> RolloutView: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Rates:
    """Episodes, turns and tokens a second, recent ones counting most."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._seen = (0, 0, 0)
        self._weight = 0.0
        self.values = [0.0, 0.0, 0.0]

    def update(self, tally: Tally) -> None:
        now = time.monotonic()
        passed = now - self._last
        if passed < 0.2:
            return
        seen = (tally.episodes, tally.turns, tally.tokens)
        fresh = 1 - 0.5 ** (passed / _HALF_LIFE)
        self._weight += fresh * (1 - self._weight)
        share = fresh / self._weight  # so that the first measurement counts in full
        for i in range(3):
            self.values[i] += share * ((seen[i] - self._seen[i]) / passed - self.values[i])
        self._last, self._seen = now, seen


class LiveTable:
    """A table on stderr that is drawn again four times a second."""

    def __init__(self, title: str, jobs: int) -> None:
        from rich.console import Console
        from rich.live import Live

        from agentgym.rollout.tally import Tally

        self.title, self.jobs = title, jobs
        self._before, self._now = Tally(), Tally()
        self._done = self._first = 0
        self._rates = _Rates()
        self._began = time.monotonic()
        self._live = Live(
            console=Console(stderr=True), get_renderable=self.render, refresh_per_second=4, transient=False
        )

    def start(self, stored: Tally, jobs: int) -> None:
        """See ``RolloutView.start``."""
        self._before, self._done, self._first = stored, jobs, jobs

    def update(self, tally: Tally, jobs: int) -> None:
        """See ``RolloutView.update``."""
        self._now, self._done = tally, jobs
        self._rates.update(tally)

    def render(self) -> RenderableType:
        """The table as it stands."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        from agentgym.rollout.tally import Tally

        both = Tally()
        for part in (self._before, self._now):
            both.merge(part.state())
        episodes, turns, tokens = self._rates.values
        head = Table.grid(padding=(0, 2))
        head.add_row(
            f"[bold]{self.title}[/bold]",
            ProgressBar(total=self.jobs, completed=self._done, width=24),
            f"{self._done}/{self.jobs}",
            f"{_clock(time.monotonic() - self._began)} so far",
            f"{self._left()} left",
        )
        rates = f"{episodes:.1f} episodes/s   {turns:.0f} turns/s   {tokens:.0f} tokens/s"
        body = Table.grid(padding=(0, 4))
        body.add_row(_rewards(both), _gates(both), _faults(both))
        return Group(head, rates, "", body)

    def _left(self) -> str:
        played = self._done - self._first
        if not played:
            return "?"
        return _clock((time.monotonic() - self._began) * (self.jobs - self._done) / played)

    def __enter__(self) -> LiveTable:
        self._began = time.monotonic()
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


class PlainLines:
    """One line every few seconds."""

    def __init__(self, jobs: int) -> None:
        self._lines = PlainProgress("episodes", jobs)
        self._began = time.monotonic()

    def start(self, stored: Tally, jobs: int) -> None:
        """See ``RolloutView.start``."""

    def update(self, tally: Tally, jobs: int) -> None:
        """See ``RolloutView.update``."""
        rate = tally.episodes / max(time.monotonic() - self._began, 1e-9)
        mean = tally.reward / max(tally.scored, 1)
        failed, again = sum(tally.faults.values()), sum(tally.retried.values())
        self._lines.update(
            jobs, f"{rate:.1f} episodes/s  mean reward {mean:.3f}  failures {failed} ({again} more tried again)"
        )

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.__exit__(kind, error, trace)


def rollout_view(title: str, jobs: int) -> RolloutView:
    """The view that fits where stderr goes."""
    return LiveTable(title, jobs) if sys.stderr.isatty() else PlainLines(jobs)


def _rewards(tally: Tally) -> RenderableType:
    rows = {"reward": tally.reward, "success": float(tally.successes), **dict(sorted(tally.rewards.items()))}
    return _block(("mean over scored", ""), [(name, _mean(value, tally.scored)) for name, value in rows.items()])


def _gates(tally: Tally) -> RenderableType:
    return _block(("gate", "open"), [(name, _mean(n, tally.scored, ".0%")) for name, n in sorted(tally.gates.items())])


def _faults(tally: Tally) -> RenderableType:
    rows: list[tuple[str, ...]] = [
        (boundary, str(tally.faults[boundary]), str(tally.retried[boundary]))
        for boundary in sorted(Counter(tally.faults) | Counter(tally.retried))
    ]
    return _block(("failures at", "final", "tried again"), rows or [("none", "", "")])


def _block(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> RenderableType:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _mean(total: float, count: int, form: str = ".3f") -> str:
    return format(total / count, form) if count else "-"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
