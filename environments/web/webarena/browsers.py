"""Browsers on a deployment: the agent's, and the grader's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentgym.core.errors import Boundary, Fault
from agentgym.environments.web.webarena.deployment import Deployment
from agentgym.environments.web.webarena.dom import PageDom
from agentgym.environments.web.webarena.interpret import Failed as NotFound
from agentgym.environments.web.webarena.interpret import evaluate
from agentgym.environments.web.webarena.locator import Node
from agentgym.environments.web.webarena.tasks import beside
from agentgym.tools.browser.browser import BLANK, Failed, Page, Refused, Visit
from agentgym.tools.browser.chromium import _CLICK, LiveTab
from agentgym.tools.browser.dom import Element
from agentgym.tools.browser.scripted import ScriptedBrowser
from agentgym.tools.browser.text import TextBrowser
from agentgym.tools.browser.transport import Request, SiteError

QUIET = 0.25
"""Seconds without a request after which a page is taken to be ready."""
PATIENCE = 4.0
"""Seconds that a page which keeps asking is waited for."""
# What an action set off has begun once the page has drawn again.
_FRAME = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
_KEEP = """(origins) => {
  const own = origins.find((item) => item.origin === location.origin);
  for (const entry of (own && own.localStorage) || []) localStorage.setItem(entry.name, entry.value);
}"""


class SiteTextBrowser(TextBrowser):
    """Without scripts: pages of a deployment as their servers send them."""

    def begin(self, state: Mapping[str, Any], viewport: Mapping[str, int]) -> None:
        """Goes on with the cookies of a storage state."""
        for cookie in state["cookies"]:
            host = str(cookie.get("domain", "")).lstrip(".").lower()
            self.state.jar.kept[host, cookie["name"], cookie.get("path") or "/"] = cookie["value"]

    def cookies(self) -> list[dict[str, Any]]:
        """The cookies that it holds now, as Playwright writes them."""
        kept = self.state.jar.kept.items()
        return [{"name": n, "value": value, "domain": host, "path": path} for (host, n, path), value in kept]

    def press_on(self, element: Element) -> None:
        """Nothing listens here."""

    def close(self) -> None:
        """Nothing is held."""


class SiteChromium(ScriptedBrowser):
    """Chromium with scripts, in real time: after an action it waits until the page has stopped asking for things."""

    passed = ()

    def __init__(self, deployment: Deployment, *, deadline: float = 30.0) -> None:
        super().__init__(deployment, deployment.allow, scripts=True, deadline=deadline)
        self._asking = 0
        self._asked = 0.0

    def begin(self, state: Mapping[str, Any], viewport: Mapping[str, int]) -> None:
        """Goes back to one empty tab with a storage state, in a context of its own for every episode."""
        if self._context is not None:
            self._run(self._engine.give_back(self._context))
            self._context = None
        self.restart()
        self._run(self._log_in(state, viewport))

    async def _log_in(self, state: Mapping[str, Any], viewport: Mapping[str, int]) -> None:
        known = ("name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite", "url")
        cookies = [{key: cookie[key] for key in known if key in cookie} for cookie in state["cookies"]]
        if cookies:
            await self._context.add_cookies(cookies)
        if state["origins"]:
            await self._context.add_init_script(f"({_KEEP})({json.dumps(state['origins'])})")
        if viewport:
            size = {"width": 1280, "height": 720, **viewport}
            await self.handle.set_viewport_size({key: int(size[key]) for key in ("width", "height")})

    async def _prepare(self, context: Any) -> None:
        self._asking = 0
        context.on("request", self._begun)
        context.on("requestfinished", self._ended)
        context.on("requestfailed", self._ended)

    def _begun(self, request: Any) -> None:
        self._asking += 1
        self._asked = asyncio.get_running_loop().time()

    def _ended(self, request: Any) -> None:
        self._asking = max(self._asking - 1, 0)
        self._asked = asyncio.get_running_loop().time()

    def cookies(self) -> list[dict[str, Any]]:
        """The cookies that it holds now, as Playwright writes them."""
        found: list[dict[str, Any]] = self._run(self._context.cookies())
        return found

    # ------------------------------------------------------------------ doing and waiting

    def perform(self, work: Coroutine[Any, Any, Any], wait: float = 0.0) -> None:
        """Does something, waits until the page is ready, and follows where it led: another address, another tab."""
        self._run(self._whole(work))
        self._page = None
        self._arrived()

    async def _whole(self, work: Coroutine[Any, Any, Any]) -> None:
        self._server.begin()
        known = len(self._context.pages)
        try:
            await work
        except Exception as error:
            if "context was destroyed" not in str(error):  # it led to another page
                raise
        await self._ready()
        for handle in self._context.pages[known:]:
            self._tabs.append(LiveTab(handle=handle))
            self._active = len(self._tabs) - 1
            await self._ready()

    async def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        self._asked = loop.time()
        with contextlib.suppress(Exception):  # a page that never gets there is shown as it is
            await asyncio.wait_for(self.handle.evaluate(_FRAME), PATIENCE)
            await self.handle.wait_for_load_state("domcontentloaded", timeout=self.deadline * 1000)
        while loop.time() < until and (self._asking or loop.time() - self._asked < QUIET):
            await asyncio.sleep(0.03)

    def _arrived(self) -> None:
        """Puts a new address into the tab's history; raises what the way there led to."""
        tab, url = self.tab, str(self.handle.url)
        failure = self._server.journey.failure
        if urlsplit(url).scheme not in ("http", "about"):
            with contextlib.suppress(Refused):
                self.navigate(Visit("GET", tab.history[tab.place]))
            raise Failed("forbidden_url", "That leads out of the sites that can be reached.")
        if url not in (BLANK, tab.history[tab.place]):
            tab.history[tab.place + 1 :] = [url]
            tab.place, tab.top = len(tab.history) - 1, 0
            tab.status = self._server.journey.status if self._server.journey.pages else tab.status
        if failure is not None:
            raise Failed(failure.category, failure.message)

    def navigate(self, visit: Visit) -> str:
        """See ``Browser``."""
        super().navigate(visit)
        self._run(self._ready())
        self._page = None
        return str(self.handle.url)

    async def _read(self) -> Page:
        for attempt in range(4):
            try:
                return await super()._read()
            except Exception as error:
                if attempt == 3 or "context was destroyed" not in str(error):
                    raise
                await self._ready()
        raise AssertionError("the last attempt returns or raises")

    def press_on(self, element: Element) -> None:
        """Clicks an element for the page's scripts."""
        self.perform(self.handle.evaluate(_CLICK, element.index))

    def _do_noop(self, wait_ms: float = 1000.0) -> None:
        self.perform(asyncio.sleep(min(max(float(wait_ms), 0.0), 5_000) / 1000))


