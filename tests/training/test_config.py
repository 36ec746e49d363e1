import json

import pytest

from agentgym.core.errors import ConfigError
from agentgym.training.config import LogSection, TrainConfig, from_dict, load
from agentgym.training.metrics import MetricsLog, read_metrics


def _file(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_a_file_and_flags_make_a_configuration(tmp_path):
    path = _file(tmp_path, 'seed = 3\n[rl]\nupdates = 5\nlearning_rate = 1\n[credit]\nmethod = "spa"\n')
    config = load(path, {"rl.updates": 7, "env.curriculum": [0, 0.5, 0, 1], "credit.parameters.alpha": 2.0})
    assert (config.seed, config.rl.updates, config.credit.method) == (3, 7, "spa")
    assert isinstance(config.rl.learning_rate, float)
    assert config.env.curriculum == (0.0, 0.5, 0.0, 1.0)
    assert config.credit.parameters == {"alpha": 2.0}


def test_the_defaults_survive_json():
    assert from_dict(json.loads(json.dumps(TrainConfig().to_dict()))) == TrainConfig()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"rl.update": 3}, "'rl.update'.*'updates'"),
        ({"modle.path": "x"}, "'modle'.*'model'"),
        ({"rl.updates": "many"}, "'rl.updates' must be of type int"),
        ({"rl.updates": True}, "'rl.updates' must be of type int"),
        ({"rl.updates": 1.5}, "'rl.updates' must be of type int"),
        ({"rl.loss": "dpo"}, "'rl.loss' must be one of"),
        ({"env.curriculum": 3}, "'env.curriculum' must be a list"),
        ({"rl": 3}, "'rl' is a section"),
        ({"seed.x": 3}, "'seed'"),
    ],
)
def test_mistakes_are_named_with_their_key(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load(None, overrides)


def test_bad_files_are_explained(tmp_path):
    with pytest.raises(ConfigError, match="no configuration file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(_file(tmp_path, "seed = ="))


def test_rows_of_steps_that_are_done_again_are_dropped(tmp_path):
    log = MetricsLog(tmp_path, LogSection(), {}, 0)
    for step in range(3):
        log.write("rl", step, {"success": step / 2})
    log.close()
    resumed = MetricsLog(tmp_path, LogSection(), {}, 2)
    resumed.write("rl", 2, {"success": 0.75})
    resumed.close()
    assert [row["success"] for row in read_metrics(tmp_path, "rl")] == [0.0, 0.5, 0.75]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_the_numbers(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = MetricsLog(tmp_path, LogSection(tensorboard=True), {}, 0)
    log.write("rl", 4, {"success": 0.5, "note": "text is left out"})
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (event,) = events.Scalars("rl/success")
    assert (event.step, event.value) == (4, 0.5)
