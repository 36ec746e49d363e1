"""Training runs: exact resume, determinism, what a folder holds."""

import json

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from agentgym.core.errors import ConfigError
from agentgym.training.config import from_dict
from agentgym.training.metrics import read_metrics
from agentgym.training.run import train
from agentgym.training.trainer import Trainer

SMALL = {
    "env": {"id": "toy/Rooms-v0"},
    "model": {"layers": 1, "hidden": 32, "context": 512},
    "sampling": {"max_tokens": 6},
    "warm_start": {"steps": 3, "batch_size": 4, "mistake_rate": 0.3},
    "rl": {"updates": 3, "groups": 2, "group_size": 3, "minibatches": 2},
    "evaluation": {"tasks": 4},
    "log": {"save_every": 1},
    "concurrency": 8,
}


def config_of(**sections):
    data = {key: dict(value) if isinstance(value, dict) else value for key, value in SMALL.items()}
    for name, values in sections.items():
        data[name] = {**data.get(name, {}), **values} if isinstance(values, dict) else values
    return from_dict(data)


def curve_of(folder):
    """All that was logged but the clocks."""
    return [{key: row[key] for key in row if not key.startswith("seconds")} for row in read_metrics(folder)]


class _Killed(Exception):
    pass


METHODS = {
    "muon": {"warm_start": {"matrix_learning_rate": 0.02}},
    "grpo": {"credit": {"method": "grpo"}},
    "turn_rloo": {"credit": {"method": "turn_rloo"}, "rl": {"kl_coef": 0.1}},
    "spa": {"credit": {"method": "spa"}},
    "oprl": {"credit": {"method": "oprl"}},
    "prime": {"credit": {"method": "prime", "scorer": {"loss": "ce"}}},
}


@pytest.mark.parametrize(
    ("name", "stop"),
    [
        ("muon", ("warm_start", 2)),
        ("grpo", ("warm_start", 2)),
        ("turn_rloo", ("rl", 1)),
        ("spa", ("rl", 2)),
        ("oprl", ("rl", 1)),
        ("prime", ("rl", 1)),
    ],
)
def test_a_resumed_run_is_the_run(tmp_path, name, stop):
    config = config_of(**METHODS[name], evaluation={"every": 2})
    whole = train(config, tmp_path / "whole")

    def kill(phase, step, steps, row):
        if (phase, step) == stop:
            raise _Killed

    with pytest.raises(_Killed):
        train(config, tmp_path / "killed", on_step=kill)
    resumed = train(config, tmp_path / "killed", resume=True)
    assert curve_of(tmp_path / "killed") == curve_of(tmp_path / "whole")
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_equal_seeds_give_equal_runs_and_others_don_t(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(config_of(seed=seed, rl={"updates": 1}), tmp_path / name)
    assert curve_of(tmp_path / "a") == curve_of(tmp_path / "b")
    assert curve_of(tmp_path / "a") != curve_of(tmp_path / "c")


def test_the_global_generator_is_left_alone(tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train(config_of(rl={"updates": 1}), tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_sampler_is_the_learner(tmp_path):
    train(config_of(), tmp_path / "run")
    gaps = [row["sampler_gap"] for row in read_metrics(tmp_path / "run", "rl") if "sampler_gap" in row]
    assert gaps
    assert max(gaps) < 1e-4


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft asks transformers for it
def test_lora_trains_the_adapters_alone(tmp_path):
    trainer = Trainer(config_of(model={"lora_rank": 2}))
    frozen = {n: p.detach().clone() for n, p in trainer.model.named_parameters() if not p.requires_grad}
    adapters = {n: p.detach().clone() for n, p in trainer.model.named_parameters() if p.requires_grad}
    assert frozen
    assert all("lora" in name for name in adapters)
    for _ in range(2):
        trainer.warm_step()
    now = dict(trainer.model.named_parameters())
    assert all(torch.equal(now[name], value) for name, value in frozen.items())
    assert any(not torch.equal(now[name], value) for name, value in adapters.items())


def test_the_folder_holds_what_is_needed_to_go_on_and_to_use_the_model(tmp_path):
    config = config_of(rl={"updates": 1})
    train(config, tmp_path / "run")
    assert from_dict(json.loads((tmp_path / "run" / "config.json").read_text())) == config
    assert (tmp_path / "run" / "checkpoint.pt").exists()
    assert (tmp_path / "run" / "model" / "config.json").exists()
    with pytest.raises(ConfigError, match="resume"):
        train(config, tmp_path / "run")
    with pytest.raises(ConfigError, match="another configuration"):
        train(config_of(seed=9), tmp_path / "run", resume=True)


def test_a_method_without_its_scorer_is_explained():
    with pytest.raises(ConfigError, match="attention"):
        Trainer(config_of(credit={"method": "abc"})).begin_rl()
    with pytest.raises(ConfigError, match="above 0"):
        Trainer(config_of(sampling={"temperature": 0.0}))
