"""Messages: junk, huge ones, refused actions, grammars, and what info holds."""

from __future__ import annotations

from agentgym.core.env import Info
from agentgym.testing.checks.subject import WANDER_TURNS, CheckFailure, Subject, expect
from agentgym.testing.walk import HUGE, JUNK, play, random_message, sample_actions, wander


def bad_messages(subject: Subject) -> None:
    """Junk and huge messages never raise, and leave the state and every later transition unchanged."""
    inert = [message for message in (*JUNK, *HUGE) if not _acts(subject, message)]
    turns = WANDER_TURNS + len(inert) + 1
    control, env = subject.make(max_turns=turns), subject.make(max_turns=turns)
    reference = play(control, 5, wander(control, subject.rng("junk"), WANDER_TURNS))
    trace = play(env, 5, ())
    for message in inert:
        _, _, terminated, truncated, info = env.step(message)
        expect(not terminated and not truncated, f"The message {message[:60]!r} ended the episode.")
        expect(info["state_key"] == trace.keys[0], f"The message {message[:60]!r} can't be done but changed state_key.")
    play(env, 5, reference.messages, trace=trace)
    for i, (x, y) in enumerate(zip(reference.observations, trace.observations, strict=False)):
        expect(x == y, f"After junk, observation {i} differs:\n  without: {x[:200]!r}\n  with:    {y[:200]!r}")
    expect(reference.keys == trace.keys, "After junk, later states differ.")
    expect(reference.components == trace.components, "After junk, later reward components differ.")
    control.close()
    env.close()


def _acts(subject: Subject, message: str) -> bool:
    """Whether the game reads the message as something that can be done, tried in an episode of its own."""
    env = subject.make()
    env.reset(seed=5)
    try:
        info = env.step(message)[4]
    except Exception as error:
        raise CheckFailure(f"The message {message[:60]!r} raised {type(error).__name__}: {error}") from error
    env.close()
    return bool(info["action_valid"] and info["action_executable"])


def refused_actions(subject: Subject) -> None:
    """An action that is not executable changes neither the state nor the random stream."""
    env = subject.make(max_turns=10_000)
    for seed in range(5):
        env.reset(seed=seed)
        for i in range(20):
            before, drawn = env.game.state_key(), env.game.rng.bit_generator.state
            _, _, _, _, info = env.step(random_message(env, subject.rng("refused", seed, i)))
            if not info["action_executable"]:
                expect(info["state_key"] == before, f"{info['action']} was not executable but changed state_key.")
                expect(
                    env.game.rng.bit_generator.state == drawn, f"{info['action']} was not executable but drew from rng."
                )
            if not env.running:
                break
    env.close()


def formats(subject: Subject) -> None:
    """Every grammar of the game reads back what it writes."""
    kind = type(subject.make().game)
    for item in kind.formats:
        name = item if isinstance(item, str) else item.name
        env = subject.make(action_format=name)
        for action in sample_actions(env.tools_by_name, subject.rng("formats", name)):
            message = env.action_format.render([action], env.tools_by_name)
            parsed = env.action_format.parse(message, env.tools_by_name)
            same = [(a.name, dict(a.arguments)) for a in parsed.actions] == [(action.name, dict(action.arguments))]
            expect(same, f"{name}: wrote {message!r} for {action}, read back {parsed}.")
        env.reset(seed=subject.seed)
        env.step(
            env.action_format.render(sample_actions(env.tools_by_name, subject.rng("formats"))[:1], env.tools_by_name)
        )
        rendered = "\n\n".join(message["content"] for message in env.messages)
        expect(len(rendered) <= kind.max_observation, f"{name}: messages are longer than max_observation.")
        env.close()


def infos(subject: Subject) -> None:
    """``info`` holds known keys of the right types and no None; observations stay within their space."""
    env = subject.make()
    known = Info.__annotations__
    for seed in range(3):
        trace = play(env, seed, wander(env, subject.rng("infos", seed), WANDER_TURNS))
        for info in trace.infos:
            for key, value in info.items():
                expect(key in known, f"info has the unknown key {key!r}.")
                expect(value is not None, f"info[{key!r}] is None; leave the key out instead.")
        for text in trace.observations:
            expect(isinstance(text, str), f"An observation is {type(text).__name__}, not str.")
            expect(len(text) <= type(env.game).max_observation, "An observation is longer than max_observation.")
        for key in trace.keys:
            expect(isinstance(key, str) and bool(key), f"state_key must be a non-empty string, got {key!r}.")
    env.close()
