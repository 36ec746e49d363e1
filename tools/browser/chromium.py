"""The Chromium backend: a real browser, read by the same engine and checked by the same rules as the text backend."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, TypeVar
from urllib.parse import urlsplit

from agentgym.core.errors import Boundary, Fault
from agentgym.tools.browser import engine
from agentgym.tools.browser.browser import BLANK, Browser, Failed, Page, Tab, Visit
from agentgym.tools.browser.dom import MAX_DEPTH, MAX_NODES, Document, Element, from_live, parse_html
from agentgym.tools.browser.forms import Controls
from agentgym.tools.browser.lines import View, read
from agentgym.tools.browser.server import PASSED, SiteServer
from agentgym.tools.browser.transport import Transport
from agentgym.tools.browser.urls import AllowList, without_fragment

RECYCLED = 60
"""Episodes after which an environment's context is replaced by a fresh one: contexts grow with every page."""

START = 120.0
"""Seconds that starting a browser may take, on a machine that is busy with other things."""

_LIVE = resources.files("agentgym.tools.browser").joinpath("live.js").read_text(encoding="utf-8")
_EMPTY_PAGE = parse_html("<html><body></body></html>")
# Where a click lands: the middle of the first box; None where there is none or something else lies over it.
_AIM = """(i) => {
  const element = window.__agentgym[i];
  element.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
  const box = element.getClientRects()[0];
  if (!box || !box.width || !box.height) return null;
  const x = box.x + box.width / 2, y = box.y + box.height / 2;
  const hit = document.elementFromPoint(x, y);
  return hit && (element.contains(hit) || hit.contains(element)) ? [x, y] : null;
}"""
_CLICK = "(i) => { window.__agentgym[i].click(); }"
_FOCUS = "(i) => { window.__agentgym[i].focus(); }"
_WRITE = """([i, value]) => {
  const element = window.__agentgym[i];
  element.focus();
  if (element.isContentEditable) element.textContent = value; else element.value = value;
  element.dispatchEvent(new Event("input", {bubbles: true}));
  element.dispatchEvent(new Event("change", {bubbles: true}));
}"""
_CHOOSE = """([i, chosen]) => {
  const element = window.__agentgym[i];
  [...element.options].forEach((option, number) => { option.selected = chosen.includes(number); });
  element.dispatchEvent(new Event("input", {bubbles: true}));
  element.dispatchEvent(new Event("change", {bubbles: true}));
}"""
_TOGGLE = "(i) => { const element = window.__agentgym[i]; element.open = !element.open; }"
_RESET = "(i) => { window.__agentgym[i].reset(); }"

T = TypeVar("T")


@dataclass
class LiveTab(Tab):
    """A tab with Playwright's page."""

    handle: Any = None
    status: int = 200
    title: str = ""
    lines: tuple[str, ...] = ()
    """What the tab showed when it was read last."""
    url: str = BLANK


@dataclass
class Saved:
    """What a snapshot holds of a Chromium browser."""

    tabs: list[dict[str, Any]] = field(default_factory=list)
    active: int = 0
    cookies: list[dict[str, Any]] = field(default_factory=list)


