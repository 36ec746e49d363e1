"""The Chromium backend: a real browser, read by the same engine and checked by the same rules as the text backend."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from agentgym.core.errors import Boundary, Fault
from agentgym.tools.browser import engine, page_scripts
from agentgym.tools.browser.arrival import Arrival, read_error
from agentgym.tools.browser.backend import BLANK, DEADLINE, Failed, Page, Tab, Visit
from agentgym.tools.browser.browser import Browser
from agentgym.tools.browser.dom import MAX_DEPTH, MAX_NODES, from_live, parse_html
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.forms import Controls
from agentgym.tools.browser.lines import View, read
from agentgym.tools.browser.pages import NotShown
from agentgym.tools.browser.referrer import referer, referrer_policy
from agentgym.tools.browser.saved import Saved, cookie, values_of
from agentgym.tools.browser.server import PASSED, SiteServer
from agentgym.tools.browser.transport import Transport
from agentgym.tools.browser.urls import AllowList, without_fragment

RECYCLED = 40
"""Episodes after which an environment's context is replaced by a fresh one: contexts grow with every page."""

START = 120.0
"""Seconds that starting a browser may take, on a machine that is busy with other things."""

SITES_SHARE = 0.9
"""Part of an action's time after which a site is given up, so that the page still gets to say so."""

LOADED = 4.0
"""Seconds that the sheets of a page are waited for."""

_EMPTY_PAGE = parse_html("<html><body></body></html>")

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
    fresh: bool = True
    """Nothing was opened in it yet: it is empty, whatever the page behind it still shows of an earlier episode."""


