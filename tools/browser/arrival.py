"""Waiting for a page in Chromium: until it has come, or until it is known that none will."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

SETTLED = 0.3
"""Seconds after which a page counts as come when its scripts tried to lead elsewhere and were refused."""


class Arrival:
    """One navigation.

    Args:
        handle: The page that goes somewhere.
        context: Given where the page comes in a tab that Chromium opens.
    """

    def __init__(self, handle: Any, context: Any = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._context, self._handle = context, handle
        self._done: asyncio.Future[Any] = self._loop.create_future()
        self._going: asyncio.Future[Any] | None = None  # the loop keeps no reference of its own
        self.popup: Any = None
        if context is not None:
            context.on("page", self._opened)
        else:
            handle.on("domcontentloaded", self._came)
        handle.on("crash", self._crashed)
        handle.on("close", self._crashed)

    def _opened(self, page: Any) -> None:
        self.popup = page
        page.on("domcontentloaded", self._came)

    def _came(self, page: Any) -> None:
        scheme = urlsplit(page.url).scheme
        if scheme == "http":
            self._finish(page)
        elif scheme == "chrome-error":  # nobody answered: the site server is gone
            self._finish(None)

    def _crashed(self, page: Any) -> None:
        if not self._done.done():
            self._done.set_exception(RuntimeError("the page crashed or was closed"))

    def _finish(self, page: Any) -> None:
        if not self._done.done():
            self._done.set_result(page)

    def fail(self, came: bool) -> None:
        """No page will come; or one came, whose scripts tried to lead on in vain. May be called in any thread."""
        if came:  # Chromium may never say that such a page is complete
            self._loop.call_soon_threadsafe(self._loop.call_later, SETTLED, self._finish, self._handle)
        else:
            self._loop.call_soon_threadsafe(self._finish, None)

    def follow(self, going: asyncio.Future[Any]) -> None:
        """Takes how a typed address goes; that it was aborted is seen elsewhere."""
        self._going = going
        going.add_done_callback(self._gone)

    def _gone(self, going: asyncio.Future[Any]) -> None:
        error = None if going.cancelled() else going.exception()
        if error is None or "ERR_ABORTED" in str(error) or "interrupted" in str(error):
            return
        if "ERR_PROXY_CONNECTION_FAILED" in str(error):
            self._finish(None)
        elif not self._done.done():
            self._done.set_exception(error)

    async def wait(self, seconds: float) -> Any:
        """The page that came; None when none will. Raises TimeoutError."""
        return await asyncio.wait_for(self._done, seconds)

    def close(self) -> None:
        """Listens no longer."""
        if self._context is not None:
            self._context.remove_listener("page", self._opened)
        else:
            self._handle.remove_listener("domcontentloaded", self._came)
        self._handle.remove_listener("crash", self._crashed)
        self._handle.remove_listener("close", self._crashed)
        if self._done.done() and not self._done.cancelled():
            self._done.exception()  # else an error that nobody waited for would be reported as lost
