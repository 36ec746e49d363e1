"""Chromium on pages that run scripts: they lead elsewhere, open tabs, ask, close themselves, hang and crash.

None of it reaches the agent as more than an observation: what happened stands before the page, with its category.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from agentgym.core.actions import clip
from agentgym.core.errors import Boundary, Fault
from agentgym.tools.browser.arrival import read_error
from agentgym.tools.browser.backend import BLANK, DEADLINE, Done, Failed
from agentgym.tools.browser.browser import MAX_TABS
from agentgym.tools.browser.chromium import ChromiumBrowser, LiveTab
from agentgym.tools.browser.lines import quoted
from agentgym.tools.browser.pages import MAX_HOPS
from agentgym.tools.browser.transport import Transport
from agentgym.tools.browser.urls import AllowList

MAX_NOTES = 6
"""Things that happened during one action and are told."""

_LOST = "The page crashed or hung, and its tab is empty now."

T = TypeVar("T")


class WildBrowser(ChromiumBrowser):
    """See ``ChromiumBrowser``.

    Args:
        transport: Answers requests.
        allow: What may be opened.
        scripts: Whether pages run scripts.
        deadline: Seconds that one action may take.
        recycled: Episodes that share a context; 0 for one.
        stays: Actions are known not to lead to other pages, so none is waited for.
    """

    quiet = 0.25
    """Seconds without a request after which a page is taken to stay."""
    patience = 60.0
    """Seconds that a page which keeps asking is waited for, within the action's deadline."""

    def __init__(
        self,
        transport: Transport,
        allow: AllowList,
        *,
        scripts: bool = True,
        deadline: float = DEADLINE,
        recycled: int = 0,
        stays: bool = False,
    ) -> None:
        super().__init__(transport, allow, scripts=scripts, deadline=deadline, recycled=recycled)
        self._stays = stays
        self._reserve = 0.2 * deadline
        self._sessions: dict[Any, Any] = {}
        """A way into each page that still works while its scripts run: it can't be made then."""
        self._left_behind: set[Any] = set()
        """Lost pages that are being closed."""
        self._notes: list[tuple[str, str]] = []
        """Category (or nothing) and text of what happened besides what the agent meant to do."""

    async def _prepare(self, context: Any) -> None:
        context.on("dialog", self._asked)
        context.on("page", self._listen)

    async def _attach(self, page: Any) -> None:
        with contextlib.suppress(Exception):  # a page that has gone already
            self._sessions[page] = await page.context.new_cdp_session(page)

    def _closed(self, page: Any) -> None:
        self._sessions.pop(page, None)
        self._left_behind.discard(page)

    def _listen(self, page: Any) -> None:
        asyncio.ensure_future(self._attach(page)).add_done_callback(read_error)
        page.on("close", self._closed)
        page.on("download", lambda _: self._note("unsupported", "That is a file to download, which is left there."))

    def _asked(self, dialog: Any) -> None:
        """Takes what a dialog offers: nobody could answer it later."""
        text = f" {quoted(clip(dialog.message, 200))}" if dialog.message else ""
        self._note("", f"Dialog ({dialog.type}):{text} was accepted.")
        asyncio.ensure_future(dialog.accept()).add_done_callback(read_error)

    def _note(self, category: str, text: str) -> None:
        if len(self._notes) < MAX_NOTES and (category, text) not in self._notes:
            self._notes.append((category, text))

    # ------------------------------------------------------------------ acting

    def do(self, name: str, arguments: Mapping[str, Any]) -> Done:
        """See ``Browser``. What happened besides is told with it."""
        self._notes.clear()
        self._set_out()
        self._server.begin(self.deadline, self._until - 1.5 * self._reserve)
        done = super().do(name, arguments)
        self._look()  # what the page does shows then
        notes = [text for _, text in self._notes]
        category = next((kind for kind, _ in self._notes if kind), "")
        if not notes:
            return done
        return Done(
            " ".join([*([done.notice] if done.notice else []), *notes]), done.category or category, done.executable
        )

    def attempt(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Does something with the page; None where the page went elsewhere meanwhile.

        Raises:
            Failed: The page did not let it be done in time.
            Fault: The browser is lost.
        """
        try:
            return self._engine.run(work, max(self.left - self._reserve, 0.5))
        except TimeoutError:
            self._stop_scripts()
            raise Failed("timeout", self._too_long()) from None
        except Fault:
            self._drop()
            raise
        except Exception as error:
            if not self._moved(error):
                self._check(error)
            return None
        finally:
            self._forget()

    def _too_long(self) -> str:
        return f"The page took longer than {self.deadline:g} seconds; its scripts were stopped."

    @staticmethod
    def _moved(error: Exception) -> bool:
        """Whether it failed because another page came in between."""
        text = str(error)
        return "context was destroyed" in text or "because of a navigation" in text or "frame was detached" in text

    # ------------------------------------------------------------------ reading

    def _look(self) -> None:
        """Fetches the page, unless that was done; its making can wait."""
        if self._page is not None or self._seen is not None:
            return
        for _ in range(4):
            try:
                self._seen = self._engine.run(self._calm(), max(self.left, 2.0))
                return
            except TimeoutError:
                self._stop_scripts()
                self._note("timeout", self._too_long())
            except Fault:
                self._drop()
                raise
            except Exception as error:
                self._mend(error)
        self._drop()
        raise Fault(Boundary.TOOL, "The page can't be read.", retryable=True)

    async def _calm(self) -> Any:
        """Fetches the page once it stays, from wherever things led."""
        if not self._stays:
            await self._rest()
        for _ in range(2 * MAX_HOPS):
            await self._sort_tabs()
            try:
                found = await self._fetch(self.tab)
                url = str(self.tab.handle.url)
                if self._stays or found is None or url == BLANK or not self.allow.problem(url):
                    return found
            except Exception as error:
                if not self._moved(error):
                    raise
            await self._rest()
        raise TimeoutError

    async def _rest(self) -> None:
        """Waits until the page asks for nothing any more."""
        end = time.monotonic() + self.patience
        while time.monotonic() < end and (self._server.busy or time.monotonic() - self._server.last < self.quiet):
            await asyncio.sleep(self.quiet / 4)
        while self.left > 0:
            with contextlib.suppress(Exception):  # a page that never gets there is read as it is
                await self.tab.handle.wait_for_load_state("domcontentloaded", timeout=250)
                return
            if self._server.journey.failure is not None or self.tab.handle.is_closed():
                return

    async def _sort_tabs(self) -> None:
        """Takes in tabs that opened, lets go those that closed, and leaves pages that may not be shown."""
        for handle in self._context.pages:
            if handle not in self._left_behind and all(tab.handle is not handle for tab in self._tabs):
                await self._opened(handle)
        if any(tab.handle.is_closed() for tab in self._tabs):
            self._note("closed", "The tab was closed by its page.")
            self._tabs = [tab for tab in self._tabs if not tab.handle.is_closed()]
            self._active = min(self._active, max(len(self._tabs) - 1, 0))
        if not self._tabs:
            self._tabs = [LiveTab(handle=await self._context.new_page())]
        tab = self.tab
        url = str(tab.handle.url)
        failure = self._server.journey.failure
        if failure is not None:
            self._note(failure.category, failure.message)
        if tab.fresh or url in (BLANK, tab.history[tab.place]):
            return
        problem = "" if url == BLANK else self.allow.problem(url)
        if problem:
            if not self._server.alive:
                raise Fault(Boundary.TOOL, "Chromium can't reach the site server.", retryable=True)
            self._note("forbidden_url", problem)
            await tab.handle.goto(tab.history[tab.place], wait_until="domcontentloaded")
            return
        tab.history[tab.place + 1 :] = [url]
        tab.place, tab.top, tab.status = len(tab.history) - 1, 0, self._server.journey.status

    async def _opened(self, handle: Any) -> None:
        """A tab that a page opened becomes the current one, if it may."""
        with contextlib.suppress(Exception):  # one that doesn't come is empty
            await handle.wait_for_load_state("domcontentloaded", timeout=1000 * max(self.left / 2, 0.1))
        if handle.is_closed():
            return
        url = str(handle.url)
        problem = "" if url == BLANK else self.allow.problem(url)
        if len(self._tabs) >= MAX_TABS:
            problem = f"There are {MAX_TABS} tabs already."
        if problem:
            self._note("forbidden_url", f"The page opened a tab, which was closed. {problem}")
            await handle.close()
            return
        self._tabs.append(LiveTab([url], handle=handle, url=url, fresh=False))
        self._active = len(self._tabs) - 1
        self._note("", f"The page opened tab {self._active}.")

    # ------------------------------------------------------------------ pages that hang or crash

    def _stop_scripts(self) -> None:
        """Ends what the page's scripts are doing; a page that doesn't even let that be done is replaced."""
        try:
            self._engine.run(self._terminate(self.tab.handle), 0.4 * self._reserve + 0.2)
        except Fault:
            self._drop()
            raise
        except Exception as error:
            self._mend(error)

    async def _terminate(self, handle: Any) -> None:
        session = self._sessions[handle]
        await session.send("Runtime.terminateExecution")
        await session.send("Page.stopLoading")
        with contextlib.suppress(Exception):  # the first script after it may end with it
            await handle.evaluate("0")
        await handle.evaluate("0")

    async def _halt(self, handle: Any) -> None:
        try:
            await asyncio.wait_for(self._terminate(handle), 0.4 * self._reserve + 0.2)
        except Exception:
            if handle is self.tab.handle:
                await self._replace()
                self._note("closed", _LOST)

    def _check(self, error: Exception) -> None:
        """Tells a page that took no harm, which raises Failed, from one that is lost, which is replaced."""
        try:
            self._engine.run(self.tab.handle.evaluate("0"), 2.0)
        except Exception as worse:
            if not self._moved(worse):
                self._mend(error)
            return
        raise Failed("not_actionable", "That could not be done on this page.")

    def _mend(self, error: Exception) -> None:
        """Puts an empty page in place of one that is lost. Raises Fault where the browser is lost."""
        try:
            self._engine.run(self._replace(), 5.0)
        except Exception:
            self._drop()
            reason = str(error).split("\n")[0] or type(error).__name__
            raise Fault(Boundary.TOOL, f"Chromium failed: {reason}", retryable=True) from error
        self._note("closed", _LOST)

    async def _replace(self) -> None:
        broken, self._tabs[self._active] = self.tab, LiveTab(handle=await self._context.new_page())
        self._left_behind.add(broken.handle)
        asyncio.ensure_future(broken.handle.close()).add_done_callback(read_error)
