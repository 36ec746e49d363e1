"""Determinism: beside other environments, across processes, in vector environments."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import gymnasium

from agentgym.core.env import AgentEnv
from agentgym.testing.checks.subject import WANDER_TURNS, Subject, expect, same
from agentgym.testing.walk import Trace, play, random_message, wander


def seed_determinism(subject: Subject) -> None:
    """Equal seeds and messages give equal bytes, also with another environment played in between."""
    first, second, noise = subject.make(), subject.make(), subject.make()
    for seed in range(3):
        reference = play(first, seed, wander(first, subject.rng("wander", seed), WANDER_TURNS))
        noise.reset(seed=seed + 1000)
        trace = Trace()
        observation, info = second.reset(seed=seed)
        trace.observations.append(second.game.comparable(observation))
        trace.keys.append(info["state_key"])
        for i, message in enumerate(reference.messages):
            if not noise.running:
                noise.reset(seed=seed + 2000 + i)
            noise.step(random_message(noise, subject.rng("noise", seed, i)))
            play(second, seed, [message], trace=trace)
        same(reference, trace, f"Seed {seed} played beside another environment")
    for env in (first, second, noise):
        env.close()


def processes(subject: Subject) -> None:
    """Another process, with another hash seed, gives equal bytes."""
    env = subject.make()
    trace = play(env, 7, wander(env, subject.rng("process"), WANDER_TURNS))
    job = {"target": subject.target, "kwargs": subject.kwargs, "messages": trace.messages}
    result = subprocess.run(
        [sys.executable, "-c", "from agentgym.testing.checks.determinism import replay_in_child; replay_in_child()"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    expect(result.returncode == 0, f"The child process failed:\n{result.stderr[-2000:]}")
    expect(
        result.stdout.strip() == trace.digest(),
        "Another process saw other bytes. Usual causes: hash(), iteration over a set, the clock, a global generator.",
    )
    env.close()


def replay_in_child() -> None:
    """Entry point of the child process of ``processes``."""
    job = json.loads(sys.stdin.read())
    env = AgentEnv(job["target"], **job["kwargs"])
    print(play(env, 7, job["messages"]).digest())


def vector(subject: Subject) -> None:
    """Asynchronous vector environments with default arguments give what synchronous ones give."""

    def thunk() -> AgentEnv:
        return AgentEnv(subject.target, **subject.kwargs)

    sync = gymnasium.vector.SyncVectorEnv([thunk] * 2)
    parallel = gymnasium.vector.AsyncVectorEnv([thunk] * 2)
    guide = thunk()
    guide.reset(seed=11)
    try:
        pairs = [(sync.reset(seed=[11, 12]), parallel.reset(seed=[11, 12]))]
        for i in range(WANDER_TURNS):
            messages = tuple(random_message(guide, subject.rng("vector", i, lane)) for lane in range(2))
            pairs.append((sync.step(messages), parallel.step(messages)))  # type: ignore[arg-type]
        for i, (a, b) in enumerate(pairs):
            expect(tuple(a[0]) == tuple(b[0]), f"Step {i}: observations differ: {a[0]!r} and {b[0]!r}.")
            expect(repr(a[1:]) == repr(b[1:]), f"Step {i}: rewards, ends or infos differ:\n{a[1:]}\n{b[1:]}")
    finally:
        sync.close()
        parallel.close()
        guide.close()
