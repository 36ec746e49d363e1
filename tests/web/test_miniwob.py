"""MiniWoB-v0: starts, experts, replays. Not collected without the package ``miniwob``."""

import os

import pytest

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError
from agentgym.environments.web.miniwob.experts import SOLVED
from agentgym.environments.web.miniwob.files import HOST, FileSite, html_folder, names
from agentgym.environments.web.miniwob.loaded import LOADED
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


PAGES = (
    names(html_folder()) if EVERYTHING else ("bisect-angle", "book-flight", "click-test", "stock-market", "use-slider")
)


@pytest.fixture(scope="module")
def every(chromium):
    made = AgentEnv("agentgym.environments.web.miniwob.game:MiniWoBGame", subset=PAGES)
    yield made
    made.close()


@pytest.mark.parametrize("name", PAGES)
def test_every_task_starts_equally_goes_on_and_ends(every, name):
    task_id = of(every, name).task_id
    # Placed by the real clock or by what was measured of the page's own drawing.
    first, _ = every.reset(seed=5, options={"task_id": task_id})
    again, _ = every.reset(seed=5, options={"task_id": task_id})
    assert first.startswith("Task: ")
    if name not in ("chase-circle", "click-pie", "click-pie-nodelay"):
        assert first == again
    _, _, terminated, _, info = every.step("mouse_click(80, 130)")
    assert terminated or info["action_executable"]
    if not terminated:
        _, _, terminated, _, _ = every.step("noop(5000)")
    if not terminated:
        every.game.browser.call("core.endEpisode(-1, false, 'test')")
        *_, terminated, _, info = every.step("noop()")
        assert terminated
        assert not info["success"]


@pytest.mark.parametrize("name", [name for name in PAGES if name not in LOADED])
def test_a_page_that_starts_anew_is_as_good_as_a_new_one(every, name):
    task = of(every, name)
    traces = []
    for loaded in (LOADED | {name}, LOADED):
        every.game._loaded = loaded
        for seed in (1, 2, 1):
            trace = [every.reset(seed=seed, options={"task_id": task.task_id})]
            messages = ["click('a1')", "mouse_click(80, 120)", "noop(2000)", "click('a2')"]
            while messages and every.running:
                trace.append(every.step(messages.pop(0)))
            traces.append(trace)
    del every.game._loaded
    for new, anew in zip(traces[:3], traces[3:], strict=True):
        assert new == anew