class ChromiumBrowser(Browser):
    """See ``Browser``.

    Args:
        transport: Answers requests.
        allow: What may be opened.
        scripts: Whether pages run scripts.
        deadline: Seconds that one action may take.
    """

    passed: tuple[str, ...] = PASSED
    """Headers of the browser that sites get; see ``SiteServer``."""

    def __init__(
        self, transport: Transport, allow: AllowList, *, scripts: bool = False, deadline: float = 15.0
    ) -> None:
        super().__init__(allow)
        self.scripts = scripts
        self.deadline = deadline
        self._engine = engine.shared()
        self._server = SiteServer(transport, allow, self.passed)
        self._context: Any = None
        self._tabs: list[LiveTab] = []
        self._active = 0
        self._page: Page | None = None
        self._episodes = 0
        self._going: asyncio.Future[Any] | None = None
        """A navigation under way: the loop keeps no reference of its own."""

    # ------------------------------------------------------------------ the browser behind it

    def _run(self, work: Coroutine[Any, Any, T], limit: float = 0.0) -> T:
        """Runs work on the engine's loop; a browser that died or hangs ends the episode as a fault of the tool."""
        try:
            return self._engine.run(work, limit or self.deadline + 5)
        except Failed:
            raise
        except Fault:
            self._context = None
            raise
        except Exception as error:
            self._context = None
            reason = str(error).split("\n")[0] or type(error).__name__
            raise Fault(Boundary.TOOL, f"Chromium failed: {reason}", retryable=True) from error

    def restart(self) -> None:
        """Goes back to one empty tab without cookies. Keeps the context while it is young."""
        self._page = None
        self._episodes += 1
        self._server.primed.clear()
        self._server.kept.clear()
        if self._context is not None and self._episodes % RECYCLED:
            try:
                self._engine.run(self._wipe(), self.deadline)
                return
            except Exception:
                self._context = None
        self._run(self._renew(), START)

    async def _wipe(self) -> None:
        first, *others = self._tabs
        for tab in others:
            await tab.handle.close()
        await self._context.clear_cookies()
        await first.handle.goto(BLANK)
        self._tabs, self._active = [LiveTab(handle=first.handle)], 0

    async def _renew(self) -> None:
        if self._context is not None:
            await self._engine.give_back(self._context)
        self._context = await self._engine.lend(self._server.address, scripts=self.scripts)
        self._context.set_default_timeout(self.deadline * 1000)
        await self._prepare(self._context)
        self._tabs, self._active = [LiveTab(handle=await self._context.new_page())], 0

    async def _prepare(self, context: Any) -> None:
        """What a fresh context needs before its first page."""

    def close(self) -> None:
        """Gives the context back and stops the server."""
        if self._context is not None:
            context, self._context = self._context, None
            with contextlib.suppress(TimeoutError):
                self._engine.run(self._engine.give_back(context), 15)
        self._server.close()

    # ------------------------------------------------------------------ reading

    @property
    def tabs(self) -> list[Tab]:
        """See ``Browser``."""
        return list(self._tabs)

    @property
    def active(self) -> int:
        """See ``Browser``."""
        return self._active

    @property
    def tab(self) -> LiveTab:
        """The current tab."""
        return self._tabs[self._active]

    @property
    def page(self) -> Page:
        """See ``Browser``."""
        if self._page is None:
            self._page = self._run(self._read())
        return self._page

    async def _read(self) -> Page:
        tab = self.tab
        if tab.handle.url == BLANK:
            document, url = _EMPTY_PAGE, BLANK
        else:
            found = json.loads(await tab.handle.evaluate(_LIVE, [MAX_NODES, MAX_DEPTH]))
            document, url = from_live(found["nodes"], cut=found["cut"]), found["url"]
        return self._taken(tab, document, url)

    def _taken(self, tab: LiveTab, document: Document, url: str) -> Page:
        view: View = read(document, Controls())
        tab.title, tab.lines, tab.url = document.title, view.lines, url
        return Page(url, tab.status, document, Controls(), view)

    def titles(self) -> list[str]:
        """See ``Browser``."""
        self.page  # noqa: B018 - reads the current tab
        return [tab.title for tab in self._tabs]

    def shown(self) -> tuple[object, ...]:
        """See ``Browser``."""
        self.page  # noqa: B018 - reads the current tab
        return self.active, tuple((tab.url, tab.lines, tab.top) for tab in self._tabs)

    def screenshot(self) -> bytes:
        """The current tab as a PNG."""
        data: bytes = self._run(self.tab.handle.screenshot())
        return data

    # ------------------------------------------------------------------ going places

    def navigate(self, visit: Visit) -> str:
        """See ``Browser``."""
        url = self._run(self._navigate(visit))
        self._page = None
        return url

    async def _navigate(self, visit: Visit) -> str:
        self._server.begin()
        opener = self.tab
        fresh: LiveTab | None = None
        if visit.new_tab and visit.how == "address":
            fresh = LiveTab(handle=await self._context.new_page())
        handle = fresh.handle if fresh is not None else opener.handle
        arrival = _Arrival(self._context if visit.new_tab and fresh is None else None, handle)
        try:
            await self._set_off(visit, handle, arrival)
            shown = await arrival.wait(self.deadline)
        except TimeoutError:
            await self._halt(handle, fresh)
            raise Failed("timeout", f"The page did not come within {self.deadline:g} seconds.") from None
        finally:
            arrival.close()
        failure = self._server.journey.failure
        if failure is not None:
            popup = arrival.popup or (fresh.handle if fresh is not None else None)
            if popup is not None:
                await popup.close()
            raise Failed(failure.category, failure.message)
        if visit.new_tab:
            self._tabs.append(fresh or LiveTab(handle=shown))
            self._active = len(self._tabs) - 1
        self.tab.status = self._server.journey.status
        return str(self.tab.handle.url)

    @staticmethod
    async def _halt(handle: Any, fresh: LiveTab | None) -> None:
        """Stops a page that doesn't come."""
        if fresh is not None:
            await handle.close()
            return
        session = await handle.context.new_cdp_session(handle)
        await session.send("Page.stopLoading")
        await session.detach()

    async def _set_off(self, visit: Visit, handle: Any, arrival: _Arrival) -> None:
        if visit.cause is None or visit.how == "address":
            same = without_fragment(handle.url) == without_fragment(visit.url) and "#" in visit.url
            if same:  # Chromium would only scroll
                await handle.goto(BLANK)
            going = self._going = asyncio.ensure_future(handle.goto(visit.url, wait_until="commit"))
            going.add_done_callback(arrival.gone)
        elif visit.how == "enter":
            await handle.evaluate(_FOCUS, visit.cause.index)
            await handle.keyboard.press("Enter")
        else:
            await self._click(handle, visit.cause)

    @staticmethod
    async def _click(handle: Any, element: Element) -> None:
        place = await handle.evaluate(_AIM, element.index)
        if place is None:
            await handle.evaluate(_CLICK, element.index)
        else:
            await handle.mouse.click(*place)

    # ------------------------------------------------------------------ controls

    def _apply(self, script: str, argument: Any) -> None:
        self._run(self.tab.handle.evaluate(script, argument))
        self._page = None

    def write(self, element: Element, value: str) -> None:
        """See ``Browser``."""
        self._apply(_WRITE, [element.index, value])

    def tick(self, element: Element, on: bool) -> None:
        """See ``Browser``."""
        if self.page.controls.checked(element) != on:
            self._apply(_CLICK, element.index)

    def choose(self, element: Element, chosen: tuple[int, ...]) -> None:
        """See ``Browser``."""
        self._apply(_CHOOSE, [element.index, list(chosen)])

    def toggle(self, details: Element) -> None:
        """See ``Browser``."""
        self._apply(_TOGGLE, details.index)

    def reset_form(self, form: Element) -> None:
        """See ``Browser``."""
        self._apply(_RESET, form.index)

    def poke(self, element: Element, action: str, key: str = "") -> bool:
        """See ``Browser``."""
        return False

    # ------------------------------------------------------------------ tabs

    def show_tab(self, index: int) -> None:
        """See ``Browser``."""
        self._active = index
        self._page = None

    def add_tab(self) -> None:
        """See ``Browser``."""
        self._tabs.append(LiveTab(handle=self._run(self._context.new_page())))
        self._active = len(self._tabs) - 1
        self._page = None

    def drop_tab(self) -> None:
        """See ``Browser``."""
        if len(self._tabs) == 1:
            self._run(self._tabs[0].handle.goto(BLANK))
            self._tabs[0] = LiveTab(handle=self._tabs[0].handle)
        else:
            self._run(self._tabs.pop(self._active).handle.close())
            self._active = max(self._active - 1, 0)
        self._page = None

    # ------------------------------------------------------------------ snapshots

    def save(self) -> Saved:
        """Tabs with the pages as they came, what was typed into the current one, and cookies.

        Lost are scroll positions, focus and what scripts did; of tabs in the background also what was typed.
        """
        tabs = []
        for number, tab in enumerate(self._tabs):
            kept = self._server.kept.get(without_fragment(tab.url))
            values = self._values() if number == self._active else []
            tabs.append(
                {"history": list(tab.history), "place": tab.place, "top": tab.top, "url": tab.url, "kept": kept,
                 "values": values, "status": tab.status, "title": tab.title, "lines": tab.lines}
            )  # fmt: skip
        return Saved(tabs, self._active, self._run(self._context.cookies()))

    def _values(self) -> list[tuple[int, str, Any]]:
        """What differs from an untouched page isn't known here, so every control's state is kept."""
        page = self.page
        found: list[tuple[int, str, Any]] = []
        for element in page.document.elements:
            if element.tag == "details":
                found.append((element.index, "details", "open" in element.attrs))
            elif element.tag == "select":
                found.append((element.index, "select", page.controls.selected(element)))
            elif element.tag == "input" and element.attrs.get("type", "").lower() in ("checkbox", "radio"):
                found.append((element.index, "tick", page.controls.checked(element)))
            elif element.tag == "textarea" or (element.tag == "input" and element.display != "none"):
                found.append((element.index, "text", page.controls.text(element)))
        return found

    def load(self, saved: Saved) -> None:
        """Goes back to ``save``; after ``restart``, with the sites restored."""
        self._run(self._load(saved))
        self._page = None

    async def _load(self, saved: Saved) -> None:
        await self._context.add_cookies([_cookie(item) for item in saved.cookies])
        tabs: list[LiveTab] = []
        for number, item in enumerate(saved.tabs):
            handle = self._tabs[0].handle if number == 0 else await self._context.new_page()
            if item["url"] != BLANK:
                if item["kept"] is not None:
                    self._server.primed[without_fragment(item["url"])] = tuple(item["kept"])
                await handle.goto(item["url"], wait_until="domcontentloaded")
            if item["values"]:
                await handle.evaluate(_LIVE, [MAX_NODES, MAX_DEPTH])
                await handle.evaluate(_REFILL, item["values"])
            tabs.append(
                LiveTab(list(item["history"]), item["place"], item["top"], handle, item["status"], item["title"],
                        tuple(item["lines"]), item["url"])
            )  # fmt: skip
        await self._context.clear_cookies()
        await self._context.add_cookies([_cookie(item) for item in saved.cookies])
        self._tabs, self._active = tabs, saved.active


