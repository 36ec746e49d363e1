"""Experts solve every task; cheats don't pay."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from agentgym.core.game import Cheat
from agentgym.core.registry import load
from agentgym.testing.checks.subject import CheckFailure, NotApplicable, Subject, expect
from agentgym.testing.walk import expertly, play


def expert(subject: Subject) -> None:
    """The expert succeeds on every task of every split, with the highest outcome and within the budgets."""
    env = subject.make()
    kind = type(env.game)
    if not kind.expert:
        raise NotApplicable("the game has no expert")
    outcome = next(component for component in kind.components if component.kind == "outcome")
    for split in env.game.tasks().splits:
        for i in range(subject.tasks):
            task = env.game.tasks().draw(split, subject.rng("expert", split, i))
            trace = play(env, i, expertly(env), task_id=task.task_id)
            expect(trace.success, f"The expert failed on {task.task_id}: {trace.messages}")
            best = max((components.get(outcome.name, -math.inf) for components in trace.components), default=-math.inf)
            expect(
                best >= outcome.high - 1e-9,
                f"{task.task_id}: the expert's {outcome.name} is {best}, not {outcome.high}.",
            )
    env.close()


def mistakes(subject: Subject) -> None:
    """A mistake-making expert keeps playing: mistakes are readable and it recovers or fails, without an exception."""
    env = subject.make()
    if not type(env.game).expert:
        raise NotApplicable("the game has no expert")
    for seed in range(10):
        rng = subject.rng("mistakes", seed)
        env.reset(seed=seed)
        while env.running:
            message = env.expert_message(mistake_rate=0.5, rng=rng)
            info = env.step(message)[4]
            expect(info["action_valid"], f"The expert wrote a message that can't be read: {message!r}")
    env.close()


def cheats(subject: Subject) -> None:
    """No declared cheat does better than doing nothing or guessing blindly."""
    env = subject.make()
    kind = type(env.game)
    if not kind.cheats:
        if kind.known_exploits:
            raise NotApplicable(f"known exploits, kept for compatibility: {', '.join(kind.known_exploits)}")
        raise CheckFailure("No cheats are declared. Write at least one way to go for reward without doing the task.")
    n = subject.cheat_tasks
    idle_success, idle_return = _means(subject, n, lambda: lambda observation, rng: "")
    best = _best_return(subject)
    floor = max(idle_success[0], kind.blind_guess)
    success_bound = floor + 1.96 * math.sqrt(max(floor * (1 - floor), 1e-12) / n) + 1.96 * idle_success[1] + 1e-9
    for name, target in kind.cheats.items():
        success, total = _means(subject, n, load(target))
        return_bound = max(idle_return[0], kind.blind_guess * best) + 1.96 * (idle_return[1] + total[1]) + 1e-9
        expect(
            success[0] <= success_bound,
            f"The cheat {name!r} succeeds on {success[0]:.3f} of {n} tasks, above the floor of {floor:.3f}.",
        )
        expect(
            total[0] <= return_bound,
            f"The cheat {name!r} earns {total[0]:.4f} on average over {n} tasks, above {return_bound:.4f}.",
        )
    env.close()


def _means(
    subject: Subject, n: int, make_cheat: Callable[[], Cheat]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Mean and standard error of success and of the default return over ``n`` tasks."""
    env = subject.make()
    successes, returns = np.zeros(n), np.zeros(n)
    for i in range(n):
        cheat, rng = make_cheat(), subject.rng("cheat", i)
        observation, _ = env.reset(seed=i)
        info: dict[str, Any] = {}
        while env.running:
            observation, reward, _, _, info = env.step(cheat(observation, rng))
            returns[i] += float(reward)
        successes[i] = bool(info.get("success", False))
    env.close()
    scale = math.sqrt(n)
    return (successes.mean(), successes.std() / scale), (returns.mean(), returns.std() / scale)


def _best_return(subject: Subject) -> float:
    env = subject.make()
    if not type(env.game).expert:
        return 0.0
    returns = [math.fsum(play(env, seed, expertly(env)).rewards) for seed in range(10)]
    env.close()
    return float(np.mean(returns))
