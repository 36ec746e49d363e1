"""MiniWoB-v0: starts, experts, replays. Not collected without the package ``miniwob``."""

import os

import pytest

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError
from agentgym.environments.web.miniwob.experts import SOLVED
from agentgym.environments.web.miniwob.files import HOST, FileSite, html_folder, names
from agentgym.tools.browser.transport import Request

EVERYTHING = bool(os.environ.get("AGENTGYM_TEST_WEB"))
SAMPLE = sorted(SOLVED) if EVERYTHING else ("click-checkboxes", "click-tab-2", "enter-date", "guess-number")


@pytest.fixture(scope="module")
def env(chromium):
    made = AgentEnv("agentgym.environments.web.miniwob.game:MiniWoBGame", subset=tuple(SAMPLE))
    yield made
    made.close()


def of(env, name, start=0):
    source = env.game.tasks()
    return next(task for i in range(start, 10_000) if (task := source.get(f"train/{i}")).data["name"] == name)


def test_there_are_130_tasks_and_40_have_experts():
    assert len(names(html_folder())) == 130
    assert len(SOLVED) >= 40


@pytest.mark.parametrize("name", SAMPLE)
def test_experts_solve(env, name):
    for seed in range(3 if EVERYTHING else 1):
        env.reset(seed=seed, options={"task_id": of(env, name, 1_000 * seed).task_id})
        info = {}
        while env.running:
            *_, info = env.step(env.expert_message())
        assert info["success"], env.game.state.text


def test_equal_seeds_and_actions_give_equal_bytes_and_snapshots_replay(env):
    task = of(env, "click-checkboxes")
    traces = []
    for _ in range(2):
        first, _ = env.reset(seed=1, options={"task_id": task.task_id})
        traces.append([first, env.step("click('a1')"), env.step("noop(2000)")])
    assert traces[0] == traces[1]
    snapshot = env.snapshot()
    rest = env.step("click('a2')")
    env.restore(snapshot)
    assert env.step("click('a2')") == rest


def test_bad_keys_buttons_and_references_are_refused(env):
    env.reset(seed=0)
    for message in ("press('a1', 'Nonsense')", "keyboard_press('')", "click('a1', button='fifth')", "click('a999')",
                    "click('a1', modifiers=['Hyper'])"):  # fmt: skip
        observation, _, terminated, _, info = env.step(message)
        assert observation.startswith("Error ("), message
        assert not info["action_executable"]
        assert not terminated


@pytest.mark.parametrize(
    "path", ["/../../pyproject.toml", "/%2e%2e/%2e%2e/x", "/core", "/nothing.html", "//etc/passwd"]
)
def test_files_elsewhere_are_not_served(path):
    assert FileSite(html_folder())(Request("GET", f"http://{HOST}{path}")).status == 404


def test_wrong_names_and_folders_say_so(tmp_path):
    with pytest.raises(AgentGymError, match="Did you mean 'click-tab'"):
        agentgym.make("agentgym/MiniWoB-v0", subset="click-tabb")
    with pytest.raises(AgentGymError, match="html folder"):
        agentgym.make("agentgym/MiniWoB-v0", folder=str(tmp_path))