_REFILL = """(values) => {
  for (const [i, kind, value] of values) {
    const element = window.__agentgym[i];
    if (!element) continue;
    if (kind === "details") element.open = value;
    else if (kind === "select") [...element.options].forEach((o, n) => { o.selected = value.includes(n); });
    else if (kind === "tick") element.checked = value;
    else if (element.type !== "file" && element.type !== "hidden") element.value = value;
  }
}"""


def _cookie(item: dict[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in ("name", "value", "domain", "path", "httpOnly", "sameSite") if key in item}


class _Arrival:
    """Waits until a page has come, or until it is known that none will."""

    def __init__(self, context: Any, handle: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._context, self._handle = context, handle
        self._done: asyncio.Future[Any] = self._loop.create_future()
        self.popup: Any = None
        if context is not None:
            context.on("page", self._opened)
        else:
            handle.on("domcontentloaded", self._came)
        self._target = context if context is not None else handle
        self._target.on("response", self._answered)
        self._target.on("requestfailed", self._failed)
        handle.on("crash", self._crashed)
        handle.on("close", self._crashed)

    def _opened(self, page: Any) -> None:
        self.popup = page
        page.on("domcontentloaded", self._came)

    def _came(self, page: Any) -> None:
        if urlsplit(page.url).scheme == "http" and not self._done.done():
            self._done.set_result(page)

    def _answered(self, response: Any) -> None:
        if response.status == 204 and not self._done.done():
            self._done.set_result(None)

    def _failed(self, request: Any) -> None:
        if request.is_navigation_request() and "ERR_ABORTED" not in str(request.failure) and not self._done.done():
            self._done.set_result(None)

    def _crashed(self, page: Any) -> None:
        if not self._done.done():
            self._done.set_exception(RuntimeError("the page crashed or was closed"))

    def gone(self, going: asyncio.Future[Any]) -> None:
        """Takes how a typed address went; that it was aborted is seen elsewhere."""
        error = None if going.cancelled() else going.exception()
        if error is not None and "ERR_ABORTED" not in str(error) and not self._done.done():
            self._done.set_exception(error)

    async def wait(self, deadline: float) -> Any:
        return await asyncio.wait_for(self._done, deadline)

    def close(self) -> None:
        if self._context is not None:
            self._context.remove_listener("page", self._opened)
        else:
            self._handle.remove_listener("domcontentloaded", self._came)
        self._target.remove_listener("response", self._answered)
        self._target.remove_listener("requestfailed", self._failed)
        self._handle.remove_listener("crash", self._crashed)
        self._handle.remove_listener("close", self._crashed)
