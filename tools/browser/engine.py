"""One Chromium for a whole process, driven by Playwright on an event loop in a thread of its own.

The loop is private, so callers may be synchronous or run loops themselves. Contexts are lent out, one to an
environment; after many of them new ones come from a new browser with a new driver, since both grow, and the old one
ends with its last context.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from agentgym.core.errors import Boundary, Fault
from agentgym.core.registry import missing_extra
from agentgym.tools.browser.css import WIDTH
from agentgym.tools.browser.program import chromium_path

HEIGHT = 720
USER_AGENT = "agentgym"
ACCEPT_LANGUAGE = "en-US,en;q=0.9"
MAX_LENT = 20
"""Contexts that a browser gives: after them the next ones come from a new browser, since browser and driver grow."""

_OFF = (
    "BackForwardCache", "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "PaintHolding", "RenderDocument",
    "IsolateOrigins", "site-per-process", "Translate", "MediaRouter", "OptimizationHints", "GlobalMediaControls",
    "DialMediaRouteProvider", "ThirdPartyStoragePartitioning", "LensOverlay", "ImprovedCookieControls",
)  # fmt: skip
"""Features that cost time or lead out. Only the last such flag counts, so Playwright's own stand here too."""
_FLAGS = (
    "--no-sandbox",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    f"--disable-features={','.join(_OFF)}",
    # Or scripts reach ports of this machine; the headless shell knows the first name, the whole browser the second.
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--dns-prefetch-disable",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--disable-gpu",
)

_LOGGER = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass
class _Browser:
    """A running browser with its driver, and how many contexts it has given."""

    playwright: Any
    chromium: Any
    given: int = 0
    lent: int = 0
    retired: bool = False

    async def stop(self) -> None:
        """Ends browser and driver, however they are."""
        for close in (self.chromium.close, self.playwright.stop):
            with contextlib.suppress(Exception):  # what is dead already is closed
                await asyncio.wait_for(close(), 10)


@dataclass
class Lease:
    """A context of one environment, with its first page."""

    context: Any
    browser: _Browser
    page: Any = None
    crashed: bool = False
    """One of its pages has crashed."""

    def __post_init__(self) -> None:
        self.context.on("page", lambda page: page.on("crash", self._crash))

    def _crash(self, page: Any) -> None:
        self.crashed = True

    @property
    def sound(self) -> bool:
        """Whether another episode can be run in it."""
        return bool(self.browser.chromium.is_connected()) and not self.crashed


class Engine:
    """Browsers and event loop; ``shared()`` gives the one of this process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A killed driver leaves futures of Playwright's behind that nobody reads; what we wait for fails by itself.
        self._loop.set_exception_handler(lambda _, context: _LOGGER.debug("%s", context.get("message")))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="chromium loop")
        self._thread.start()
        self._lock = asyncio.Lock()
        self._browser: _Browser | None = None
        self._all: list[_Browser] = []

    def run(self, work: Coroutine[Any, Any, T], deadline: float = 60.0) -> T:
        """Runs a coroutine on the loop and waits for it. Raises TimeoutError after ``deadline`` seconds."""
        future = self.begin(work)
        try:
            return future.result(deadline)
        except TimeoutError:
            future.cancel()
            raise

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Has a coroutine run on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _start(self) -> _Browser:
        try:
            from playwright.async_api import async_playwright
        except ModuleNotFoundError as error:
            raise missing_extra(error, needed_by="the Chromium backend") from error
        path = chromium_path()
        playwright = await async_playwright().start()
        try:
            chromium = await playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        except BaseException:
            await playwright.stop()
            raise
        browser = _Browser(playwright, chromium)
        self._all.append(browser)
        return browser

    async def _retire(self, browser: _Browser) -> None:
        """Ends a browser as soon as nobody has a context of it."""
        browser.retired = True
        if self._browser is browser:
            self._browser = None
        if browser.lent <= 0 and browser in self._all:
            self._all.remove(browser)
            await browser.stop()

    async def lend(self, proxy: str, *, scripts: bool, prepare: Callable[[Any], Awaitable[None]]) -> Lease:
        """A fresh context whose every request goes through ``proxy``, with its first page.

        A browser that turns out to be dead is replaced by a new one.

        Args:
            proxy: ``http://127.0.0.1:port``.
            scripts: Whether pages run scripts.
            prepare: Called with the context, before its first page.
        """
        async with self._lock:
            for last in (False, True):
                browser = self._browser
                if browser is not None and (browser.given >= MAX_LENT or not browser.chromium.is_connected()):
                    await self._retire(browser)
                    browser = None
                if browser is None:
                    browser = self._browser = await self._start()
                try:
                    context = await asyncio.wait_for(self._context(browser, proxy, scripts), 30)
                    await prepare(context)
                    lease = Lease(context, browser)
                    lease.page = await asyncio.wait_for(context.new_page(), 30)
                    browser.given += 1
                    browser.lent += 1
                    return lease
                except Exception as error:
                    if not browser.chromium.is_connected():
                        browser.lent = 0
                    await self._retire(browser)
                    if last:
                        raise Fault(Boundary.TOOL, f"Chromium gave no context: {error}", retryable=True) from error
        raise AssertionError("the last attempt returns or raises")

    async def _context(self, browser: _Browser, proxy: str, scripts: bool) -> Any:
        return await browser.chromium.new_context(
            proxy={"server": proxy, "bypass": "<-loopback>"},
            java_script_enabled=scripts,
            viewport={"width": WIDTH, "height": HEIGHT},
            user_agent=USER_AGENT,
            locale="en-US",
            timezone_id="UTC",
            reduced_motion="reduce",
            accept_downloads=False,
            service_workers="block",
            extra_http_headers={"Accept-Language": ACCEPT_LANGUAGE},
        )

    async def give_back(self, lease: Lease) -> None:
        """Closes a context; with the last one of a retired browser, that browser too."""
        with contextlib.suppress(Exception):  # what is dead already is closed
            await asyncio.wait_for(lease.context.close(), 10)
        browser = lease.browser
        browser.lent -= 1
        if browser.retired:
            await self._retire(browser)

    async def _stop(self) -> None:
        self._browser = None
        browsers, self._all = self._all, []
        for browser in browsers:
            await browser.stop()

    def close(self) -> None:
        """Ends browsers, drivers and loop."""
        with contextlib.suppress(TimeoutError):
            self.run(self._stop(), 15)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)


_shared: tuple[int, Engine] | None = None
_guard = threading.Lock()


def shared() -> Engine:
    """The engine of this process, made on first use. A forked child makes its own."""
    global _shared
    with _guard:
        if _shared is None or _shared[0] != os.getpid():
            engine = Engine()
            _shared = (os.getpid(), engine)
            atexit.register(_close, os.getpid(), engine)
        return _shared[1]


def _close(process: int, engine: Engine) -> None:
    if process == os.getpid():
        engine.close()
