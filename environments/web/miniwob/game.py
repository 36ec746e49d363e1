"""``agentgym/MiniWoB-v0``: the tasks of MiniWoB++ in Chromium, seeded, in a time that stands still between actions."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from agentgym.core.actions import Action, Tool
from agentgym.core.errors import Boundary, Fault, unknown_name
from agentgym.core.game import Capabilities, Game, Observation, Outcome
from agentgym.core.rewards import EXECUTABLE, FORMAT, TURN_COST, Component, RewardScheme, accumulate
from agentgym.core.seeding import derive_rng, digest
from agentgym.core.tasks import GeneratedTasks, Task, TaskSource
from agentgym.environments.web.game import error_text
from agentgym.environments.web.miniwob.experts import SOLVED
from agentgym.environments.web.miniwob.files import HOST, FileSite, html_folder, names
from agentgym.environments.web.miniwob.loaded import LOADED
from agentgym.tools.browser.actions import COORDINATES, CORE
from agentgym.tools.browser.backend import Done, Refused
from agentgym.tools.browser.grammar import CallFormat
from agentgym.tools.browser.transport import Router
from agentgym.tools.browser.urls import AllowList

SOLVED_TASK = Component("solved", "outcome", 0.0, 1.0, "1 when the page gave its full reward, else 0.")
RAW = Component("raw", "outcome", -1.0, 1.0, "The page's own reward when it ended, without its decay over time.")

_LEFT_OUT = ("goto", "go_back", "go_forward", "new_tab", "tab_close", "tab_focus", "report_infeasible")
_TOOLS = tuple(tool for tool in CORE if tool.name not in _LEFT_OUT) + COORDINATES
_START = """(seed) => {
  __agentgymAgain();
  Math.seedrandom(seed);
  core.EPISODE_MAX_TIME = 1e8;
  core.startEpisode = () => {};
  if (!document.getElementById("agentgym-style")) {
    const style = document.createElement("style");
    style.id = "agentgym-style";
    style.textContent = "#reward-display, #click-canvas, #sync-task-cover { display: none !important; }";
    document.head.append(style);
  }
  core.startEpisodeReal();
}"""
_PROBE = """() => {
  const told = WOB_TASK_READY ? core.getUtterance() : "";
  return [WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL, WOB_TASK_READY, typeof told === "string" ? told : told.utterance];
}"""


@dataclass
class MiniWoBState:
    """An episode as what was done: the page is what these actions lead to."""

    name: str
    seed: str
    text: str = ""
    done: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    ended: bool = False
    key: str = ""


class MiniWoBGame(Game):
    """MiniWoB++'s tasks.

    Args:
        subset: ``solved`` (the tasks with an expert, all of which can be done by text), ``all`` (130, some of which
            need a picture), or names of tasks.
        folder: MiniWoB++'s html folder. Empty: that of the installed package ``miniwob``.
    """

    components = (SOLVED_TASK, RAW, FORMAT, EXECUTABLE, TURN_COST)
    schemes: ClassVar[Mapping[str, RewardScheme]] = {
        "gated": RewardScheme(
            "gated",
            {"solved": 1.0, "format": 0.01, "turn_cost": 0.01},
            (accumulate(("format", "turn_cost"), on="solved", at_least=1.0, name="solved"),),
        ),
        "outcome": RewardScheme("outcome", {"solved": 1.0}),
        "dense": RewardScheme("dense", {"solved": 1.0, "format": 0.01, "executable": 0.01, "turn_cost": 0.02}),
        "raw": RewardScheme("raw", {"raw": 1.0}),
    }
    formats = (CallFormat(), "json")
    tools: tuple[Tool, ...] = _TOOLS
    capabilities = Capabilities(blocking=True)
    max_turns = 25
    max_tool_calls = 60
    expert = "agentgym.environments.web.miniwob.experts:MiniWoBExpert"
    cheats: ClassVar[Mapping[str, str]] = {
        name: f"agentgym.environments.web.miniwob.cheats:{name}" for name in ("idle", "first_button", "random_clicks")
    }
    blind_guess = 0.3
    """Some pages have two or three things to click, one of which is right."""

    _loaded = LOADED
    """Tasks whose page is loaded afresh for every episode."""

    def __init__(self, subset: str | Sequence[str] = "solved", folder: str = "") -> None:
        self._folder = html_folder(folder)
        known = names(self._folder)
        if isinstance(subset, str) and subset in ("solved", "all"):
            chosen: Sequence[str] = known if subset == "all" else [name for name in known if name in SOLVED]
        else:
            chosen = [subset] if isinstance(subset, str) else list(subset)
            for name in chosen:
                if name not in known:
                    raise unknown_name("MiniWoB task", name, known)
        self._tasks = GeneratedTasks(lambda split, number: _task(tuple(chosen), split, number))
        self._browser: Any = None

    @property
    def instructions(self) -> str:
        """What the agent is told about its job."""
        return (
            "You do a small task on a web page. The page is shown as lines of text; what you can act on has a "
            "reference in brackets, such as [a3]. Shapes are given with color, place and size in pixels. The page "
            "judges by itself when you have done what it asks, usually after a button such as Submit."
        )

    def tasks(self) -> TaskSource:
        """See ``Game.tasks``."""
        return self._tasks

    @property
    def browser(self) -> Any:
        """The browser that this instance keeps over its episodes."""
        if self._browser is None:
            from agentgym.tools.browser.chromium import RECYCLED
            from agentgym.tools.browser.scripted import ScriptedBrowser

            self._browser = ScriptedBrowser(
                Router({HOST: FileSite(self._folder)}), AllowList(frozenset({HOST})), recycled=RECYCLED, stays=True
            )
            self._browser.probe = _PROBE
        return self._browser

    def start(self, task: Task, rng: np.random.Generator) -> Observation:
        """See ``Game.start``."""
        self.state = MiniWoBState(task.data["name"], task.data["seed"])
        self._begin()
        self.state.text = self.browser.probed[3]
        self.state.key = self._key()
        return Observation(f"Task: {self.state.text}\n\n{self._shown()}")

    def _begin(self) -> None:
        """Loads the page, or starts it once more where that is known to leave nothing of the episode before."""
        browser, name = self.browser, self.state.name
        url = f"http://{HOST}/miniwob/{name}.html"
        if name in self._loaded or not browser.again(url):
            browser.restart()
            try:
                browser.load_page(url)
            except Refused as error:
                raise Fault(Boundary.ENVIRONMENT, f"{name} can't be opened: {error.message}") from error
        browser.run_first(_START, self.state.seed, 100)
        for _ in range(100):
            if browser.probed[2]:
                return
            browser.perform(browser.handle.evaluate("() => 0"), 100)
        raise Fault(Boundary.ENVIRONMENT, f"{name} was not ready in time.")

    def _shown(self, notice: str = "") -> str:
        """The page without its address, which tells nothing."""
        return str(self.browser.observe(notice).partition("\n")[2])

    def act(self, action: Action) -> Outcome:
        """See ``Game.act``."""
        if action.name == "send_msg_to_user":
            self.state.ended = True
            return Outcome("", {"solved": 0.0, "raw": -1.0}, terminal=True, success=False)
        done: Done = self.browser.do(action.name, action.arguments)
        if not done.executable:
            return Outcome(error_text(done), executable=False, tags=("refused", done.category))
        self.state.done.append((action.name, dict(action.arguments)))
        ended, raw = self.browser.probed[:2]
        if ended:
            self.state.ended = True
            raw = min(max(float(raw), -1.0), 1.0)
            self.state.key = digest(self.state.key, "ended", raw)
            return Outcome("", {"solved": float(raw >= 1.0), "raw": raw}, terminal=True, success=raw >= 1.0)
        self.state.key = self._key()
        return Outcome(self._shown(error_text(done)))

    def _key(self) -> str:
        return digest(self.state.name, self.browser.shown(), self.state.ended)

    def state_key(self) -> str:
        """See ``Game.state_key``."""
        return str(self.state.key)

    def save(self) -> Any:
        """The actions so far: the page's time stands still, so doing them again leads to the same page."""
        return pickle.dumps(self.state)

    def load(self, saved: Any) -> None:
        """See ``Game.load``."""
        self.state = pickle.loads(saved)
        self._begin()
        for name, arguments in self.state.done:
            self.browser.page  # noqa: B018 - references count for the page that was read
            self.browser.do(name, arguments)

    def clone(self) -> MiniWoBGame:
        """See ``Game.clone``."""
        other = type(self).__new__(type(self))
        other._folder, other._tasks, other._browser = self._folder, self._tasks, None
        other.state = None
        return other

    def render(self) -> str:
        """The task and the page."""
        return f"Task: {self.state.text}\n\n{self._shown()}"

    def screenshot(self) -> bytes:
        """The page as a PNG."""
        data: bytes = self.browser.screenshot()
        return data

    def close(self) -> None:
        """Gives the browser's context back."""
        if self._browser is not None:
            self._browser.close()
            self._browser = None


def _task(chosen: tuple[str, ...], split: str, number: int) -> Task:
    rng = derive_rng("miniwob task", split, number)
    name = chosen[int(rng.integers(len(chosen)))]
    return Task(f"{split}/{number}", split, {"name": name, "seed": f"{split}-{int(rng.integers(1 << 40))}"})
