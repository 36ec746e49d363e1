"""Groups that are in play beyond an update: none is lost, none is doubled, tokens know their weights."""

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from agentgym.core.errors import ConfigError
from agentgym.training.run import train
from agentgym.training.trainer import Trainer
from training.test_trainer import config_of, curve_of

SPARE = {"updates": 5, "groups": 2, "group_size": 2, "spare_groups": 3, "learning_rate": 0.02, "entropy_coef": 0.1}


def played(**rl):
    """Trajectories of each update of a run, and its rows."""
    trainer = Trainer(config_of(rl={**SPARE, **rl}, warm_start={"steps": 40, "batch_size": 8}, concurrency=6))
    for _ in range(40):  # until episodes end after different numbers of turns
        trainer.warm_step()
    trainer.begin_rl()
    seen: list[list] = []
    collect = trainer.collect
    trainer.collect = lambda update: seen.append(collect(update)) or seen[-1]
    rows = [trainer.rl_step() for _ in range(5)]
    trainer.close()
    return seen, rows


def test_every_group_is_trained_once_and_whole():
    seen, rows = played()
    names = [trajectory.trajectory_id for update in seen for trajectory in update]
    assert len(names) == len(set(names)) == 5 * 2 * 2
    for update in seen:
        groups = [trajectory.group_id for trajectory in update]
        assert all(groups.count(group) == 2 for group in groups)
    assert any(row["staleness"] > 0 for row in rows), "nothing waited for a later update"
    for update, row in enumerate(rows):
        assert row["staleness"] == 0 or update


def test_carried_episodes_hold_tokens_of_several_weights_and_dropped_ones_do_not():
    kept, _ = played()
    mixed = [t for update in kept for t in update for s in t.segments if len(set(s.versions) - {-1}) > 1]
    assert mixed, "no episode was in flight at an update"
    dropped, _ = played(carry="drop")
    for update in dropped:
        for trajectory in update:
            for segment in trajectory.segments:
                assert len(set(segment.versions) - {-1}) == 1


def test_a_run_with_spare_groups_is_the_same_again(tmp_path):
    config = config_of(rl=SPARE)
    train(config, tmp_path / "a")
    train(config, tmp_path / "b")
    assert curve_of(tmp_path / "a") == curve_of(tmp_path / "b")


def test_it_can_be_resumed(tmp_path):
    class Killed(Exception):
        pass

    def kill(phase, step, steps, row):
        if (phase, step) == ("rl", 2):
            raise Killed

    config = config_of(rl=SPARE)
    with pytest.raises(Killed):
        train(config, tmp_path, on_step=kill)
    trainer = train(config, tmp_path, resume=True)
    assert trainer.updates == 5


def test_a_number_below_zero_is_refused():
    with pytest.raises(ConfigError, match="spare_groups"):
        config_of(rl={"spare_groups": -1})
