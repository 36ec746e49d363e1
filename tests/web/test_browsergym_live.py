"""BrowserGym's environments as a game, run for real. Collected only where BrowserGym is installed.

It pins an older Playwright than ours, so it needs an environment of its own: ``scripts/ci_browsergym.sh``.
"""

import re
from pathlib import Path

import pytest

import agentgym
from agentgym.core.actions import Action
from agentgym.core.errors import UnknownNameError
from agentgym.environments.web.browsergym import BrowserGymGame, action_set, rendered

PAGE = (
    "data:text/html,<title>P</title><h1>Hi</h1><input aria-label=name>"
    "<button onclick=\"document.title='Pressed'; this.textContent='Done'\">Go</button>"
)


def bid(observation, role):
    return re.search(rf"\[(\w+)\] {role}", observation)[1]


@pytest.fixture
def env():
    made = agentgym.make("agentgym/BrowserGym-v0", task_kwargs={"start_url": PAGE, "goal": "Press Go"})
    yield made
    made.close()


def test_open_ended(env):
    first, _ = env.reset(seed=1)
    assert first.startswith("Task: Press Go\n\nPage: data:text/html")
    text, *_ = env.step(f"click('{bid(first, 'button')}')")
    assert "button 'Done'" in text
    text, *_ = env.step(f"fill('{bid(first, 'textbox')}', \"it's 'x'\")")
    assert "it\\'s" in text or "it's" in text
    text, _, terminated, _, info = env.step("click('9999')")
    assert "Could not find element" in text
    assert not terminated
    assert info["tags"] == ["error"]
    text, *_ = env.step("new_tab()")
    assert "this is 1" in text
    assert env.game.screenshot().startswith(b"\x89PNG")
    *_, terminated, _, info = env.step("report_infeasible('nothing to do')")
    assert terminated
    assert info["success"] is False


def test_equal_seeds_and_actions_give_equal_observations(env):
    traces = []
    for _ in range(2):
        first, _ = env.reset(seed=4)
        traces.append((first, env.step("noop(10)")[0], env.step("scroll(0, 50)")[0]))
    assert traces[0] == traces[1]


def test_miniwob(monkeypatch):
    pages = Path(pytest.importorskip("miniwob").__file__).parent / "html" / "miniwob"
    monkeypatch.setenv("MINIWOB_URL", pages.as_uri() + "/")
    env = agentgym.make("agentgym/BrowserGym-v0", task=["miniwob.click-test", "miniwob.click-button"])
    try:
        for seed in range(3):
            text, _ = env.reset(seed=seed)
            name = re.search(r'"([^"]+)" button', text.partition("Page:")[0])
            wanted = rf"button '{re.escape(name[1])}'" if name else "button"
            *_, terminated, _, info = env.step(f"click('{bid(text, wanted)}')")
            assert terminated
            assert info["success"] is True
    finally:
        env.close()


def test_unknown_tasks_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean"):
        agentgym.make("agentgym/BrowserGym-v0", task="miniwob.click-tst")


def test_every_action_is_one_of_browsergyms():
    actions = action_set()
    for tool in BrowserGymGame.tools:
        kinds = {"string": "a1", "number": 3, "integer": 1, "boolean": False, "array": ["Shift"]}
        required = tool.parameters.get("required", ())
        values = {key: kinds.get(tool.properties[key].get("type"), "x") for key in required}
        actions.to_python_code(rendered(Action(tool.name, values)))
