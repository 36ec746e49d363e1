"""Chromium on pages that are made of scripts: real input, and time that stands still between actions.

Dates, timers and animations follow a clock that moves only when an action is done, so that equal actions meet equal
pages however fast the machine is.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from agentgym.tools.browser.backend import BLANK, Refused
from agentgym.tools.browser.chromium import LiveTab
from agentgym.tools.browser.dom import MAX_DEPTH, MAX_NODES
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.page_scripts import AIM, CENTER, CHOOSE, CLICK, FOCUS, SELECT, STANDSTILL, WRITE, reader
from agentgym.tools.browser.roles import input_type
from agentgym.tools.browser.wild import WildBrowser

SETTLE = 500
"""Milliseconds that pass on the page's clock after an action: transitions of the usual libraries are over by then."""
_NOTHING = ("() => 0", None)
MAX_WAIT = 10_000
"""Milliseconds that ``noop`` waits at most."""


class ScriptedBrowser(WildBrowser):
    """See ``WildBrowser``. Every action is real input."""

    probe = "() => null"
    """JavaScript that is evaluated with every reading."""

    _due = 0.0
    """Milliseconds of the page's clock that pass before the next reading."""
    _first: tuple[str, Any] = _NOTHING
    _probed: Any = None

    async def _prepare(self, context: Any) -> None:
        await super()._prepare(context)
        await context.add_init_script(STANDSTILL)

    async def _fetch(self, tab: LiveTab) -> Any:
        if tab.fresh or tab.handle.url == BLANK:
            return None
        span, self._due = self._due, 0.0
        (script, argument), self._first = self._first, _NOTHING
        given = [argument, span, [MAX_NODES, MAX_DEPTH]]
        self._probed, found = await tab.handle.evaluate(reader(self.probe, script), given)
        return found

    def run_first(self, script: str, argument: Any, wait: float) -> None:
        """Has a script run right before the next reading, and time pass after it."""
        self._first = (script, argument)
        self._due += wait
        self._forget()

    @property
    def probed(self) -> Any:
        """What ``probe`` gives now."""
        self._look()
        return self._probed

    @property
    def handle(self) -> Any:
        """Playwright's page."""
        return self.tab.handle

    def perform(self, work: Coroutine[Any, Any, Any], wait: float = SETTLE) -> None:
        """Does something with the page, and lets the page's clock run on."""
        self._due += wait
        self.attempt(work)

    def call(self, script: str, argument: Any = None) -> Any:
        """Evaluates a script in the page."""
        return self._run(self.handle.evaluate(script, argument))

    def load_page(self, url: str) -> None:
        """Opens a page and waits until its scripts have begun."""
        self.open(url)
        self._run(self.handle.wait_for_load_state("load"))
        self._forget()

    def again(self, url: str) -> bool:
        """Begins another episode on the page that is shown; False where that is not ``url`` or has served enough."""
        if not self._young or not self._server.alive or len(self._tabs) != 1 or str(self.handle.url) != url:
            return False
        self._set_out()
        self._server.begin(self.deadline, self._until)
        self._count_episode()
        self._tabs = [LiveTab([url], handle=self.handle, url=url, fresh=False)]
        self._forget()
        return True

    # ------------------------------------------------------------------ actions on elements

    def _do_click(self, bid: str, button: str = "left", modifiers: list[Any] | None = None) -> None:
        self._mouse(self._enabled(bid)[0], button, modifiers, 1)

    def _do_dblclick(self, bid: str, button: str = "left", modifiers: list[Any] | None = None) -> None:
        self._mouse(self._enabled(bid)[0], button, modifiers, 2)

    def _mouse(self, element: Element, button: str, modifiers: list[Any] | None, count: int) -> None:
        if button not in ("left", "middle", "right"):
            raise Refused("not_actionable", "button must be left, middle or right.")
        keys = [str(key) for key in modifiers or ()]
        if any(key not in ("Alt", "Control", "ControlOrMeta", "Meta", "Shift") for key in keys):
            raise Refused("not_actionable", "modifiers are Alt, Control, ControlOrMeta, Meta and Shift.")

        async def click() -> None:
            handle = self.handle
            place = await handle.evaluate(AIM, element.index)
            if place is None:
                await handle.evaluate(CLICK, element.index)
                return
            for key in keys:
                await handle.keyboard.down(key)
            await handle.mouse.click(*place, button=button, click_count=count)
            for key in keys:
                await handle.keyboard.up(key)

        self.perform(click())

    def write(self, element: Element, value: str) -> None:
        """Types a value key by key, in place of what is there; pickers get it at once."""
        typed = element.tag == "textarea" or input_type(element) in (
            "text",
            "search",
            "password",
            "email",
            "tel",
            "url",
        )

        async def type_in() -> None:
            handle = self.handle
            if not typed:
                await handle.evaluate(WRITE, [element.index, value])
                return
            await handle.evaluate(SELECT, element.index)
            await handle.keyboard.press("Delete")
            await handle.keyboard.type(value)

        self.perform(type_in())

    def tick(self, element: Element, on: bool) -> None:
        """See ``Browser``."""
        self._mouse(element, "left", None, 1)

    def choose(self, element: Element, chosen: tuple[int, ...]) -> None:
        """See ``Browser``."""
        self.perform(self.handle.evaluate(CHOOSE, [element.index, list(chosen)]))

    def _do_press(self, bid: str, key_comb: str) -> None:
        element = self._enabled(bid)[0]

        async def press() -> None:
            await self.handle.evaluate(FOCUS, element.index)
            await self.handle.keyboard.press(key_comb)

        self._keys(press())

    def _keys(self, work: Coroutine[Any, Any, Any]) -> None:
        """Presses keys; one that Playwright doesn't know is the agent's mistake."""

        async def tolerant() -> str:
            try:
                await work
            except Exception as error:
                if "Unknown key" in str(error):
                    return "There is no such key."
                raise
            return ""

        problem = self.attempt(tolerant())
        if problem:
            raise Refused("not_actionable", problem)
        self.perform(self.handle.evaluate("() => 0"))

    def _do_hover(self, bid: str) -> None:
        element = self.target(bid)

        async def move() -> None:
            await self.handle.mouse.move(*await self.handle.evaluate(CENTER, element.index))

        self.perform(move())

    def _do_focus(self, bid: str) -> None:
        self.perform(self.handle.evaluate(FOCUS, self.target(bid).index))

    def _do_drag_and_drop(self, from_bid: str, to_bid: str) -> None:
        source, goal = self.target(from_bid).index, self.target(to_bid).index

        async def places() -> tuple[Any, Any]:
            return await self.handle.evaluate(CENTER, source), await self.handle.evaluate(CENTER, goal)

        found = self.attempt(places())
        if found is None:
            return
        (x, y), (to_x, to_y) = found
        self._do_mouse_drag_and_drop(x, y, to_x, to_y)

    # ------------------------------------------------------------------ mouse and keyboard

    def _do_mouse_move(self, x: float, y: float) -> None:
        self.perform(self.handle.mouse.move(x, y))

    def _do_mouse_down(self, x: float, y: float, button: str = "left") -> None:
        self._at(x, y, button, "down")

    def _do_mouse_up(self, x: float, y: float, button: str = "left") -> None:
        self._at(x, y, button, "up")

    def _at(self, x: float, y: float, button: str, what: str) -> None:
        if button not in ("left", "middle", "right"):
            raise Refused("not_actionable", "button must be left, middle or right.")

        async def move() -> None:
            await self.handle.mouse.move(x, y)
            await getattr(self.handle.mouse, what)(button=button)

        self.perform(move())

    def _do_mouse_click(self, x: float, y: float, button: str = "left") -> None:
        self._at(x, y, button, "down")
        self._at(x, y, button, "up")

    def _do_mouse_dblclick(self, x: float, y: float, button: str = "left") -> None:
        if button not in ("left", "middle", "right"):
            raise Refused("not_actionable", "button must be left, middle or right.")
        self.perform(self.handle.mouse.dblclick(x, y, button=button))

    def _do_mouse_drag_and_drop(self, from_x: float, from_y: float, to_x: float, to_y: float) -> None:
        async def drag() -> None:
            mouse = self.handle.mouse
            await mouse.move(from_x, from_y)
            await mouse.down()
            await mouse.move((from_x + to_x) / 2, (from_y + to_y) / 2)
            await mouse.move(to_x, to_y)
            await mouse.up()

        self.perform(drag())

    def _do_scroll_at(self, x: float, y: float, dx: float, dy: float) -> None:
        async def turn() -> None:
            await self.handle.mouse.move(x, y)
            await self.handle.mouse.wheel(dx, dy)

        self.perform(turn())

    def _do_keyboard_press(self, key: str) -> None:
        self._keys(self.handle.keyboard.press(key))

    def _do_keyboard_down(self, key: str) -> None:
        self._keys(self.handle.keyboard.down(key))

    def _do_keyboard_up(self, key: str) -> None:
        self._keys(self.handle.keyboard.up(key))

    def _do_keyboard_type(self, text: str) -> None:
        self.perform(self.handle.keyboard.type(text[:2_000]))

    def _do_keyboard_insert_text(self, text: str) -> None:
        self.perform(self.handle.keyboard.insert_text(text[:20_000]))

    def _do_noop(self, wait_ms: float = 1000.0) -> None:
        self.perform(self.handle.evaluate("() => 0"), min(max(float(wait_ms), 0.0), MAX_WAIT))

    def poke(self, element: Element, action: str, key: str = "") -> bool:
        """Writes into what is editable but no form control."""
        if action != "fill":
            return False
        self.perform(self.handle.evaluate(WRITE, [element.index, key]))
        return True
