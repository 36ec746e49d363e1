"""CPU time of every credit method on a large batch, one core: ``python benchmarks/credit.py [METHOD ...]``.

1,024 trajectories (128 groups of 8), 20 turns, 2,048 tokens each. Every measurement takes a fresh batch, so nothing
that was computed by an earlier call is reused; validating the batch is timed apart. GiGPO is also run in the shape that
public implementations have: dictionaries, and loops over rows.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import dataclasses
import time
from collections import defaultdict

import numpy as np

from agentgym.credit import COLUMNS, METHODS, Batch, make

TRAJECTORIES, GROUP, TURNS, TOKENS = 1024, 8, 20, 2048
LIMIT_MS = 150.0


def large_batch(seed=0):
    """A batch of the stated size with every optional column; turns vary in length, about 60% are policy tokens."""
    rng = np.random.default_rng(seed)
    k, t = TRAJECTORIES * TURNS, TRAJECTORIES * TOKENS
    cuts = np.sort(rng.integers(1, TOKENS // 2 - 1, size=(TRAJECTORIES, TURNS - 1)) * 2, axis=1)
    cuts += 2 * np.arange(TURNS - 1) // TURNS
    begin = np.concatenate([np.zeros((TRAJECTORIES, 1), dtype=np.int64), _spread(cuts)], axis=1)
    stop = np.concatenate([begin[:, 1:], np.full((TRAJECTORIES, 1), TOKENS)], axis=1)
    length = np.maximum(1, (0.6 * (stop - begin)).astype(np.int64))
    base = TOKENS * np.arange(TRAJECTORIES)[:, None]
    start, end = (base + begin).ravel(), (base + begin + length).ravel()
    mask = np.zeros(t + 1, dtype=np.int64)
    np.add.at(mask, start, 1)
    np.add.at(mask, end, -1)
    return Batch(
        group=np.arange(TRAJECTORIES) // GROUP,
        outcome=rng.integers(0, 2, TRAJECTORIES).astype(np.float64),
        terminated=np.ones(TRAJECTORIES, dtype=bool),
        truncated=np.zeros(TRAJECTORIES, dtype=bool),
        parent=np.full(TRAJECTORIES, -1),
        fork_turn=np.zeros(TRAJECTORIES, dtype=np.int64),
        turn_offsets=TURNS * np.arange(TRAJECTORIES + 1),
        turn_reward=np.where(rng.random(k) < 0.2, rng.normal(size=k), 0.0),
        owned=np.ones(k, dtype=bool),
        turn_start=start,
        turn_end=end,
        token_offsets=TOKENS * np.arange(TRAJECTORIES + 1),
        policy_mask=np.cumsum(mask[:-1]) > 0,
        extra={name: _column(rng, info, k, t) for name, info in COLUMNS.items() if info.name != "token_reward"},
    )


def _spread(cuts):
    """Cut points made strictly ascending."""
    for j in range(1, cuts.shape[1]):
        cuts[:, j] = np.maximum(cuts[:, j], cuts[:, j - 1] + 2)
    over = cuts[:, -1:] - (TOKENS - 2)
    return np.where(over > 0, np.minimum(cuts, TOKENS - 2 - 2 * np.arange(cuts.shape[1])[::-1]), cuts)


def _column(rng, info, k, t):
    size = {"token": t, "turn": k, "trajectory": TRAJECTORIES}[info.level]
    shape = (size, 2) if info.axes else (size,)
    if info.kind == "label":
        return np.array([f"state-{n:016x}" for n in rng.integers(0, 40, size)], dtype=object)
    if info.kind == "bool":
        return rng.random(size) < 0.7
    if info.kind == "int":
        return rng.integers(0, 50, size)
    if info.upper == 1.0:
        return (rng.random(shape) < 0.5).astype(np.float64)
    if info.upper is not None or info.lower is not None:
        return (1.0 if info.lower is not None else -1.0) * np.abs(rng.normal(size=shape))
    return rng.normal(size=shape)


def looped_gigpo(batch, gamma=0.95, omega=1.0):
    """GiGPO as public implementations shape it: a row a turn, dictionaries of lists, loops; (rows, tokens) outputs."""
    rewards, anchors = batch.turn_reward.tolist(), batch.extra["anchor"]
    owner, groups = batch.turn_trajectory.tolist(), batch.group.tolist()
    offsets, width = batch.turn_offsets.tolist(), int((batch.turn_end - batch.turn_start).max())
    mask = np.arange(width) < (batch.turn_end - batch.turn_start)[:, None]
    returns = [0.0] * len(rewards)
    for i in range(len(groups)):
        running = 0.0
        for k in range(offsets[i + 1] - 1, offsets[i] - 1, -1):
            running = rewards[k] + gamma * running
            returns[k] = running
    totals = [sum(rewards[offsets[i] : offsets[i + 1]]) for i in range(len(groups))]
    by_group, by_state = defaultdict(list), defaultdict(list)
    for k in range(len(rewards)):
        by_group[groups[owner[k]]].append(totals[owner[k]])
        by_state[groups[owner[k]], anchors[k]].append(k)
    means = {group: np.mean(np.array(values)) for group, values in by_group.items()}
    advantage = np.zeros((len(rewards), width))
    for k in range(len(rewards)):
        advantage[k] = (totals[owner[k]] - means[groups[owner[k]]]) * mask[k]
    for rows in by_state.values():
        values = np.array([returns[k] for k in rows])
        mean = values.mean()
        for k in rows:
            step = returns[k] - mean if len(rows) > 1 else 0.0
            advantage[k] += omega * step * mask[k]
    return advantage


def milliseconds(call, batch, repeats):
    """Least CPU time of several calls, each on a fresh copy of the batch."""
    best = np.inf
    for _ in range(repeats):
        fresh = dataclasses.replace(batch)
        begin = time.process_time()
        call(fresh)
        best = min(best, time.process_time() - begin)
    return 1e3 * best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", help="names of methods or presets; all methods by default")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    batch = large_batch()
    print(
        f"{batch.n_trajectories} trajectories, {batch.n_turns} turns, {batch.n_tokens} tokens; limit {LIMIT_MS:.0f} ms"
    )
    print(f"{'validate a batch':<28}{milliseconds(lambda b: b.validate(), batch, arguments.repeats):8.1f} ms")
    slow = []
    for name in arguments.methods or METHODS:
        took = milliseconds(make(name), batch, arguments.repeats)
        slow += [name] if took > LIMIT_MS else []
        print(f"{name:<28}{took:8.1f} ms{'  over the limit' if took > LIMIT_MS else ''}", flush=True)
    ours = milliseconds(make("gigpo", population="turn"), batch, arguments.repeats)
    loops = milliseconds(looped_gigpo, batch, 1)
    print(f"{'GiGPO, loops over rows':<28}{loops:8.1f} ms, {loops / ours:.0f} times gigpo's {ours:.1f} ms")
    print("over the limit: " + (", ".join(slow) or "none"))


if __name__ == "__main__":
    main()
