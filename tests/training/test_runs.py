"""Every path through the trainer, and what kill -9 leaves."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from agentgym.credit import make
from agentgym.training.logprobs import batch_logprobs
from agentgym.training.metrics import read_metrics
from agentgym.training.run import train
from agentgym.training.trainer import Trainer
from agentgym.training.update import minibatches
from training.test_trainer import config_of, curve_of

CHILD = """
import sys, conftest
from pathlib import Path
from agentgym.training.run import train
from training.test_trainer import config_of
train(config_of(), Path(sys.argv[1]), resume=True)
"""


def test_kill_nine_and_resume(tmp_path):
    train(config_of(), tmp_path / "whole")
    path = tmp_path / "run"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
    for lines in (2, 4):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], env=env, start_new_session=True)
        deadline = time.monotonic() + 90
        metrics = path / "metrics.jsonl"
        while time.monotonic() < deadline and child.poll() is None:
            if metrics.exists() and len(metrics.read_text().splitlines()) >= lines:
                break
            time.sleep(0.01)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    train(config_of(), path, resume=True)
    assert curve_of(path) == curve_of(tmp_path / "whole")


@pytest.mark.parametrize(
    "sections",
    [
        {"credit": {"method": "gigpo"}, "rl": {"loss": "gspo", "aggregation": "seq-mean-token-mean"}},
        {"credit": {"method": "spa", "scorer_warmup": 1}, "rl": {"loss": "cispo"}},
        {"credit": {"method": "oprl"}, "rl": {"kl_coef": 0.01, "entropy_coef": 0.001, "epochs": 2}},
        {"model": {"lora_rank": 2}, "rl": {"kl_coef": 0.01}},
        {"env": {"curriculum": [0.0, 0.3, 0.0, 1.0], "kwargs": {"scheme": "dense"}}, "credit": {"method": "turn_rloo"}},
        {"log": {"tensorboard": True}, "rl": {"aggregation": "seq-mean-token-sum-norm", "dual_clip": 3.0}},
    ],
    ids=["gigpo-gspo", "spa-cispo", "oprl-kl-entropy", "lora", "curriculum-turns", "tensorboard"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_path_runs_and_resumes(tmp_path, sections):
    config = config_of(**{**sections, "warm_start": {"steps": 2}, "rl": {"updates": 2, **sections.get("rl", {})}})
    trainer = train(config, tmp_path / "run")
    (first, second) = read_metrics(tmp_path / "run", "rl")
    for row in (first, second):
        assert all(np.isfinite(value) for value in row.values() if isinstance(value, float))
    again = Trainer(config)
    state = trainer.state_dict()
    again.load_state_dict(state)
    assert again.updates == 2
    for name, value in again.state_dict()["model"].items():
        assert torch.equal(value, state["model"][name])


def test_trajectories_without_signal_are_left_out():
    trainer = Trainer(config_of())
    trainer.begin_rl()
    batch = trainer.batch(trainer.collect(0))
    silent = make("grpo")(batch.with_turn_rewards(np.zeros(batch.n_turns)))
    rng = np.random.default_rng(0)
    assert minibatches(batch, silent, trainer.config.rl, rng) == []
    assert trainer.update(batch, silent)["optimizer_steps"] == 0.0


def test_updates_raise_the_probability_of_what_was_rewarded():
    """A bandit within the trainer: reward the first turn's message of one trajectory, and it becomes likelier."""
    trainer = Trainer(config_of(rl={"learning_rate": 1e-3}))
    trainer.begin_rl()
    batch = trainer.batch(trainer.collect(0))
    reward = np.zeros(batch.n_turns)
    reward[0] = 1.0
    credit = make("rloo")(batch.with_turn_rewards(reward))
    before = batch_logprobs(trainer.model, batch)
    trainer.update(batch, credit)
    after = batch_logprobs(trainer.model, batch)
    winner = batch.policy_mask & (batch.token_trajectory == 0)
    assert after[winner].sum() > before[winner].sum()


def test_groups_of_an_update_play_the_same_tasks_for_every_method():
    tasks = []
    for method in ("grpo", "gigpo"):
        trainer = Trainer(config_of(credit={"method": method}))
        tasks.append([t.task_id for t in trainer.collect(1)])
    assert tasks[0] == tasks[1]
    assert len(set(tasks[0])) == 2
