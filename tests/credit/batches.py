"""Random but valid batches with every optional column, for property tests."""

import os

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from agentgym.credit import COLUMNS, Batch

EXAMPLES = int(os.environ.get("AGENTGYM_EXAMPLES", "0"))
"""Examples a property, for a thorough search; by default few, and the same in every run."""


def quick(examples):
    """Settings of a property test: no deadline, since machines are shared."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


LABELS = ("a", "b", "c", "d")


def random_batch(seed, *, groups=2, largest=4, turns=4, tokens=True, forks=False, scale=1.0, levels=None, masked=0.2):
    """A batch drawn from ``seed``.

    ``levels`` restricts rewards and outcomes to the given values. Every turn is followed by environment tokens with
    probability a half; inside a span tokens are masked out with probability ``masked``.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, largest + 1, size=groups)
    group = np.repeat(rng.permutation(groups * 3)[:groups], sizes)

    def numbers(size):
        return rng.choice(levels, size) if levels is not None else rng.normal(size=size) * scale

    rows = []
    for i in range(len(group)):
        earlier = np.flatnonzero(group[:i] == group[i])
        parent = int(rng.choice(earlier)) if forks and len(earlier) and rng.random() < 0.6 else -1
        rows.append(_trajectory(rng, rows[parent] if parent >= 0 else None, turns, numbers, masked, scale))
        rows[-1]["parent"] = parent
    columns = {
        name: [row["columns"][name] for row in rows]
        for name, info in COLUMNS.items()
        if tokens or info.level != "token"
    }
    return Batch.build(
        group.tolist(),
        [row["reward"] for row in rows],
        spans=[row["spans"] for row in rows] if tokens else None,
        masks=[row["mask"] for row in rows] if tokens else None,
        outcomes=numbers(len(rows)),
        truncated=rng.random(len(rows)) < 0.3,
        parents=[row["parent"] for row in rows],
        fork_turns=[row["fork"] for row in rows],
        columns=columns,
    )


def _trajectory(rng, parent, turns, numbers, masked, scale):
    fork = int(rng.integers(1, len(parent["reward"]) + 1)) if parent else 0
    count = fork + int(rng.integers(0 if fork else 1, turns + 1))
    spans = list(parent["spans"][:fork]) if parent else []
    at = spans[-1][1] if spans else int(rng.integers(0, 3))
    for _ in range(count - fork):
        end = at + int(rng.integers(1, 4))
        spans.append((at + int(rng.integers(0, end - at)), end))
        at = end + int(rng.integers(0, 2)) * int(rng.integers(1, 3))
    length = at
    mask = np.zeros(length, dtype=bool)
    for start, end in spans:
        mask[start:end] = rng.random(end - start) >= masked
    if parent:
        mask[: spans[fork - 1][1]] = parent["mask"][: spans[fork - 1][1]]
    drawn = {name: _column(rng, info, count, length, numbers, scale) for name, info in COLUMNS.items()}
    reward = numbers(count)
    if parent:
        reward[:fork] = parent["reward"][:fork]
        for name, info in COLUMNS.items():
            if info.level == "turn":
                drawn[name][:fork] = parent["columns"][name][:fork]
        drawn["token_id"][: spans[fork - 1][1]] = parent["columns"]["token_id"][: spans[fork - 1][1]]
    return {"fork": fork, "reward": reward, "spans": spans, "mask": mask, "columns": drawn}


def _column(rng, info, turns, length, numbers, scale):
    size = {"token": length, "turn": turns, "trajectory": 1}[info.level]
    shape = (size, 2) if info.axes else (size,)
    if info.kind == "label":
        values = rng.choice(LABELS, size).astype(object)
    elif info.kind == "bool":
        values = rng.random(size) < 0.5
    elif info.kind == "int":
        values = rng.integers(0, 3, size)
    elif info.upper == 1.0:
        values = (rng.random(shape) < 0.5).astype(float)
    elif info.upper is not None:
        values = -np.abs(rng.normal(size=shape)) * scale
    elif info.lower is not None:
        values = np.abs(rng.normal(size=shape)) * scale
    else:
        values = numbers(int(np.prod(shape))).reshape(shape)
    if info.absent:
        values = np.where(rng.random(shape) < 0.2, np.nan, values)
    return values[0] if info.level == "trajectory" else values


def batches(**fixed):
    """Hypothesis strategy over `random_batch`."""
    options = {
        "seed": st.integers(0, 2**32 - 1),
        "groups": st.integers(1, 3),
        "largest": st.integers(1, 4),
        "turns": st.integers(1, 4),
        "forks": st.booleans(),
        "masked": st.sampled_from([0.0, 0.2, 0.7]),
    }
    options.update({name: st.just(value) for name, value in fixed.items()})
    return st.builds(random_batch, **options)


def spans_of(*lengths):
    """Spans of turns of the given token counts, one environment token between them."""
    at, spans = 0, []
    for length in lengths:
        spans.append((at, at + length))
        at += length + 1
    return spans
