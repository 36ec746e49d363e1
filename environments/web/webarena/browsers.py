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
from agentgym.tools.browser.backend import Refused
from agentgym.tools.browser.cookies import Cookie
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.page_scripts import CLICK
from agentgym.tools.browser.scripted import ScriptedBrowser
from agentgym.tools.browser.text import TextBrowser
from agentgym.tools.browser.transport import Request, SiteError
from agentgym.tools.browser.wild import WildBrowser

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
            domain, same_site = str(cookie.get("domain", "")).lower(), str(cookie.get("sameSite", "")).lower()
            kept = Cookie(str(cookie["value"]), domain.startswith("."), same_site)
            self.state.jar.kept[domain.lstrip("."), cookie["name"], cookie.get("path") or "/"] = kept

    def cookies(self) -> list[dict[str, Any]]:
        """The cookies that it holds now, as Playwright writes them."""
        kept = self.state.jar.kept.items()
        return [
            {"name": name, "value": item.value, "domain": "." * item.shared + host, "path": path}
            for (host, name, path), item in kept
        ]

    def press_on(self, element: Element) -> None:
        """Nothing listens here."""

    def close(self) -> None:
        """Nothing is held."""


class SiteChromium(ScriptedBrowser):
    """Chromium with scripts, in real time: after an action it waits until the page has stopped asking for things."""

    passed = ()
    patience = 4.0

    def __init__(self, deployment: Deployment, *, deadline: float = 30.0) -> None:
        super().__init__(deployment, deployment.allow, deadline=deadline)

    def begin(self, state: Mapping[str, Any], viewport: Mapping[str, int]) -> None:
        """Goes back to one empty tab with a storage state, in a context of its own for every episode."""
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
        await WildBrowser._prepare(self, context)  # time doesn't stand still on these pages

    def cookies(self) -> list[dict[str, Any]]:
        """The cookies that it holds now, as Playwright writes them."""
        found: list[dict[str, Any]] = self._run(self._context.cookies())
        return found

    # ------------------------------------------------------------------ doing and waiting

    def perform(self, work: Coroutine[Any, Any, Any], wait: float = 0.0) -> None:
        """Does something with the page, whose clock is the world's."""
        self.attempt(work)

    async def _rest(self) -> None:
        with contextlib.suppress(Exception):  # a page that never gets there is shown as it is
            await asyncio.wait_for(self.handle.evaluate(_FRAME), self.patience)
        await super()._rest()

    def press_on(self, element: Element) -> None:
        """Clicks an element for the page's scripts."""
        self.perform(self.handle.evaluate(CLICK, element.index))

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
