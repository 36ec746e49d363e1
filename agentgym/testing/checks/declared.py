"""Declarations: components, schemes, tasks, and the order of calls."""

from __future__ import annotations

import json
import warnings
from typing import Any

import gymnasium
from gymnasium.utils.env_checker import check_env

from agentgym.core.errors import AgentGymError, ConfigError
from agentgym.core.rewards import default_schemes
from agentgym.testing.checks.subject import CheckFailure, Subject, expect


def declarations(subject: Subject) -> None:
    """Components, schemes, tools and splits are declared and fit each other."""
    env = subject.make()
    kind = type(env.game)
    names = [component.name for component in kind.components]
    expect(len(set(names)) == len(names), f"Two components share a name: {names}.")
    expect(
        any(component.kind == "outcome" for component in kind.components),
        "No component of kind 'outcome' is declared: nothing says whether the task was done.",
    )
    for component in kind.components:
        expect(component.kind != "cost" or component.high <= 0, f"The cost {component.name!r} may be above 0.")
    schemes = dict(kind.schemes) or default_schemes(kind.components)
    for name in ("gated", "outcome", "dense"):
        expect(name in schemes, f"The scheme {name!r} is missing; every game has gated, outcome and dense.")
    for name, scheme in schemes.items():
        try:
            scheme.check(kind.components)
        except ConfigError as error:
            raise CheckFailure(str(error)) from error
        expect(scheme.name == name, f"The scheme under {name!r} calls itself {scheme.name!r}.")
        expect(type(scheme).from_dict(json.loads(json.dumps(scheme.to_dict()))) == scheme, f"{name!r} changes in JSON.")
    expect(bool(env.tools), "No tools are declared: there is nothing to do.")
    env.close()


def gymnasium_checker(subject: Subject) -> None:
    """Gymnasium's own ``check_env`` passes without a warning."""
    env = subject.make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            check_env(env, skip_render_check=env.render_mode is None)
        except Exception as error:
            raise CheckFailure(f"gymnasium's check_env: {type(error).__name__}: {error}") from error
    env.close()


def tasks_and_splits(subject: Subject) -> None:
    """Splits share no task, a task's id fixes its bytes, and drawing is a function of the seed."""
    source = subject.make().game.tasks()
    seen: dict[str, str] = {}
    for split in source.splits:
        for i in range(50):
            task = source.draw(split, subject.rng("draw", split, i))
            again = source.draw(split, subject.rng("draw", split, i))
            expect(
                task == again, f"Drawing from {split!r} twice with one seed gave {task.task_id} and {again.task_id}."
            )
            expect(task.split == split, f"A task drawn from {split!r} says that its split is {task.split!r}.")
            expect(source.get(task.task_id) == task, f"get({task.task_id!r}) gives another task than the draw.")
            other = seen.setdefault(task.task_id, split)
            expect(other == split, f"The task {task.task_id!r} is in two splits: {other} and {split}.")
            # the words that every task of a game has in common must not count
            if task.data:
                fingerprint = repr(sorted(task.data.items(), key=lambda item: str(item[0])))
                other = seen.setdefault(fingerprint, split)
                expect(other == split, f"Splits {other} and {split} hold tasks with equal data ({task.task_id}).")
    unknown_raises(source)


def unknown_raises(source: Any) -> None:
    """An unknown task is an error of ours."""
    try:
        source.get("no-such-task/x")
    except AgentGymError:
        return
    except Exception as error:
        raise CheckFailure(f"An unknown task id raised {type(error).__name__}; raise UnknownNameError.") from error
    raise CheckFailure("An unknown task id was accepted; raise UnknownNameError.")


def order(subject: Subject) -> None:
    """``step`` before ``reset`` and after the end raises ResetNeeded; ``truncate`` closes an episode."""
    env = subject.make()
    for when in ("before reset", "after truncate"):
        try:
            env.step("x")
        except gymnasium.error.ResetNeeded:
            pass
        else:
            raise CheckFailure(f"step {when} was accepted.")
        env.reset(seed=subject.seed)
        _, _, terminated, truncated, info = env.truncate("time")
        expect(truncated and not terminated, "truncate() must return truncated=True, terminated=False.")
        expect(info.get("truncation_reason") == "time", "truncate() must put its reason into info.")
    env.close()


def render_and_close(subject: Subject) -> None:
    """``render`` gives text in ansi mode and nothing without a mode; ``close`` may be called twice."""
    env = subject.make(render_mode="ansi")
    env.reset(seed=subject.seed)
    picture = env.render()
    expect(isinstance(picture, str) and bool(picture), f"render() in ansi mode gave {picture!r}, not text.")
    env.close()
    env.close()
    silent = subject.make()
    silent.reset(seed=subject.seed)
    expect(silent.render() is None, "render() without a render_mode must give None.")
    silent.close()
