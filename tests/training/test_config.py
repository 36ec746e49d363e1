"""The configuration: every mistake is found and named."""

import json

import pytest

pytest.importorskip("torch", reason="training needs the extra [train]")

from agentgym.core.errors import ConfigError
from agentgym.training.config import from_dict, load
from agentgym.training.trainer import Trainer
from training.test_trainer import config_of


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
        trainer = Trainer(config_of(**sections))
        trainer.begin_rl()
        trainer.collect(0)
