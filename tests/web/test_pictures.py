"""What a person sees: pictures through Gymnasium, stored with a run's episodes, and named where episodes are shown."""

import asyncio
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError
from agentgym.core.policy import PolicySpec
from agentgym.rollout.run import RunConfig, run
from agentgym.rollout.storage import SCREENSHOTS, read_run


def cli(*arguments, text=""):
    command = [sys.executable, "-m", "agentgym", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=300, check=False)


def test_text_has_lines_and_no_pictures():
    env = gymnasium.make("agentgym/Web-v0", render_mode="ansi")
    env.reset(seed=0)
    assert "Page: http://book.test/" in env.render()
    assert env.metadata["render_modes"] == ["ansi"]
    with pytest.raises(ConfigError, match="backend='chromium'"):
        gymnasium.make("agentgym/Web-v0", render_mode="rgb_array")
    with pytest.raises(ConfigError, match="'ansi', 'rgb_array' or None"):
        AgentEnv("agentgym.environments.web.game:web", render_mode="human")


def test_gymnasiums_checker_renders_what_there_is():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about spaces of text
        check_env(gymnasium.make("agentgym/Web-v0"))


def test_pictures_in_chromium(chromium):
    env = gymnasium.make("agentgym/Web-v0", backend="chromium", render_mode="rgb_array")
    try:
        env.reset(seed=0)
        first = env.render()
        assert first.shape == (720, 1280, 3)
        assert first.dtype == np.uint8
        assert first.min() < 50 < 200 < first.max()  # dark text on a light page
        env.step("goto('http://book.test/orders')")
        assert (env.render() != first).any()
        assert env.metadata["render_modes"] == ["ansi", "rgb_array"]
    finally:
        env.close()


@pytest.fixture(scope="module")
def stored(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = RunConfig("agentgym/Web-v0", PolicySpec("scripted"), 2, {"backend": "chromium"}, seed=3)
    asyncio.run(run(config, folder / "plain", concurrency=1))
    pictured = RunConfig(
        "agentgym/Web-v0", PolicySpec("scripted"), 2, {"backend": "chromium"}, seed=3,
        screenshots=str(folder / "pictured" / SCREENSHOTS),
    )  # fmt: skip
    asyncio.run(run(pictured, folder / "pictured", concurrency=1))
    return folder


def test_a_run_has_the_same_episodes_with_and_without_pictures(stored):
    plain, pictured = list(read_run(stored / "plain")), list(read_run(stored / "pictured"))
    assert [record.to_dict() for record in plain] == [record.to_dict() for record in pictured]
    for record in pictured:
        files = sorted((stored / "pictured" / SCREENSHOTS / record.trajectory_id).iterdir())
        assert [file.name for file in files] == [f"{n:03d}.png" for n in range(len(record.turns) + 1)]
        assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_show_names_the_pictures(stored):
    shown = cli("show", str(stored / "pictured"), "--full")
    assert shown.returncode == 0, shown.stderr
    record = next(read_run(stored / "pictured"))
    for number in range(len(record.turns) + 1):
        assert (
            f"screenshot {stored / 'pictured' / SCREENSHOTS / record.trajectory_id / f'{number:03d}.png'}"
            in shown.stdout
        )
    assert "Page: http://book.test/" in shown.stdout
    assert "screenshot" not in cli("show", str(stored / "plain")).stdout


def test_play_stores_pictures(chromium, tmp_path):
    played = cli(
        "play", "Web-v0", "-e", "backend=chromium", "--screenshots", str(tmp_path), text="click('a2')\n:quit\n"
    )
    assert played.returncode == 0, played.stderr
    assert [path.name for path in sorted(tmp_path.rglob("*.png"))] == ["000.png", "001.png"]
    assert "(picture: " in played.stdout


def test_where_there_are_no_pictures_the_wish_is_refused(tmp_path):
    for arguments in (
        ("play", "Web-v0", "--screenshots", str(tmp_path)),
        ("rollout", "--env", "Web-v0", "--policy", "scripted", "--out", str(tmp_path / "run"), "--screenshots"),
    ):
        refused = cli(*arguments)
        assert refused.returncode == 2
        assert "has no pictures" in refused.stderr
        assert "Traceback" not in refused.stderr
