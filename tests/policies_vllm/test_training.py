"""Training that generates with vLLM, from end to end."""

import pytest

pytest.importorskip("torch", reason="training needs the extra [train]")

from agentgym.core.errors import ConfigError
from agentgym.training.config import from_dict
from agentgym.training.metrics import read_metrics
from agentgym.training.run import train
from agentgym.training.trainer import Trainer

SETTINGS = {
    "env": {"id": "toy/Rooms-v0"},
    "model": {"layers": 1, "hidden": 64, "context": 512},
    "sampling": {"max_tokens": 12},
    "warm_start": {"steps": 100, "batch_size": 8, "mistake_rate": 0.3},
    "rl": {"updates": 12, "groups": 8, "group_size": 6, "learning_rate": 5e-4, "epochs": 2},
    "evaluation": {"tasks": 40, "every": 12, "greedy": False},
    "engine": {"name": "vllm", "arguments": {"context": 256}},
    "concurrency": 64,
}


def config_of(**sections):
    merged = {
        key: {**value, **sections.get(key, {})} if isinstance(value, dict) else value for key, value in SETTINGS.items()
    }
    return from_dict(merged | {key: value for key, value in sections.items() if key not in merged})


def test_it_learns_what_the_engine_samples(tmp_path):
    train(config_of(), tmp_path)
    rows = read_metrics(tmp_path, "rl")
    assert len(rows) == 12
    for row in rows:
        assert row["staleness"] == 0
        assert row["sampler_gap"] < 1e-4, "the engine samples from another distribution than the learner's"
        assert row["sync_gap"] < 1e-3
        assert row["correction"] == pytest.approx(1, abs=1e-3)
        assert row["faults"] == 0
    before, after = read_metrics(tmp_path, "evaluation_sampled")
    assert after["reward"] > before["reward"] + 0.3


def test_one_step_off_with_adapters(tmp_path):
    """Tied embeddings, adapters merged at every hand-over, and batches that are one update old."""
    sections = {
        "model": {"lora_rank": 4},
        "warm_start": {"steps": 5},
        "rl": {"updates": 3, "learning_rate": 0.02, "entropy_coef": 0.1},
        "engine": {"name": "vllm", "steps_off": 1, "arguments": {"context": 256}},
    }
    train(config_of(**sections, evaluation={"tasks": 4, "every": 0}), tmp_path)
    rows = read_metrics(tmp_path, "rl")
    assert [row["staleness"] for row in rows] == [0, 1, 1]
    assert rows[0]["sampler_gap"] < 1e-4 < rows[1]["sampler_gap"]
    assert all(row["sync_gap"] < 1e-3 for row in rows)


def test_what_vllm_refuses_is_said_in_one_line():
    trainer = Trainer(config_of(warm_start={"steps": 0}, engine={"arguments": {"contexts": 256}}))
    with pytest.raises(ConfigError, match=r"engine\.arguments"):
        trainer.begin_rl()
    trainer = Trainer(config_of(engine={"sleep": True, "arguments": {"base_url": "http://127.0.0.1:9"}}))
    with pytest.raises(ConfigError, match="servers keep their memory"):
        trainer.begin_rl()
