"""Beliefs as a column of the trainer: whose template, whose answers, whose records."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from agentgym.core.errors import ConfigError, DataError
from agentgym.rollout.batch import trainable
from agentgym.training.beliefs import PAPER, BeliefScorer, Template
from agentgym.training.config import from_dict, load
from agentgym.training.metrics import read_metrics
from agentgym.training.run import train
from agentgym.training.scoring import belief_template
from agentgym.training.trainer import Trainer

EXAMPLE = Path(__file__).parents[2] / "examples" / "search_tiny.toml"
SETTINGS = {
    "env": {"id": "agentgym/SearchTiny-v0", "kwargs": {"scheme": "f1"}},
    "model": {"layers": 1, "hidden": 32, "context": 256},
    "sampling": {"max_tokens": 6},
    "warm_start": {"steps": 2, "batch_size": 4},
    "rl": {"updates": 2, "groups": 2, "group_size": 3},
    "credit": {"method": "igpo"},
    "evaluation": {"tasks": 4},
    "concurrency": 8,
}


def trainer_with(**credit):
    trainer = Trainer(from_dict({**SETTINGS, "credit": {"method": "igpo", **credit}}))
    trainer.begin_rl()
    records = [trajectory for trajectory in trainer.collect(0) if trainable(trajectory)]
    return trainer, records


@pytest.fixture(scope="module")
def played():
    return trainer_with()


def column(trainer, records):
    return trainer.score(trainer.batch(records), records)[0].column("belief")


def expected(trainer, records, template, accepted="first"):
    scorer = BeliefScorer(trainer.policy.tokenizer, records, template, accepted)
    return scorer(trainer.batch(records), trainer.model)["belief"]


def test_the_environment_names_the_template(played):
    trainer, records = played
    found = column(trainer, records)
    assert len(found) == sum(len(trajectory.turns) for trajectory in records)
    assert np.isfinite(found).all() and (found <= 0).all()
    np.testing.assert_array_equal(found, expected(trainer, records, Template("answer[", "]")))


def test_without_a_named_template_it_is_the_papers(played):
    trainer, records = played
    for record in records:
        record.reference = {key: value for key, value in record.reference.items() if key != "belief_template"}
    np.testing.assert_array_equal(column(trainer, records), expected(trainer, records, PAPER))


def test_the_configuration_overrules_both():
    trainer, records = trainer_with(scorer={"template": "is {answer}!", "accepted": "max", "engine": "naive"})
    found = column(trainer, records)
    np.testing.assert_allclose(found, expected(trainer, records, Template("is ", "!"), "max"), atol=1e-5)
    assert not np.allclose(found, expected(trainer, records, Template("answer[", "]")))


def test_beliefs_are_those_of_the_policy_as_it_stands(played):
    trainer, records = played
    before = column(trainer, records)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.mul_(1.1)
    assert not np.allclose(before, column(trainer, records))


@pytest.mark.parametrize("text", ["answer", "{answer}{answer}", "{Answer}"])
def test_a_template_holds_the_answer_once(text):
    with pytest.raises(ConfigError, match="exactly once"):
        belief_template(text)
    with pytest.raises(ConfigError, match="exactly once"):
        trainer_with(scorer={"template": text})


def test_a_batch_without_its_records_is_refused(played):
    trainer, records = played
    with pytest.raises(DataError, match="aren't those of the batch"):
        trainer.score(trainer.batch(records))
    with pytest.raises(ConfigError, match=r"credit\.scorer"):
        trainer_with(scorer={"templat": "{answer}"})


def test_the_example_is_a_configuration_of_search():
    config = load(EXAMPLE, {"credit.method": "igpo", "credit.scorer": {"template": "it is {answer}."}})
    assert config.env.id == "agentgym/SearchTiny-v0" and config.env.kwargs == {"scheme": "f1"}
    assert f"agentgym train --config examples/{EXAMPLE.name}" in EXAMPLE.read_text("utf-8")


def test_training_with_beliefs_goes_on_as_if_never_interrupted(tmp_path):
    class Stop(Exception):
        pass

    def stop(phase, step, steps, row):
        if (phase, step) == ("rl", 1):
            raise Stop

    config = from_dict({**SETTINGS, "log": {"save_every": 1}})
    train(config, tmp_path / "whole")
    with pytest.raises(Stop):
        train(config, tmp_path / "broken", on_step=stop)
    train(config, tmp_path / "broken", resume=True)
    rows = [
        [{key: row[key] for key in row if not key.startswith("seconds")} for row in read_metrics(tmp_path / name)]
        for name in ("whole", "broken")
    ]
    assert rows[0] == rows[1]