SiteBrowser = SiteTextBrowser | SiteChromium


class Visits:
    """See ``grade.Visitor``: opens pages in a browser of its own, which begins with the agent's cookies.

    Args:
        browser: The browser, empty; made when the first page is asked for.
        deployment: Where pictures come from.
        cookies: The agent's.
        folder: Folder of the task file, where reference pictures lie.
    """

    def __init__(
        self, browser: SiteBrowser, deployment: Deployment, cookies: Sequence[Mapping[str, Any]], folder: Path
    ) -> None:
        self._browser, self._deployment, self._folder = browser, deployment, folder
        self._cookies = list(cookies)
        self._begun = False

    def page(self, url: str, clicks: Sequence[Node] = ()) -> PageDom:
        """See ``grade.Visitor``. Raises Fault where the page doesn't come."""
        browser = self._browser
        if not self._begun:
            browser.begin({"cookies": self._cookies, "origins": []}, {})
            self._begun = True
        try:
            browser.open(url)
        except Refused as error:
            message = f"The grader can't open {url[:200]}: {error.message}"
            raise Fault(Boundary.GRADER, message, retryable=error.category in ("timeout", "closed")) from None
        for click in clicks:
            with contextlib.suppress(NotFound, Refused):
                found = evaluate(click, PageDom(browser.page))
                if isinstance(found, Element):
                    browser.press_on(found)
        return PageDom(browser.page)

    def file(self, url: str) -> bytes:
        """See ``grade.Visitor``. References elsewhere are looked for beside the tasks, by name."""
        if url.startswith("http") and not self._deployment.allow.problem(url):
            cookie = "; ".join(f"{item['name']}={item['value']}" for item in self._cookies if _fits(item, url))
            headers = (("cookie", cookie),) if cookie else ()
            try:
                answer = self._deployment(Request("GET", url, headers, document=False))
            except SiteError:
                return b""
            return answer.body if answer.status == 200 else b""
        path = beside(self._folder, urlsplit(url).path.lstrip("/"))
        return path.read_bytes() if path is not None else b""


def _fits(cookie: Mapping[str, Any], url: str) -> bool:
    return str(cookie.get("domain", "")).lstrip(".").lower() == (urlsplit(url).hostname or "")
