"""Rewards add up, and budgets hold."""

from __future__ import annotations

import math
from typing import Any

from agentgym.core.ledger import rescore
from agentgym.testing.checks.subject import WANDER_TURNS, Subject, expect
from agentgym.testing.walk import expertly, play, random_message, wander


def rewards(subject: Subject) -> None:
    """Components stay in their ranges; under every scheme the causal and the attributed total agree."""
    probe = subject.make()
    ranges = {component.name: component for component in type(probe.game).components}
    for name in probe.schemes:
        for seed in range(4):
            env = subject.make(scheme=name)
            trace = play(env, seed, wander(env, subject.rng("rewards", seed), 2 * WANDER_TURNS))
            if env.running and type(env.game).expert and seed % 2:
                play(env, seed, expertly(env), trace=trace)
            if env.running:
                trace.rewards[-1] += float(env.truncate("test")[1])
            for components in trace.components:
                for key, value in components.items():
                    expect(key in ranges, f"The component {key!r} is emitted but not declared.")
                    low, high = ranges[key].low, ranges[key].high
                    expect(
                        low - 1e-9 <= value <= high + 1e-9, f"{key!r} is {value}, outside its range [{low}, {high}]."
                    )
            ledger = env.ledger
            causal, attributed = math.fsum(trace.rewards), math.fsum(ledger.attributed)
            expect(abs(causal - attributed) <= 1e-9, f"{name}: step paid {causal}, turns earned {attributed}.")
            again = rescore(trace.components, env.scheme, "terminated" if trace.terminated else "truncated")
            expect(again.attributed == ledger.attributed, f"{name}: rescoring the record gives other rewards.")
            env.close()
    probe.close()


def budgets(subject: Subject) -> None:
    """Turn and call budgets truncate, say so, and can't be exceeded."""
    for limit in (1, 3):
        env = subject.make(max_turns=limit)
        env.reset(seed=subject.seed)
        info: dict[str, Any] = {}
        for turn in range(1, limit + 1):
            _, _, terminated, truncated, info = env.step("\x00")
            expect(truncated == (turn == limit), f"max_turns={limit}: truncated is {truncated} after turn {turn}.")
            expect(not terminated, "An unreadable message terminated the episode.")
        expect(info.get("truncation_reason") == "max_turns", f"truncation_reason is {info.get('truncation_reason')!r}.")
        env.close()
    env = subject.make(max_tool_calls=1)
    env.reset(seed=subject.seed)
    _, _, terminated, truncated, info = env.step(random_message(env, subject.rng("budget")))
    if info["action_valid"] and not terminated:
        expect(truncated, "max_tool_calls=1: the episode went on after one call.")
    env.close()
