"""The array tools against loops."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.credit import segments as seg
from credit.batches import quick

lengths = st.lists(st.integers(0, 40), min_size=1, max_size=8)


def flat(sizes, seed):
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return np.random.default_rng(seed).normal(size=offsets[-1]), offsets


@quick(20)
@given(lengths, st.integers(0, 9999), st.sampled_from([0.0, 1e-150, 1e-30, 0.3, 0.95, 0.999, 1.0]))
def test_discounted_to_go(sizes, seed, discount):
    x, offsets = flat(sizes, seed)
    want = x.copy()
    for a, b in itertools.pairwise(offsets):
        for t in range(b - 2, a - 1, -1):
            want[t] = x[t] + discount * want[t + 1]
    np.testing.assert_allclose(seg.discounted_to_go(x, offsets, discount), want, rtol=1e-9, atol=1e-12)


def test_long_scans_neither_underflow_nor_lose_precision():
    x = np.ones(20_000)
    for discount in (0.5, 0.99, 0.99999):
        found = seg.discounted_to_go(x, np.array([0, 20_000]), discount)
        want = (1 - discount ** np.arange(20_000, 0, -1.0)) / (1 - discount)
        np.testing.assert_allclose(found, want, rtol=1e-10)


@quick(20)
@given(lengths, st.integers(0, 9999))
def test_a_segment_does_not_depend_on_its_neighbours(sizes, seed):
    x, offsets = flat(sizes, seed)
    whole = seg.discounted_to_go(x, offsets, 0.9)
    for a, b in itertools.pairwise(offsets):
        assert np.array_equal(whole[a:b], seg.discounted_to_go(x[a:b], np.array([0, b - a]), 0.9))


@quick(20)
@given(lengths, st.integers(0, 9999))
def test_sums_minima_and_neighbours(sizes, seed):
    x, offsets = flat(sizes, seed)
    parts = [x[a:b] for a, b in itertools.pairwise(offsets)]
    np.testing.assert_allclose(seg.segment_sum(x, offsets), [p.sum() for p in parts], atol=1e-12)
    minima = [p[t:].min() for p in parts for t in range(len(p))]
    assert seg.min_to_go(x, offsets).tolist() == minima
    following = [p[t + 1] if t + 1 < len(p) else -7.0 for p in parts for t in range(len(p))]
    assert seg.next_in_segment(x, offsets, -7.0).tolist() == following
    assert seg.segment_ids(offsets).tolist() == [i for i, p in enumerate(parts) for _ in p]
    assert seg.position_in_segment(offsets).tolist() == [t for p in parts for t in range(len(p))]


@quick(20)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=6), st.integers(0, 3), st.integers(0, 9999))
def test_spans(gaps, tail, seed):
    start, end, at = [], [], 0
    for gap, length in gaps:
        start.append(at + gap)
        at = start[-1] + length
        end.append(at)
    size = at + tail
    x = np.random.default_rng(seed).normal(size=size)
    start, end = np.array(start, dtype=np.int64), np.array(end, dtype=np.int64)
    np.testing.assert_allclose(seg.span_sum(x, start, end), [x[a:b].sum() for a, b in zip(start, end, strict=True)])
    want = np.zeros(size)
    for k, (a, b) in enumerate(zip(start, end, strict=True)):
        want[a:b] = k + 1.0
    assert seg.fill_spans(np.arange(1.0, len(start) + 1), start, end, size).tolist() == want.tolist()


@quick(20)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), max_size=12))
def test_codes(pairs):
    letters = [p[0] for p in pairs]
    assert seg.factorise(np.array(letters, dtype=object)).tolist() == [
        list(dict.fromkeys(letters)).index(x) for x in letters
    ]
    numbers = np.array([p[1] for p in pairs], dtype=np.int64)
    found = seg.combine(seg.factorise(letters), numbers)
    assert len(set(found.tolist())) == len(set(pairs)) == found.max(initial=-1) + 1
    for i, one in enumerate(pairs):
        assert [found[i] == code for code in found] == [one == other for other in pairs]


def test_padding_stays_near_the_data():
    """A single long segment must not blow the short ones up to its length."""
    seen = []

    def scan(block):
        seen.append(block.size)
        return block

    sizes = [1] * 5000 + [5000]
    x, offsets = flat(sizes, 0)
    assert np.array_equal(seg.scan_segments(x, offsets, scan), x)
    assert sum(seen) == pytest.approx(10_000)
