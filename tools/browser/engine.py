"""One Chromium for a whole process, driven by Playwright on an event loop in a thread of its own.

The loop is private, so callers may be synchronous or run loops themselves. Contexts are lent out, one to an
environment; browser and driver are restarted after many contexts and navigations, since both grow.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from agentgym.core.errors import Boundary, ConfigError, Fault
from agentgym.core.registry import missing_extra
from agentgym.tools.browser.css import WIDTH

HEIGHT = 720
ENVIRONMENT = "AGENTGYM_CHROMIUM"
"""Environment variable that names the Chromium to start."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
USER_AGENT = "agentgym"
ACCEPT_LANGUAGE = "en-US,en;q=0.9"
MAX_LENT = 400
"""Contexts after which the browser is restarted, as soon as none is lent."""

_FLAGS = (
    "--no-sandbox",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-features=BackForwardCache,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--disable-gpu",
)

T = TypeVar("T")


def chromium_path() -> str:
    """The Chromium to start: what the environment variable names, else the first of the usual names on the path."""
    named = os.environ.get(ENVIRONMENT, "")
    if named:
        if not shutil.which(named):
            raise ConfigError(f"{ENVIRONMENT} names {named!r}, which can't be executed.")
        return named
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        raise ConfigError(
            f"No Chromium was found on the path (tried {', '.join(NAMES)}). Install it (Debian: apt-get install"
            f" chromium) or name it in {ENVIRONMENT}."
        )
    return found


class Engine:
    """Browser and event loop; ``shared()`` gives the one of this process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="chromium loop")
        self._thread.start()
        self._lock = asyncio.Lock()
        self._playwright: Any = None
        self._browser: Any = None
        self._lent = 0
        self._given = 0

    def run(self, work: Coroutine[Any, Any, T], deadline: float = 60.0) -> T:
        """Runs a coroutine on the loop and waits for it. Raises TimeoutError after ``deadline`` seconds."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(deadline)
        except TimeoutError:
            future.cancel()
            raise

    async def _start(self) -> None:
        try:
            from playwright.async_api import async_playwright
        except ModuleNotFoundError as error:
            raise missing_extra(error, needed_by="the Chromium backend") from error
        path = chromium_path()
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        self._given = 0

    async def _stop(self) -> None:
        browser, playwright = self._browser, self._playwright
        self._browser = self._playwright = None
        for close in ([browser.close] if browser else []) + ([playwright.stop] if playwright else []):
            with contextlib.suppress(Exception):  # what is dead already is closed
                await asyncio.wait_for(close(), 10)

    async def lend(self, proxy: str, *, scripts: bool) -> Any:
        """A fresh context whose every request goes through ``proxy``."""
        async with self._lock:
            alive = self._browser is not None and self._browser.is_connected()
            if not alive or (self._given >= MAX_LENT and self._lent == 0):
                await self._stop()
                await self._start()
                self._lent = 0
            browser: Any = self._browser
            try:
                context = await browser.new_context(
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
            except Exception as error:
                raise Fault(Boundary.TOOL, f"Chromium gave no context: {error}", retryable=True) from error
            self._given += 1
            self._lent += 1
            return context

    async def give_back(self, context: Any) -> None:
        """Closes a context."""
        self._lent = max(self._lent - 1, 0)
        with contextlib.suppress(Exception):  # what is dead already is closed
            await asyncio.wait_for(context.close(), 10)

    def close(self) -> None:
        """Ends browser, driver and loop."""
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
