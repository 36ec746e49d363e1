"""Line charts as SVG text: curves with bands, axes, a legend. No dependency, so that reports are one file."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2")
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 34, 40


@dataclass(frozen=True)
class Curve:
    """One line: ``y`` over ``x``, with an optional band."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = field(default_factory=tuple)
    high: Sequence[float] = field(default_factory=tuple)


def line_chart(
    title: str,
    curves: Sequence[Curve],
    *,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    width: int = 560,
    height: int = 300,
) -> str:
    """An SVG element. Curves keep their colours by position; a curve of one point is drawn as a dot."""
    xs = [x for curve in curves for x in curve.x]
    ys = [y for curve in curves for values in (curve.y, curve.low, curve.high) for y in values if math.isfinite(y)]
    x0, x1 = (min(xs), max(xs)) if xs else (0.0, 1.0)
    y0, y1 = y_range or ((min(ys), max(ys)) if ys else (0.0, 1.0))
    x1, y1 = (x1 if x1 > x0 else x0 + 1), (y1 if y1 > y0 else y0 + 1)

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (x - x0) / (x1 - x0) * (width - _LEFT - _RIGHT)
        down = height - _BOTTOM - (min(max(y, y0), y1) - y0) / (y1 - y0) * (height - _TOP - _BOTTOM)
        return round(across, 1), round(down, 1)

    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" class="chart">',
        f"<title>{html.escape(title)}</title>",
        f'<text x="{_LEFT}" y="18" class="title">{html.escape(title)}</text>',
    ]
    for tick in ticks(y0, y1):
        _, down = at(x0, tick)
        parts.append(f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{down}" y2="{down}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{down + 4}" text-anchor="end">{tick:g}</text>')
    for tick in ticks(x0, x1):
        across, _ = at(tick, y0)
        parts.append(f'<text x="{across}" y="{height - _BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
    middle = (_LEFT + width - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{height - 6}" text-anchor="middle">{html.escape(x_label)}</text>')
    parts.append(
        f'<text transform="translate(12 {height / 2}) rotate(-90)" text-anchor="middle">{html.escape(y_label)}</text>'
    )
    for i, curve in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        if len(curve.low) == len(curve.x) and len(curve.high) == len(curve.x) and len(curve.x) > 1:
            edge = [at(x, y) for x, y in zip(curve.x, curve.high, strict=True)]
            edge += [at(x, y) for x, y in zip(curve.x, curve.low, strict=True)][::-1]
            parts.append(f'<polygon points="{_points(edge)}" fill="{colour}" opacity="0.15"/>')
        line = [at(x, y) for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(y)]
        parts.append(f'<polyline points="{_points(line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.extend(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in line)
    parts.append("</svg>")
    legend = "".join(
        f'<span class="key"><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{html.escape(curve.name)}</span>'
        for i, curve in enumerate(curves)
    )
    return f"<figure>{''.join(parts)}<figcaption>{legend}</figcaption></figure>"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, roughly ``about`` of them."""
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)