class ChromiumBrowser(Browser):
    """See ``Browser``.

    Args:
        transport: Answers requests.
        allow: What may be opened.
        scripts: Whether pages run scripts.
        deadline: Seconds that one action may take.
        recycled: Episodes that share a context. With scripts, which may leave things behind, one unless said otherwise.
    """

    passed: tuple[str, ...] = PASSED
    """Headers of the browser that sites get; see ``SiteServer``."""

    def __init__(
        self,
        transport: Transport,
        allow: AllowList,
        *,
        scripts: bool = False,
        deadline: float = DEADLINE,
        recycled: int = 0,
    ) -> None:
        super().__init__(allow, deadline)
        self.scripts = scripts
        self._recycled = recycled or (1 if scripts else RECYCLED)
        self._reserve = 0.0
        """Seconds of an action that are kept for ending what a page's scripts do."""
        self._transport = transport
        self._engine = engine.shared()
        self._server = SiteServer(transport, allow, self.passed)
        self._lease: engine.Lease | None = None
        self._next: Future[engine.Lease] | None = None
        """The context that takes over when this one has had its episodes, made while it still works."""
        self._tabs: list[LiveTab] = []
        self._active = 0
        self._seen: Any = None
        """What was fetched of the current page, until something is done."""
        self._page: Page | None = None
        self._episodes = 0

    # ------------------------------------------------------------------ the browser behind it

    @property
    def _context(self) -> Any:
        """Playwright's context."""
        if self._lease is None:
            raise Fault(Boundary.TOOL, "The browser was lost; reset starts a new one.", retryable=True)
        return self._lease.context

    def _run(self, work: Coroutine[Any, Any, T], limit: float = 0.0) -> T:
        """Runs work on the engine's loop; a browser that died or hangs ends the episode as a fault of the tool."""
        try:
            return self._engine.run(work, limit or max(self.left, 2.0))
        except Failed:
            raise
        except Fault:
            self._drop()
            raise
        except Exception as error:
            self._drop()
            reason = str(error).split("\n")[0] or type(error).__name__
            raise Fault(Boundary.TOOL, f"Chromium failed: {reason}", retryable=True) from error

    def _drop(self) -> None:
        """Lets the context go; closing it is nothing to wait for."""
        if self._lease is not None:
            self._engine.begin(self._engine.give_back(self._lease))
            self._lease = None
        if self._next is not None:
            self._next.add_done_callback(self._unused)
            self._next = None

    def _unused(self, lent: Future[engine.Lease]) -> None:
        if not lent.cancelled() and lent.exception() is None:
            self._engine.begin(self._engine.give_back(lent.result()))

    def admit(self, allow: AllowList) -> None:
        """From now on, what may be opened."""
        self.allow = self._server.allow = allow

    def restart(self) -> None:
        """Goes back to one empty tab without cookies. Keeps the context while it is young."""
        self._forget()
        self._set_out()
        if not self._server.alive:
            self._drop()
            self._server = SiteServer(self._transport, self.allow, self.passed)
        self._server.primed.clear()
        self._server.kept.clear()
        if self._lease is not None and self._young:
            try:
                self._engine.run(self._wipe(self._lease), self.deadline)
            except Exception:
                self._drop()
        else:
            self._renew()
        if self._lease is None:
            self._take(self._run(self._lend(), START))
        self._count_episode()

    @property
    def _young(self) -> bool:
        """Whether the context serves for another episode."""
        return self._lease is not None and self._lease.sound and self._episodes < self._recycled

    def _count_episode(self) -> None:
        """Another one begins; before the last one the next context is made."""
        self._episodes += 1
        if self._next is None and self._episodes >= self._recycled:
            self._next = self._engine.begin(self._lend())

    async def _wipe(self, lease: engine.Lease) -> None:
        first = self._tabs[0]
        for page in lease.context.pages:
            if page is not first.handle:
                await page.close()
        await lease.context.clear_cookies()
        if self.scripts:
            await first.handle.goto(BLANK)
        else:
            await first.handle.evaluate("0")  # fails where the page has crashed, and another context is taken
        self._tabs, self._active = [LiveTab(handle=first.handle)], 0

    def _renew(self) -> None:
        """Takes the context that was made in the meantime, if there is one."""
        following, self._next = self._next, None
        self._drop()
        if following is not None:
            with contextlib.suppress(Exception):  # then a new one is made and says what is wrong
                lease = following.result(START)
                if lease.sound:
                    self._take(lease)
                else:
                    self._engine.begin(self._engine.give_back(lease))

    def _take(self, lease: engine.Lease) -> None:
        self._lease, self._episodes = lease, 0
        self._tabs, self._active = [LiveTab(handle=lease.page)], 0

    async def _lend(self) -> engine.Lease:
        return await self._engine.lend(self._server.address, scripts=self.scripts, prepare=self._prepare)

    async def _prepare(self, context: Any) -> None:
        """What a fresh context needs before its first page."""

    def close(self) -> None:
        """Gives the context back and stops the server."""
        lease, self._lease = self._lease, None
        self._drop()
        if lease is not None:
            with contextlib.suppress(TimeoutError):
                self._engine.run(self._engine.give_back(lease), 15)
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
            self._look()
            self._page = self._made(self._seen)
        return self._page

    def _look(self) -> None:
        """Fetches the page, unless that was done; its making can wait."""
        if self._page is None and self._seen is None:
            self._seen = self._run(self._fetch(self.tab))

    def _forget(self) -> None:
        """The page may have changed."""
        self._page = self._seen = None

    async def _fetch(self, tab: LiveTab) -> Any:
        """What the page's reader says: JSON of address and nodes; None for an empty tab."""
        if tab.fresh or tab.handle.url == BLANK:
            return None
        return await tab.handle.evaluate(page_scripts.LIVE, [MAX_NODES, MAX_DEPTH])

    def _made(self, text: str | None) -> Page:
        """A page of what was fetched. Not on the loop, which others use too."""
        tab = self.tab
        if text is None:
            document, url = _EMPTY_PAGE, BLANK
        else:
            found = json.loads(text)
            document, url = from_live(found["nodes"], cut=found["cut"]), found["url"]
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
        data: bytes = self._run(self._picture(), self.deadline)
        return data

    async def _picture(self) -> Any:
        if self.tab.fresh:
            await self.tab.handle.goto(BLANK)
        return await self.tab.handle.screenshot()

    # ------------------------------------------------------------------ going places

    def navigate(self, visit: Visit) -> str:
        """See ``Browser``."""
        url = self._run(self._navigate(visit), max(self.left, 0.0) + 6.0)
        self._forget()
        return url

    async def _navigate(self, visit: Visit) -> str:
        opener = self.tab
        # A form that opens a tab has to be sent by its page; everything else a new tab asks for itself.
        opened = LiveTab(handle=await self._context.new_page()) if visit.new_tab and visit.method == "GET" else None
        handle = opened.handle if opened is not None else opener.handle
        arrival = Arrival(handle, self._context if visit.new_tab and opened is None else None)
        until = self._until - max((1 - SITES_SHARE) * self.deadline, 1.5 * self._reserve)
        journey = self._server.begin(self.deadline, until, arrival.fail)
        problem: Exception | None
        try:
            await self._set_off(visit, opener, handle, arrival)
            shown = await arrival.wait(max(self.left - self._reserve, 0.05))
            problem = None if shown is not None else journey.fault or journey.failure
            if problem is None and shown is None:
                raise Fault(Boundary.TOOL, "Chromium can't reach the site server.", retryable=True)
        except TimeoutError:
            await self._halt(handle)
            shown, problem = None, Failed("timeout", f"The page did not come within {self.deadline:g} seconds.")
        finally:
            arrival.close()
        if problem is not None:
            for page in (arrival.popup, opened.handle if opened is not None else None):
                if page is not None:
                    await page.close()
            raise Failed(problem.category, problem.message) if isinstance(problem, NotShown) else problem
        if visit.new_tab:
            self._tabs.append(opened or LiveTab(handle=shown))
            self._active = len(self._tabs) - 1
        self.tab.status, self.tab.fresh = journey.status, False
        await self._dressed(self.tab.handle)
        return str(self.tab.handle.url)

    async def _dressed(self, handle: Any) -> None:
        """Waits for the sheets of a page, which decide what it shows: it is there before they are."""
        if self._server.journey.styled:
            with contextlib.suppress(Exception):  # sheets that don't come are left out
                await handle.wait_for_load_state("load", timeout=1000 * max(min(self.left, LOADED), 0.05))

    async def _set_off(self, visit: Visit, opener: LiveTab, handle: Any, arrival: Arrival) -> None:
        if visit.cause is not None and handle is opener.handle:
            target = "_blank" if visit.new_tab else "_self"
            button = visit.submitter.index if visit.submitter is not None else None
            await handle.evaluate(page_scripts.GO, [visit.cause.index, button, target])
            return
        if without_fragment(handle.url) == without_fragment(visit.url) and "#" in visit.url:
            await handle.goto(BLANK)  # Chromium would only scroll
        named: str | None = None
        if visit.cause is not None and self._page is not None:
            policy = referrer_policy(self._page.document, visit.cause)
            named = referer(policy, without_fragment(opener.url), visit.url) or None
        arrival.follow(asyncio.ensure_future(handle.goto(visit.url, wait_until="commit", referer=named)))

    async def _halt(self, handle: Any) -> None:
        """Stops a page that doesn't come; one that doesn't even stop leaves an empty tab."""
        try:
            await asyncio.wait_for(self._stop(handle), 1.5)
        except Exception:
            if handle is self.tab.handle:
                self.tab.handle, self.tab.fresh = await self._context.new_page(), True
            asyncio.ensure_future(handle.close()).add_done_callback(read_error)

    @staticmethod
    async def _stop(handle: Any) -> None:
        session = await handle.context.new_cdp_session(handle)
        await session.send("Page.stopLoading")
        await session.detach()

    # ------------------------------------------------------------------ controls

    def _apply(self, script: str, argument: Any) -> None:
        self._run(self.tab.handle.evaluate(script, argument))
        self._forget()

    def write(self, element: Element, value: str) -> None:
        """See ``Browser``."""
        self._apply(page_scripts.WRITE, [element.index, value])

    def tick(self, element: Element, on: bool) -> None:
        """See ``Browser``."""
        if self.page.controls.checked(element) != on:
            self._apply(page_scripts.CLICK, element.index)

    def choose(self, element: Element, chosen: tuple[int, ...]) -> None:
        """See ``Browser``."""
        self._apply(page_scripts.CHOOSE, [element.index, list(chosen)])

    def toggle(self, details: Element) -> None:
        """See ``Browser``."""
        self._apply(page_scripts.TOGGLE, details.index)

    def reset_form(self, form: Element) -> None:
        """See ``Browser``."""
        self._apply(page_scripts.RESET, form.index)

    def poke(self, element: Element, action: str, key: str = "") -> bool:
        """See ``Browser``."""
        return False

    # ------------------------------------------------------------------ tabs

    def show_tab(self, index: int) -> None:
        """See ``Browser``."""
        self._active = index
        self._forget()

    def add_tab(self) -> None:
        """See ``Browser``."""
        self._tabs.append(LiveTab(handle=self._run(self._context.new_page())))
        self._active = len(self._tabs) - 1
        self._forget()

    def drop_tab(self) -> None:
        """See ``Browser``."""
        if len(self._tabs) == 1:
            self._run(self._tabs[0].handle.goto(BLANK))
            self._tabs[0] = LiveTab(handle=self._tabs[0].handle)
        else:
            self._run(self._tabs.pop(self._active).handle.close())
            self._active = max(self._active - 1, 0)
        self._forget()

    # ------------------------------------------------------------------ snapshots

    def save(self) -> Saved:
        """Tabs with the pages as they came, what was typed into them, and cookies.

        Lost are scroll positions, focus and what scripts did.
        """
        tabs = []
        for tab in self._tabs:
            kept = self._server.kept.get(without_fragment(tab.url))
            text = self._run(self._fetch(tab))
            values = values_of(from_live(json.loads(text)["nodes"])) if text is not None else []
            tabs.append(
                {"history": list(tab.history), "place": tab.place, "top": tab.top, "url": tab.url, "kept": kept,
                 "values": values, "status": tab.status, "title": tab.title, "lines": tab.lines}
            )  # fmt: skip
        return Saved(tabs, self._active, self._run(self._context.cookies()))

    def load(self, saved: Saved) -> None:
        """Goes back to ``save``; after ``restart``, with the sites restored."""
        self._set_out()
        self._server.begin(self.deadline, self._until)
        self._run(self._load(saved))
        self._forget()

    async def _load(self, saved: Saved) -> None:
        await self._context.add_cookies([cookie(item) for item in saved.cookies])
        tabs: list[LiveTab] = []
        for number, item in enumerate(saved.tabs):
            handle = self._tabs[0].handle if number == 0 else await self._context.new_page()
            if item["url"] != BLANK:
                if item["kept"] is not None:
                    self._server.primed[without_fragment(item["url"])] = tuple(item["kept"])
                await handle.goto(item["url"], wait_until="domcontentloaded")
                await self._dressed(handle)
            if item["values"]:
                await handle.evaluate(page_scripts.LIVE, [MAX_NODES, MAX_DEPTH])
                await handle.evaluate(page_scripts.REFILL, item["values"])
            tabs.append(
                LiveTab(list(item["history"]), item["place"], item["top"], handle, item["status"], item["title"],
                        tuple(item["lines"]), item["url"], item["url"] == BLANK)
            )  # fmt: skip
        await self._context.clear_cookies()
        await self._context.add_cookies([cookie(item) for item in saved.cookies])
        self._tabs, self._active = tabs, saved.active
