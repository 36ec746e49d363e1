"""JSON over HTTP to servers that are busy, restart, hang or answer nonsense.

What may pass by itself is asked again, with growing pauses that no two clients share; what can't is put to the right
address: a person's mistake ends the run with one line, a failure of one request ends one episode. The key is read from
the environment at every request, is kept nowhere, and is taken out of whatever a server says.
"""

from __future__ import annotations

import asyncio
import base64
import email.utils
import json
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from agentgym.core.errors import Boundary, ConfigError, Fault

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Answers that mean "later". Every other one from 400 on will be the same next time."""

_CLIP = 300
_HIDDEN = "[key]"


@dataclass(frozen=True)
class Retry:
    """How often and how slowly a request is asked again."""

    attempts: int = 6
    """In all."""
    first: float = 0.5
    """Seconds before the second attempt; doubled each time. Half of a pause is chance."""
    longest: float = 60.0
    """Longest pause in seconds. A server that asks for a longer one is given up on."""

    def pause(self, attempt: int, asked: float | None, chance: float) -> float | None:
        """Seconds before the attempt that follows number ``attempt`` (from 0); None: give up.

        Args:
            attempt: How many were made before the one that failed.
            asked: What the server's Retry-After says, in seconds. Never waited less than.
            chance: In [0, 1).
        """
        if attempt + 1 >= self.attempts or (asked is not None and asked > self.longest):
            return None
        step = min(self.longest, self.first * 2**attempt)
        jittered = step * (0.5 + 0.5 * chance)
        return jittered if asked is None else asked + 0.5 * self.first * chance


class JsonClient:
    """Talks to one server. Use it from one event loop.

    Args:
        base_url: Such as ``http://localhost:8000``. Must hold no key.
        key_env: Environment variable that holds the key; empty for none.
        timeout: Seconds that one attempt may take.
        concurrency: Requests in flight.
        retry: When to ask again.
        service: What the errors call the server.

    Raises:
        ConfigError: The address is none or holds a key, or the variable is not set.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key_env: str = "",
        timeout: float = 600.0,
        concurrency: int = 64,
        retry: Retry | None = None,
        service: str = "the server",
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{service} needs an address such as http://localhost:8000, got {_shown(base_url)!r}.")
        if parts.username or parts.password or parts.query:
            raise ConfigError(
                f"The address of {service} holds credentials, and addresses are stored with every run. Put the key into"
                " an environment variable and name that."
            )
        if concurrency < 1 or timeout <= 0:
            raise ConfigError(f"concurrency and timeout must be above 0, got {concurrency} and {timeout}.")
        self.base_url, self.service = base_url.rstrip("/"), service
        self._key_env, self._retry = key_env, retry or Retry()
        self.timeout = timeout
        self._key()
        self._free = asyncio.Semaphore(concurrency)
        self._random = random.Random()
        self.reached = False
        """Whether anything ever answered."""
        limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._client = httpx2.AsyncClient(timeout=httpx2.Timeout(timeout), limits=limits)

    async def get(self, path: str) -> Any:
        """The answer to a GET, read as JSON; errors as for ``post``."""
        return await self._ask("GET", path, None, None)

    async def post(self, path: str, body: Any = None, params: Mapping[str, str] | None = None) -> Any:
        """The answer to a POST, read as JSON; None for an empty one.

        Raises:
            ConfigError: The server refuses the key or doesn't know the address or the model.
            GivenUp: It can't be reached or stays busy; ``policy``.
            Fault: It refuses this request; ``policy``.
        """
        return await self._ask("POST", path, body, params)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    def redact(self, text: str) -> str:
        """``text`` without the key, in any of the spellings that servers echo."""
        key = self._key()
        if not key:
            return text
        for spelling in (json.dumps(key)[1:-1], quote(key, safe=""), base64.b64encode(key.encode()).decode(), key):
            text = text.replace(spelling, _HIDDEN)
        return text

    def _key(self) -> str:
        if not self._key_env:
            return ""
        key = os.environ.get(self._key_env, "")
        if not key:
            raise ConfigError(f"{self.service} needs a key in the environment variable {self._key_env}; it is not set.")
        return key

    async def _ask(self, method: str, path: str, body: Any, params: Mapping[str, str] | None) -> Any:
        async with self._free:
            attempt = 0
            while True:
                asked: float | None = None
                try:
                    async with asyncio.timeout(self.timeout):
                        answer = await self._send(method, path, body, params)
                    self.reached = True
                    if answer.status_code < 400:
                        return json.loads(answer.content) if answer.content.strip() else None
                    problem = self._problem(answer)
                    if answer.status_code not in RETRIED:
                        raise self._refusal(answer.status_code, path, problem)
                    asked = retry_after(answer.headers.get("retry-after"))
                except (json.JSONDecodeError, UnicodeDecodeError):
                    problem = "its answer is not JSON"
                except (httpx2.TimeoutException, TimeoutError):
                    problem = f"no answer within {self.timeout:g} s"
                except httpx2.TransportError as error:
                    problem = f"{type(error).__name__}: {self.redact(str(error))}"
                pause = self._retry.pause(attempt, asked, self._random.random())
                if pause is None:
                    wait = f"; it asks for a pause of {asked:g} s" if asked is not None else ""
                    raise GivenUp(
                        Boundary.POLICY,
                        f"{self.service} at {self.base_url} failed {attempt + 1} times, last: {problem}{wait}",
                    ) from None
                attempt += 1
                await asyncio.sleep(pause)

    async def _send(self, method: str, path: str, body: Any, params: Mapping[str, str] | None) -> httpx2.Response:
        key = self._key()
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return await self._client.request(
            method, self.base_url + path, json=body, params=dict(params or {}), headers=headers
        )

    def _problem(self, answer: httpx2.Response) -> str:
        text = " ".join(answer.content.decode("utf-8", "replace").split())
        text = self.redact(text)  # before it is cut, so that no half of a key stays
        return f"HTTP {answer.status_code}: {text if len(text) <= _CLIP else text[:_CLIP] + '…'}"

    def _refusal(self, status: int, path: str, problem: str) -> Exception:
        where = f"{self.service} at {self.base_url}{path}"
        if status in (401, 403):
            source = f"the environment variable {self._key_env}" if self._key_env else "no key (name its variable)"
            return ConfigError(f"{where} refuses {source}. {problem}")
        if status in (404, 405):
            return NotThere(f"{where} does not exist there, or the model doesn't. {problem}")
        return Fault(Boundary.POLICY, f"{where} refuses the request. {problem}")


class GivenUp(Fault):
    """The server was asked as often as it may be. Not retryable: rollouts would multiply those attempts by theirs."""


class NotThere(ConfigError):
    """The server has no such address or model."""


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, from a number or a date; None where it says nothing readable."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(value).timestamp()
        except ValueError:
            return None
        seconds = moment - (time.time() if now is None else now)
    return max(seconds, 0.0) if seconds == seconds else None


def _shown(url: str) -> str:
    """An address without what stands before its host."""
    return url.rpartition("@")[2]
