"""The text space, and what vector environments make of it."""

import copy

import gymnasium
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym import AgentEnv, TextSpace

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)


@given(ANY_TEXT)
def test_any_text_is_in_the_space(text):
    assert text in TextSpace(200)


def test_length_and_type_are_checked():
    space = TextSpace(3)
    assert "abc" in space
    assert "abcd" not in space
    assert 3 not in space
    with pytest.raises(ValueError, match="max_length"):
        TextSpace(0)


def test_samples_are_seeded_and_inside():
    a, b = TextSpace(50, seed=1), TextSpace(50, seed=1)
    samples = [a.sample() for _ in range(20)]
    assert samples == [b.sample() for _ in range(20)]
    assert all(sample in a for sample in samples)
    assert len(set(samples)) > 10


class Echo(gymnasium.Env):
    """Says back what it hears."""

    observation_space = TextSpace(100)
    action_space = TextSpace(1000)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return f"seed {seed}", {}

    def step(self, action):
        return action, float(len(action)), False, False, {}


TEXTS = ("", "é漢🙂", "\x00a\x00", "\ud800", "x" * 100)


def test_asynchronous_environments_return_the_very_bytes():
    vector = gymnasium.vector.AsyncVectorEnv([Echo] * len(TEXTS))
    try:
        first, _ = vector.reset(seed=3)
        assert tuple(first) == tuple(f"seed {3 + i}" for i in range(len(TEXTS)))
        second, rewards, *_ = vector.step(TEXTS)
        assert tuple(second) == TEXTS
        assert rewards.tolist() == [len(text) for text in TEXTS]
        assert tuple(first) == tuple(f"seed {3 + i}" for i in range(len(TEXTS))), "an earlier result must not change"
    finally:
        vector.close()


def test_without_copies_the_view_follows_the_memory():
    vector = gymnasium.vector.AsyncVectorEnv([Echo] * 2, copy=False)
    try:
        view, _ = vector.reset(seed=1)
        assert view[0] == "seed 1"
        vector.step(("a", "b"))
        assert list(view) == ["a", "b"]
        assert view[0:2] == ("a", "b")
        assert copy.deepcopy(view) == ("a", "b")
    finally:
        vector.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_make_vec(mode):
    vector = gymnasium.make_vec("toy/Rooms-v0", num_envs=2, vectorization_mode=mode)
    try:
        observations, _ = vector.reset(seed=0)
        assert all("Find the lamp" in text for text in observations)
    finally:
        vector.close()


def test_make_returns_the_environment_itself():
    assert type(gymnasium.make("toy/Rooms-v0")) is AgentEnv
    assert type(gymnasium.make("agentgym:toy/Rooms-v0")) is AgentEnv
