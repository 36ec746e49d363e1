"""Workers as Ray actors: the way past one machine.

One actor plays many episodes; a call a job, never a call a turn. agentgym must be installed on every node.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import platform
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agentgym.core.errors import AgentGymError, ConfigError
from agentgym.rollout.crew import Crew
from agentgym.rollout.jobs import Job
from agentgym.rollout.schedule import Played
from agentgym.rollout.workers import StartWorker, Where, WorkerDied

if TYPE_CHECKING:
    from agentgym.rollout.run import RunConfig

_START_SECONDS = 600.0
_KNOCK_SECONDS = 5.0


def start(config: RunConfig, where: Where, concurrency: int) -> tuple[int, StartWorker]:
    """Connects to the cluster; how many actors there are to be, and what starts one.

    Raises:
        ConfigError: There is no cluster at the address.
    """
    import ray

    if not ray.is_initialized():
        _knock(where.address or os.environ.get("RAY_ADDRESS", ""))
        try:
            ray.init(address=where.address or None, log_to_driver=False, logging_level="warning")
        except (ConnectionError, ValueError, RuntimeError) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            text = " ... ".join(dict.fromkeys((lines[0], lines[-1])))  # a traceback from the head ends with the reason
            raise ConfigError(f"There is no Ray cluster at {where.address or 'this machine'}: {text}") from None
    cpus = float(ray.cluster_resources().get("CPU", 1.0))
    count = where.count or max(int(cpus), 1)
    count = min(count, concurrency)
    lanes = -(-concurrency // count) + 1
    started = itertools.count()

    def begin() -> RayWorker:
        # A replacement asks for no share: its node may be gone for good, and waiting for another is to hang.
        share = min(1.0, cpus / count) if next(started) < count else 0
        actor = ray.remote(Actor).options(num_cpus=share, max_concurrency=lanes, scheduling_strategy="SPREAD")
        return RayWorker(ray, actor.remote(config))

    return count, begin


def _knock(address: str) -> None:
    """Raises ConfigError where nothing listens at an address: Ray itself would try for minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{address!r} is no address of a Ray cluster, such as ray://host:10001.") from None
    if not host or not port:
        return  # a word such as "auto"
    try:
        socket.create_connection((host, port), timeout=_KNOCK_SECONDS).close()
    except OSError as error:
        raise ConfigError(f"There is no Ray cluster at {address}: {error}") from None


class Actor:
    """The crew in the actor's process. Its event loop is Ray's."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self._crew: Crew | None = None

    async def ready(self) -> None:
        """Builds the policy; raises what that raises."""
        self._crew = Crew(self.config, f"{platform.node()}:{os.getpid()}")

    async def play(self, job: Job) -> Played:
        """What came of ``job``."""
        assert self._crew is not None
        return await self._crew.play(job)


class RayWorker:
    """One actor, seen from the process that collects."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self.ordered = False
        self._ray, self._actor = ray, actor

    async def ready(self) -> None:
        """See ``Worker.ready``."""
        try:
            await asyncio.wait_for(self._call(self._actor.ready), _START_SECONDS)
        except TimeoutError:
            raise ConfigError(
                f"Ray has started no actor within {_START_SECONDS:.0f} s: the cluster has no room for it. "
                "Ask for fewer with --workers ray:N."
            ) from None

    async def play(self, job: Job) -> Played:
        """See ``Worker.play``."""
        played: Played = await self._call(self._actor.play, job)
        return played

    def kill(self) -> None:
        """See ``Worker.kill``."""
        with suppress(Exception):  # dead already, or the whole cluster is
            self._ray.kill(self._actor)

    async def close(self) -> None:
        """See ``Worker.close``."""
        self.kill()
        await asyncio.sleep(0)

    async def _call(self, method: Any, *arguments: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return await method.remote(*arguments)
        except errors.RayTaskError as error:
            cause = error.cause
            raise (cause if isinstance(cause, AgentGymError) else RuntimeError(f"in a worker: {cause!r}")) from None
        except errors.RayError:  # the actor, its node, or the object that held its answer
            raise WorkerDied("its actor died") from None
