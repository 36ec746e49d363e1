"""The trainer: every path runs, resumes exactly, survives kill -9, and says what is wrong with a configuration."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from agentgym.core.errors import ConfigError  # noqa: E402
from agentgym.credit import make  # noqa: E402
from agentgym.training.config import from_dict, load  # noqa: E402
from agentgym.training.metrics import read_metrics  # noqa: E402
from agentgym.training.trainer import Trainer, train  # noqa: E402
from agentgym.training.update import minibatches, policy_step  # noqa: E402

SMALL = {
    "env": {"id": "toy/Rooms-v0", "kwargs": {"scheme": "dense"}},
    "model": {"layers": 1, "hidden": 32, "context": 512, "threads": 1},
    "sampling": {"max_tokens": 12},
    "warm_start": {"steps": 6, "batch_size": 8, "mistake_rate": 0.2},
    "rl": {"updates": 3, "groups": 3, "group_size": 4, "minibatches": 2},
    "evaluation": {"every": 0, "tasks": 6},
    "log": {"save_every": 1},
}


def small(**sections):
    merged = {key: dict(value) for key, value in SMALL.items()}
    for name, values in sections.items():
        merged[name] = {**merged.get(name, {}), **values}
    return from_dict(merged)


def rows(path: Path):
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in read_metrics(path)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"rl": {"updats": 3}}, r"Unknown key 'rl.updats'. Did you mean 'updates'"),
        ({"modle": {}}, "Did you mean 'model'"),
        ({"rl": {"updates": "3"}}, "'rl.updates' must be of type int"),
        ({"rl": {"updates": True}}, "'rl.updates' must be of type int"),
        ({"rl": {"loss": "pppo"}}, "must be one of 'ppo'"),
        ({"rl": 3}, "'rl' is a section"),
        ({"env": {"curriculum": 3}}, "must be a list"),
        ({"sampling": {"temperature": -1.0}}, "temperature must be at least 0"),
    ],
)
def test_a_wrong_configuration_names_the_key(data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(data)


def test_files_flags_and_dicts_agree(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('seed = 3\n[rl]\nupdates = 5\nlearning_rate = 1\n[env.kwargs]\nscheme = "dense"\n')
    config = load(file, {"rl.groups": 2, "credit.parameters.omega": 0.5})
    assert (config.seed, config.rl.updates, config.rl.groups, config.rl.learning_rate) == (3, 5, 2, 1.0)
    assert config.credit.parameters == {"omega": 0.5}
    assert from_dict(json.loads(json.dumps(config.to_dict()))) == config
    file.write_text("rl = [")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(file)
    with pytest.raises(ConfigError, match="no configuration file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="must be of type int"):
        load(None, {"seed.x": 1})


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"credit": {"method": "gigop"}}, "gigpo"),
        ({"credit": {"method": "gigpo", "parameters": {"omga": 1}}}, "omga"),
        ({"sampling": {"temperature": 0.0}}, "greedy samples have no gradient"),
        ({"env": {"curriculum": [0.0, 1.0]}}, "four numbers"),
        ({"credit": {"method": "turn_gae"}}, "turn_value|value"),
    ],
)
def test_what_only_shows_at_the_start(sections, message):
    with pytest.raises(ConfigError, match=message):
        trainer = Trainer(small(**sections))
        trainer.begin_rl()
        trainer.collect(0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    train(small(), path)
    return path


def test_a_run_leaves_its_metrics_and_a_loadable_model(whole):
    phases = [row["phase"] for row in read_metrics(whole)]
    assert phases == ["warm_start"] * 6 + ["rl"] * 3 + ["evaluation_greedy", "evaluation_sampled"]
    losses = [row["loss"] for row in read_metrics(whole, "warm_start")]
    assert losses[-1] < losses[0]
    for row in read_metrics(whole, "rl"):
        assert row["optimizer_steps"] == 2
        assert row["sampler_gap"] < 1e-4, "the learner must find its own samples as likely as the sampler did"
    from agentgym.policies.transformers import TransformersPolicy

    assert TransformersPolicy(str(whole / "model")).context == 512


class Stop(Exception):
    pass


@pytest.mark.parametrize("after", [4, 7, 8])
def test_a_resumed_run_is_the_run(whole, tmp_path, after):
    def stop(phase, step, steps, row):
        stop.count += 1
        if stop.count == after:
            raise Stop

    stop.count = 0
    with pytest.raises(Stop):
        train(small(), tmp_path, on_step=stop)
    train(small(), tmp_path, resume=True)
    assert rows(tmp_path) == rows(whole)
    a, b = (torch.load(path / "checkpoint.pt", weights_only=True)["trainer"]["model"] for path in (tmp_path, whole))
    assert all(torch.equal(a[name], b[name]) for name in b)


CHILD = """
import sys, conftest
from pathlib import Path
from agentgym.training.trainer import train
from training.test_trainer import small
train(small(), Path(sys.argv[1]), resume=True)
"""


def test_kill_nine_and_resume(whole, tmp_path):
    path = tmp_path / "run"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
    for lines in (3, 8):
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
    train(small(), path, resume=True)
    assert rows(path) == rows(whole)


def test_refusals_of_folders(whole):
    with pytest.raises(ConfigError, match="--resume"):
        train(small(), whole)
    with pytest.raises(ConfigError, match=r"rl\.groups: 3 then, 4 now"):
        train(small(rl={"groups": 4}), whole, resume=True)


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
    config = small(**{**sections, "warm_start": {"steps": 2}, "rl": {"updates": 2, **sections.get("rl", {})}})
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


def test_gradients_of_pieces_add_up():
    results = []
    for max_tokens in (16_384, 1):
        config = small(rl={"max_tokens": max_tokens})
        trainer = Trainer(config)
        trainer.begin_rl()
        batch, _ = trainer.score(trainer.batch(trainer.collect(0)))
        credit = make("rloo", reward="return")(batch.with_turn_rewards(np.arange(batch.n_turns, dtype=float)))
        everyone = np.arange(batch.n_trajectories)
        metrics = policy_step(trainer.model, trainer._optimizer, batch, credit, everyone, config.rl, 1.0)
        results.append((metrics["grad_norm"], metrics["loss"]))
    assert results[0] == pytest.approx(results[1], rel=1e-4, abs=1e-6)


def test_trajectories_without_signal_are_left_out():
    trainer = Trainer(small())
    trainer.begin_rl()
    batch = trainer.batch(trainer.collect(0))
    silent = make("grpo")(batch.with_turn_rewards(np.zeros(batch.n_turns)))
    rng = np.random.default_rng(0)
    assert minibatches(batch, silent, trainer.config.rl, rng) == []
    assert trainer.update(batch, silent)["optimizer_steps"] == 0.0


def test_updates_raise_the_probability_of_what_was_rewarded():
    """A bandit within the trainer: reward the first turn's message of one trajectory, and it becomes likelier."""
    trainer = Trainer(small(rl={"learning_rate": 1e-3}))
    trainer.begin_rl()
    batch = trainer.batch(trainer.collect(0))
    from agentgym.training.logprobs import batch_logprobs

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
        trainer = Trainer(small(credit={"method": method}))
        tasks.append([t.task_id for t in trainer.collect(1)])
    assert tasks[0] == tasks[1]
    assert len(set(tasks[0])) == 3
