"""Task sources, samplers and curricula."""

import numpy as np
import pytest

from agentgym import Curriculum, GeneratedTasks, ListedTasks, Task, TaskSampler
from agentgym.core.errors import ConfigError, UnknownNameError
from agentgym.core.seeding import derive_seed, digest


def make(split, number):
    return Task(f"{split}/{number}", split, {"n": number}, difficulty=number % 10 / 9)


GENERATED = GeneratedTasks(make, size=1000)
LISTED = ListedTasks({"train": ["a", "b"], "test": ["c"]}, lambda task_id, split: Task(task_id, split))


def test_ids_name_tasks():
    assert GENERATED.get("test/7").data == {"n": 7}
    assert LISTED.get("c").split == "test"
    assert LISTED.ids("train") == ("a", "b")
    assert GENERATED.ids("train") is None


@pytest.mark.parametrize("task_id", ["", "train", "train/", "train/x", "train/1000", "train/-1", "dev/3"])
def test_unknown_generated_ids(task_id):
    with pytest.raises(UnknownNameError):
        GENERATED.get(task_id)


def test_a_task_is_in_one_split():
    with pytest.raises(ConfigError, match="two splits"):
        ListedTasks({"train": ["a"], "test": ["a"]}, lambda task_id, split: Task(task_id, split))
    with pytest.raises(ConfigError, match="no tasks"):
        ListedTasks({"train": []}, lambda task_id, split: Task(task_id, split)).draw("train", np.random.default_rng(0))


def test_sampling_is_a_function_of_the_generator():
    sampler = TaskSampler(GENERATED, "train")
    first = [sampler.draw(np.random.default_rng(3)).task_id for _ in range(2)]
    assert first[0] == first[1]
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        TaskSampler(GENERATED, "trian")


def test_weights_thin_out():
    sampler = TaskSampler(GENERATED, "train", weight=lambda task: float(task.data["n"] < 100))
    rng = np.random.default_rng(0)
    assert all(sampler.draw(rng).data["n"] < 100 for _ in range(20))
    with pytest.raises(ConfigError, match="weights"):
        TaskSampler(GENERATED, "train", weight=lambda task: 0.0).draw(rng)


def test_a_curriculum_moves_its_window():
    curriculum = Curriculum((0.0, 0.2), (0.6, 1.0))
    sampler = TaskSampler(GENERATED, "train", curriculum=curriculum)
    rng = np.random.default_rng(0)
    assert all(sampler.draw(rng, 0.0).difficulty <= 0.2 for _ in range(50))
    assert all(sampler.draw(rng, 1.0).difficulty >= 0.6 for _ in range(50))
    assert curriculum.window(0.5) == pytest.approx((0.3, 0.6))


def test_seeds_are_independent_of_their_spelling():
    assert derive_seed(1, "a") != derive_seed("1", "a")
    assert derive_seed(1, 23) != derive_seed(12, 3)
    assert derive_seed(5, "x") == derive_seed(5, "x") < 1 << 63
    assert digest("a", 1) != digest("a", "1")
