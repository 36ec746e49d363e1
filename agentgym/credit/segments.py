"""Sums, scans and broadcasts over flat arrays that are cut into segments by offsets.

Segment i of a flat array ``x`` is ``x[offsets[i]:offsets[i + 1]]``. Nothing here loops over segments: reductions are
one pass, and scans run on zero-padded blocks of segments of similar length, so that the result of a segment does not
depend on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[np.generic]

_SMALLEST_WEIGHT = 1e-100


def segment_ids(offsets: IntArray) -> IntArray:
    """Index of the segment that each row belongs to; shape (rows,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def position_in_segment(offsets: IntArray) -> IntArray:
    """Index of each row inside its segment; shape (rows,)."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def span_sum(x: npt.NDArray[np.generic], start: IntArray, end: IntArray) -> FloatArray:
    """Sum of ``x[start:end]`` for spans in ascending order that don't overlap; empty spans give 0; shape (spans,)."""
    if not len(start) or not len(x):
        return np.zeros(len(start))
    edges = np.empty(2 * len(start), dtype=np.int64)
    edges[0::2], edges[1::2] = start, end
    inside = int(np.searchsorted(edges, len(x)))  # reduceat takes no index past the last row; the last sum runs there
    sums = np.zeros(len(edges))
    sums[:inside] = np.add.reduceat(x, edges[:inside], dtype=np.float64)
    return np.where(end > start, sums[0::2], 0.0)


def segment_sum(x: npt.NDArray[np.generic], offsets: IntArray) -> FloatArray:
    """Sum of every segment; shape (segments,)."""
    return span_sum(x, offsets[:-1], offsets[1:])


def fill_spans(values: FloatArray, start: IntArray, end: IntArray, size: int) -> FloatArray:
    """An array of ``size`` rows that holds ``values[k]`` on ``[start[k], end[k])`` and 0 elsewhere."""
    lengths = np.empty(2 * len(start) + 1, dtype=np.int64)
    lengths[0::2] = np.append(start, size) - np.append(0, end)
    lengths[1::2] = end - start
    spread = np.zeros(2 * len(start) + 1)
    spread[1::2] = values
    return np.repeat(spread, lengths)


def next_in_segment(x: FloatArray, offsets: IntArray, last: FloatArray | float = 0.0) -> FloatArray:
    """The following row's value inside the segment; ``last`` (a number, or one a segment) after the final row."""
    out = np.empty_like(x)
    out[:-1] = x[1:]
    full = np.diff(offsets) > 0
    out[offsets[1:][full] - 1] = np.broadcast_to(last, full.shape)[full]
    return out


def _by_length(lengths: IntArray) -> list[BoolArray]:
    """Masks over the segments, one for each range of lengths, so that padding at most quadruples the memory."""
    scale = np.ceil(np.log2(np.maximum(lengths, 1)) / 2).astype(np.int64)
    return [scale == s for s in np.unique(scale[lengths > 0])]


def scan_segments(
    x: FloatArray, offsets: IntArray, scan: Callable[[FloatArray], FloatArray], *, fill: float = 0.0
) -> FloatArray:
    """Applies ``scan`` to padded blocks (n, L) of segments of similar length; returns a flat array like ``x``.

    Each row of a block holds one segment, left-aligned, padded with ``fill`` on the right.
    """
    lengths = np.diff(offsets)
    out = np.zeros(len(x))
    for chosen in _by_length(lengths):
        part = lengths[chosen]
        longest = int(part.max())
        rows = slice(None) if chosen.all() else np.repeat(chosen, lengths)
        if longest == part.min():
            out[rows] = scan(x[rows].reshape(-1, longest)).reshape(-1)
            continue
        valid = np.arange(longest) < part[:, None]
        block = np.full(valid.shape, fill)
        block[valid] = x[rows]
        out[rows] = scan(block)[valid]
    return out


def _to_go(block: FloatArray, discount: float) -> FloatArray:
    """``y_t = x_t + discount * y_{t+1}`` along the last axis, in pieces short enough not to underflow."""
    if discount == 0.0:
        return block
    if discount == 1.0:
        return np.cumsum(block[:, ::-1], axis=1)[:, ::-1]
    length = block.shape[1]
    width = max(1, min(length, int(np.log(_SMALLEST_WEIGHT) / np.log(discount))))
    weight = discount ** np.arange(width + 1)
    out = np.empty_like(block)
    for start in range((length - 1) // width * width, -1, -width):
        piece, done = out[:, start : start + width], start + width
        size = piece.shape[1]
        np.multiply(block[:, start : start + width], weight[:size], out=piece)
        np.cumsum(piece[:, ::-1], axis=1, out=piece[:, ::-1])
        piece /= weight[:size]
        if done < length:
            piece += out[:, done, None] * weight[size:0:-1]
    return out


def discounted_to_go(x: FloatArray, offsets: IntArray, discount: float) -> FloatArray:
    """``y_t = x_t + discount * y_{t+1}`` inside every segment (0 after its end); shape like ``x``.

    Args:
        x: Flat values.
        offsets: Segment boundaries, shape (segments + 1,).
        discount: In [0, 1].
    """
    return scan_segments(x, offsets, lambda block: _to_go(block, discount))


def min_to_go(x: FloatArray, offsets: IntArray) -> FloatArray:
    """``y_t = min(x_t, y_{t+1})`` inside every segment; shape like ``x``."""
    return scan_segments(x, offsets, lambda b: np.minimum.accumulate(b[:, ::-1], axis=1)[:, ::-1], fill=np.inf)


def factorise(labels: Iterable[object]) -> IntArray:
    """Dense codes 0.. of equal labels, in order of first appearance; shape (rows,)."""
    items = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    first: dict[object, int] = {}
    where = np.fromiter(map(first.setdefault, items, count()), dtype=np.int64, count=len(items))
    is_first = where == np.arange(len(items))
    codes: IntArray = np.cumsum(is_first) - 1
    return np.asarray(codes[where])


def combine(first: IntArray, second: IntArray) -> IntArray:
    """Dense codes 0.. of the pairs of two columns of codes (not negative), in sorted order of the pairs."""
    size = int(second.max(initial=-1)) + 1
    return np.asarray(np.unique(first * size + second, return_inverse=True)[1], dtype=np.int64)
