"""Training from an engine with weights of its own: hand-over, off-policy batches, importance weights."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from agentgym.core.errors import ConfigError, Fault
from agentgym.policies.transformers import TransformersPolicy
from agentgym.training import trainer as trainer_module
from agentgym.training.config import EngineSection
from agentgym.training.correction import corrected
from agentgym.training.losses import rollout_weights
from agentgym.training.run import train
from agentgym.training.trainer import Trainer
from training.test_trainer import config_of, curve_of


class CopyEngine:
    """What vLLM is to the trainer, in this process: a copy of the model that changes only when it is told to."""

    own_weights = True

    def __init__(self, config, learner):
        self.learner = learner
        self.policy = TransformersPolicy(copy.deepcopy(learner.model), learner.tokenizer)
        self.calls = []

    def sync(self, version):
        assert not self.sleeping, "weights were handed to an engine that sleeps"
        self.policy.model.load_state_dict(self.learner.model.state_dict())
        self.policy.updated(version)
        self.calls.append(("sync", version))
        return {"sync_gap": 0.0}

    @property
    def sleeping(self):
        return [name for name, _ in self.calls if name != "sync"][-1:] == ["sleep"]

    def sleep(self):
        self.calls.append(("sleep", None))

    def wake(self):
        self.calls.append(("wake", None))

    def close(self):
        self.calls.append(("close", None))


@pytest.fixture
def copies(monkeypatch):
    """Makes trainers generate with copies; returns the engines that were made."""
    made = []

    def make(config, learner):
        made.append(CopyEngine(config, learner))
        return made[-1]

    monkeypatch.setattr(trainer_module, "make_engine", make)
    return made


def test_an_engine_of_its_own_gives_the_same_curve(tmp_path, copies):
    train(config_of(), tmp_path / "torch")
    train(config_of(engine={"name": "vllm"}), tmp_path / "engine")
    own = [row for row in curve_of(tmp_path / "engine") if row["phase"] != "warm_start"]
    shared = [row for row in curve_of(tmp_path / "torch") if row["phase"] != "warm_start"]
    assert [(row["phase"], row["success"]) for row in own] == [(row["phase"], row["success"]) for row in shared]
    for row in own[:3]:
        assert row["staleness"] == 0
        assert row["sampler_gap"] < 1e-5
        assert row["correction"] == pytest.approx(1, abs=1e-5)
    assert [call for call in copies[0].calls if call[0] == "sync"] == [
        ("sync", 3),
        ("sync", 4),
        ("sync", 5),
        ("sync", 6),
    ]
    assert copies[0].calls[-1] == ("close", None)


def test_one_step_off_samples_with_the_weights_before(tmp_path, copies):
    section = {"name": "vllm", "steps_off": 1}
    train(config_of(engine=section, rl={"learning_rate": 0.05}), tmp_path / "run")
    rows = [row for row in curve_of(tmp_path / "run") if row["phase"] == "rl"]
    assert [row["staleness"] for row in rows] == [0, 1, 1]
    assert rows[0]["sampler_gap"] < 1e-5
    assert rows[1]["sampler_gap"] > 1e-3


def test_a_stale_batch_survives_a_resume(tmp_path, copies):
    config = config_of(engine={"name": "vllm", "steps_off": 1}, rl={"learning_rate": 0.05})
    train(config, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(phase, step, steps, row):
        if (phase, step) == ("rl", 2):
            raise Killed

    with pytest.raises(Killed):
        train(config, tmp_path / "run", on_step=kill)
    train(config, tmp_path / "run", resume=True)
    assert curve_of(tmp_path / "run") == curve_of(tmp_path / "whole")


def test_a_shared_gpu_sleeps_while_the_learner_works(copies):
    trainer = Trainer(config_of(engine={"name": "vllm", "sleep": True}))
    trainer.begin_rl()
    trainer.rl_step()
    assert [name for name, _ in copies[0].calls] == ["sync", "sleep", "wake", "sync"]


def test_what_goes_wrong_ahead_is_not_lost(copies):
    trainer = Trainer(config_of(engine={"name": "vllm", "steps_off": 1}))
    trainer.begin_rl()
    collect = trainer.collect

    def failing(update):
        if update == 1:
            raise Fault("policy", "the engine died")
        return collect(update)

    trainer.collect = failing
    with pytest.raises(Fault, match="the engine died"):
        trainer.rl_step()


@pytest.mark.parametrize("level", ["token", "turn", "sequence"])
def test_weights_are_the_ratio_of_learner_and_sampler(copies, level):
    trainer = Trainer(config_of())
    trainer.begin_rl()
    batch = trainer.batch(trainer.collect(0))
    rng = np.random.default_rng(0)
    shifted = batch.column("logprob") + batch.policy_mask * rng.normal(0, 0.3, batch.n_tokens)
    stale = batch.with_columns({"logprob": shifted})
    section = EngineSection("vllm", correction=level, correction_high=1.2)
    found, metrics = corrected(stale, trainer.model, section, temperature=1.0, max_tokens=10_000)
    old = found.column("learner_logprob")
    for trajectory in range(batch.n_trajectories):
        for turn in np.flatnonzero(batch.turn_trajectory == trajectory):
            span = slice(batch.turn_start[turn], batch.turn_end[turn])
            whole = batch.policy_mask & (batch.token_trajectory == trajectory)
            parts = {"token": [np.array([i]) for i in range(span.start, span.stop)], "turn": [np.r_[span]]}
            parts["sequence"] = [np.flatnonzero(whole)]
            for part in parts[level]:
                ratio = min(np.exp((old - shifted)[part].sum()), 1.2)
                assert found.column("rollout_weight")[part] == pytest.approx(np.full(len(part), ratio), rel=1e-9)
    assert 0 < metrics["correction_share"] < 1
    assert not found.column("rollout_weight")[~batch.policy_mask].any()


def test_the_loss_is_multiplied_by_the_weights(copies):
    """A weight of zero on every token leaves nothing to learn."""
    trainer = Trainer(config_of(engine={"name": "vllm"}))
    trainer.begin_rl()
    batch, _ = trainer.score(trainer.batch(trainer.collect(0)))
    credit = trainer.assign(batch)
    before = copy.deepcopy(trainer.model.state_dict())
    trainer.update(batch.with_columns({"rollout_weight": np.zeros(batch.n_tokens)}), credit)
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    trainer.update(batch, credit)
    assert not all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())


def test_masking_leaves_tokens_out():
    old, mu, mask = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.0]), torch.ones(2)
    assert rollout_weights(old, mu, mask, outside="mask", high=2.0).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"steps_off": 1}, "engine.name to 'vllm'"),
        ({"sleep": True}, "engine.name to 'vllm'"),
        ({"name": "vllm", "sleep": True, "steps_off": 1}, "sleeps while the learner works"),
        ({"name": "vllm", "correction_high": 0.0}, "above 0"),
        ({"name": "sglang"}, "'torch', 'vllm'"),
        ({"name": "vllm", "steps_off": 2}, "one of 0, 1"),
    ],
)
def test_bad_engines_are_refused(section, message):
    with pytest.raises(ConfigError, match=message):
        config_of(engine=section)
