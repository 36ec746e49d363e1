"""One self-contained HTML file: a table, learning curves, and an episode with its rewards, gates and credit."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentgym.core.records import Trajectory

_STYLE = """
:root { color-scheme: light dark; --fg: #1b1f24; --soft: #59636e; --line: #d1d9e0; --bg: #fff; --card: #f6f8fa;
  --good: #1a7f37; --bad: #cf222e; --wait: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --fg: #e6edf3; --soft: #9198a1; --line: #3d444d; --bg: #0d1117;
  --card: #151b23; --good: #3fb950; --bad: #f85149; --wait: #d29922; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg); max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
.charts { display: flex; flex-wrap: wrap; gap: 1.5rem; } figure { margin: 0; max-width: 100%; }
.chart { max-width: 100%; height: auto; } .chart text { fill: var(--soft); font-size: 11px; }
.chart .title { fill: var(--fg); font-size: 13px; font-weight: 600; } .grid { stroke: var(--line); }
figcaption { font-size: .85rem; color: var(--soft); } .key { margin-right: 1rem; white-space: nowrap; }
.key i { display: inline-block; width: .8rem; height: .2rem; margin-right: .3rem; vertical-align: middle; }
.turn { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .7rem 1rem;
  margin: .8rem 0; }
.turn header { display: flex; justify-content: space-between; color: var(--soft); font-size: .85rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; font-size: .85rem; }
pre.message { font-weight: 600; } .soft { color: var(--soft); }
.paid { color: var(--good); } .dropped { color: var(--bad); } .held { color: var(--wait); }
.bar { display: inline-block; height: .6rem; vertical-align: middle; border-radius: 2px; }
"""


@dataclass(frozen=True)
class Table:
    """Rows of text under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def html(self) -> str:
        """The table as an element."""
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in self.header)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def text(self) -> str:
        """The table as aligned plain text, for a terminal."""
        rows = [list(self.header), *map(list, self.rows)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.header))]
        lines = [
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


@dataclass
class Report:
    """A page that grows section by section."""

    title: str
    _parts: list[str] = field(default_factory=list)

    def section(self, heading: str, *, note: str = "") -> None:
        """A heading, and a sentence below it."""
        self._parts.append(f"<h2>{html.escape(heading)}</h2>")
        if note:
            self._parts.append(f'<p class="soft">{html.escape(note)}</p>')

    def table(self, table: Table) -> None:
        """A table."""
        self._parts.append(table.html())

    def charts(self, *charts: str) -> None:
        """Charts side by side (``chart.line_chart``)."""
        self._parts.append(f'<div class="charts">{"".join(charts)}</div>')

    def episode(self, trajectory: Trajectory, credit: Sequence[float] | None = None) -> None:
        """An episode turn by turn; ``credit``: advantage of each turn."""
        self._parts.append(_episode(trajectory, credit))

    def page(self) -> str:
        """The whole file."""
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head>"
            f"<body><h1>{html.escape(self.title)}</h1>{''.join(self._parts)}</body></html>\n"
        )


def _episode(trajectory: Trajectory, credit: Sequence[float] | None) -> str:
    solved = "solved" if trajectory.success else "not solved"
    gates = "; ".join(f"{name}: {state}" for name, state in trajectory.gates.items()) or "none"
    parts = [
        f"<p>Task {html.escape(trajectory.task_id)}, {solved}, total reward {trajectory.total_reward:+.3f}. "
        f"Gates: {html.escape(gates)}.</p>"
    ]
    largest = max((abs(value) for value in credit or ()), default=0.0) or 1.0
    for turn in trajectory.turns:
        entries = "".join(
            f'<tr class="{entry.status}"><td>{html.escape(entry.component)}</td><td>{entry.raw:+.3f}</td>'
            f"<td>{entry.status}{html.escape(f' by {entry.held_by}' if entry.held_by else '')}</td>"
            f"<td>{f'{entry.value:+.3f}' if entry.status == 'paid' else ''}</td>"
            f"<td>{f'turn {entry.paid_turn + 1}' if entry.paid_turn >= 0 else ''}</td></tr>"
            for entry in trajectory.ledger
            if entry.turn == turn.index
        )
        shown = f"paid {turn.reward:+.3f}, earned {turn.attributed:+.3f}"
        if credit is not None:
            value = credit[turn.index]
            colour = "var(--good)" if value >= 0 else "var(--bad)"
            width = round(abs(value) / largest * 6, 2)
            shown += f', credit {value:+.3f} <span class="bar" style="width:{width}rem;background:{colour}"></span>'
        parts.append(
            f'<div class="turn"><header><span>turn {turn.index + 1}</span><span>{shown}</span></header>'
            f'<pre class="soft">{html.escape(turn.observation)}</pre>'
            f'<pre class="message">{html.escape(turn.message)}</pre>'
            f"<table><thead><tr><th>component</th><th>raw</th><th>status</th><th>paid</th><th>when</th></tr></thead>"
            f"<tbody>{entries}</tbody></table></div>"
        )
    parts.append(f'<pre class="soft">{html.escape(trajectory.final_observation)}</pre>')
    return "".join(parts)
