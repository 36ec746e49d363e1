"""Snapshots and forks are exact."""

from __future__ import annotations

import pickle

from agentgym.testing.checks.subject import NotApplicable, Subject, continued, expect, same
from agentgym.testing.walk import play, wander


def snapshots(subject: Subject) -> None:
    """A snapshot restores exactly: here, in a fresh instance, and through pickle."""
    env = subject.make()
    if not type(env.game).capabilities.snapshot:
        raise NotApplicable("capabilities.snapshot is False")
    for seed in range(3):
        for depth in (0, 2, 4):
            trace = play(env, seed, wander(env, subject.rng("snap", seed, depth), depth))
            if not env.running:
                continue
            snapshot = env.snapshot()
            state = pickle.dumps(snapshot)
            rest = play(env, seed, wander(env, subject.rng("rest", seed, depth), 4), trace=continued(trace))
            fresh = subject.make()
            for name, other, source in (("here", env, snapshot), ("a fresh instance", fresh, pickle.loads(state))):
                other.restore(source)
                again = play(other, seed, rest.messages, trace=continued(trace))
                same(rest, again, f"Restored after {depth} turns in {name}")
            fresh.close()
    env.close()


def forks(subject: Subject) -> None:
    """A fork continues equally, doesn't disturb its parent, and diverges in its random stream when given a seed."""
    env = subject.make()
    if not type(env.game).capabilities.fork:
        raise NotApplicable("capabilities.fork is False")
    for depth in (0, 3):
        trace = play(env, 3, wander(env, subject.rng("fork", depth), depth))
        if not env.running:
            continue
        twin, witness, other = env.fork(), env.fork(), env.fork(seed=1)
        expect(
            other.game.rng.bit_generator.state != env.game.rng.bit_generator.state, "fork(seed=1) has the parent's rng."
        )
        expect(twin.game.rng is not env.game.rng, "A fork shares its parent's rng.")
        rest = play(twin, 3, wander(twin, subject.rng("forked", depth), 4), trace=continued(trace))
        expect(env.game.state_key() == trace.keys[-1], "Playing a fork changed its parent's state.")
        play(other, 3, wander(other, subject.rng("other", depth), 4), trace=continued(trace))
        same(rest, play(env, 3, rest.messages, trace=continued(trace)), f"Parent and fork after {depth} turns")
        same(rest, play(witness, 3, rest.messages, trace=continued(trace)), f"Two forks after {depth} turns")
        for fork in (twin, witness, other):
            fork.close()
    env.close()
