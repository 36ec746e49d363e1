"""Workers as processes of this machine: each has its own interpreter, event loop, environments and policy."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import platform
import signal
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from agentgym.core.errors import AgentGymError
from agentgym.rollout.crew import Crew
from agentgym.rollout.jobs import Job
from agentgym.rollout.schedule import Played
from agentgym.rollout.workers import StartWorker, Where, WorkerDied

if TYPE_CHECKING:
    from agentgym.rollout.run import RunConfig

_BEAT = 1.0
"""Seconds between signs of life of a worker's event loop."""
_SILENCE = 30.0
"""Seconds beyond the time limit of a call after which a silent worker is taken for stuck and killed."""
_CLOSE_SECONDS = 5.0


def start(config: RunConfig, where: Where, concurrency: int) -> tuple[int, StartWorker]:
    """How many workers there are to be, and what starts one."""
    return where.count, lambda: ProcessWorker(config)


class ProcessWorker:
    """One process, seen from the one that collects."""

    def __init__(self, config: RunConfig) -> None:
        self.ordered = False
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._playing: dict[int, asyncio.Future[Played]] = {}
        limit = config.limits.call_seconds or config.limits.seconds
        self._silence = None if limit is None else limit + _SILENCE
        self._heard = time.monotonic()
        self._how = ""
        """How it ended; empty while it lives."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, config), daemon=True, name="agentgym-worker")
        self._process.start()
        theirs.close()
        threading.Thread(target=self._read, daemon=True, name="agentgym-worker-reader").start()
        self._watch = self._loop.create_task(self._kill_when_silent())

    async def ready(self) -> None:
        """See ``Worker.ready``."""
        await asyncio.shield(self._ready)

    async def play(self, job: Job) -> Played:
        """See ``Worker.play``."""
        future: asyncio.Future[Played] = self._loop.create_future()
        self._playing[job.index] = future
        if self._how:
            raise WorkerDied(self._how)
        with suppress(OSError):  # it is dying; what reads from it will say so
            self._connection.send(job)
        try:
            return await future
        finally:
            self._playing.pop(job.index, None)

    def kill(self) -> None:
        """See ``Worker.kill``."""
        self._watch.cancel()
        with suppress(ValueError):  # dead and buried
            self._process.kill()

    async def close(self) -> None:
        """See ``Worker.close``: asks it to end, and kills it when it takes too long."""
        with suppress(OSError):
            self._connection.send(None)
        deadline = time.monotonic() + _CLOSE_SECONDS
        while not self._how and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        self.kill()

    def _read(self) -> None:
        """A thread that takes what the worker says, so that neither event loop waits for the other."""
        with suppress(RuntimeError):  # our loop is closed
            try:
                while True:
                    self._loop.call_soon_threadsafe(self._take, *self._connection.recv())
            except (EOFError, OSError):
                self._reap()
                self._loop.call_soon_threadsafe(self._end)
        self._connection.close()

    def _reap(self) -> None:
        """Frees what the dead process still holds here, without waiting for the garbage collector."""
        self._process.join()
        code = self._process.exitcode
        self._how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        self._process.close()

    def _take(self, kind: str, *values: Any) -> None:
        self._heard = time.monotonic()
        if kind == "ready" and not self._ready.done():
            self._ready.set_result(None)
        elif kind == "failed":
            self._fail(values[0])
        elif kind == "played":
            future = self._playing.get(values[0].job.index)
            if future is not None and not future.done():
                future.set_result(values[0])

    def _end(self) -> None:
        self._fail(WorkerDied(self._how))
        self._watch.cancel()

    def _fail(self, error: BaseException) -> None:
        waiting: list[asyncio.Future[Any]] = [self._ready, *self._playing.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # nobody may be waiting for it

    async def _kill_when_silent(self) -> None:
        """An environment that blocks the worker's event loop can't be timed out from within."""
        while self._silence is not None:
            await asyncio.sleep(_BEAT)
            if self._playing and time.monotonic() - self._heard > self._silence:
                with suppress(ValueError):
                    self._process.kill()


def serve(connection: Connection, config: RunConfig) -> None:
    """What the process does: plays the jobs that it is sent until it is told to end, or nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that collects
    os.dup2(2, 1)  # its stdout may be somebody's JSON
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # games may want processes
    asyncio.run(_serve(connection, config))
    os._exit(0)


async def _serve(connection: Connection, config: RunConfig) -> None:
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[Job | None] = asyncio.Queue()

    def read() -> None:
        try:
            while True:
                loop.call_soon_threadsafe(inbox.put_nowait, connection.recv())
        except (EOFError, OSError):
            os._exit(1)  # whoever started us is gone

    try:
        crew = Crew(config, f"{platform.node()}:{os.getpid()}")
    except Exception as error:
        connection.send(("failed", _portable(error)))
        return
    connection.send(("ready",))
    threading.Thread(target=read, daemon=True).start()
    beat = loop.create_task(_beat(connection))
    playing: set[asyncio.Task[None]] = set()
    while (job := await inbox.get()) is not None:
        task = loop.create_task(_play(connection, crew, job))
        playing.add(task)
        task.add_done_callback(playing.discard)
    beat.cancel()
    for task in playing:
        task.cancel()
    await asyncio.wait({asyncio.ensure_future(crew.close())}, timeout=_CLOSE_SECONDS / 2)


async def _play(connection: Connection, crew: Crew, job: Job) -> None:
    try:
        connection.send(("played", await crew.play(job)))
    except Exception as error:
        connection.send(("failed", _portable(error)))


async def _beat(connection: Connection) -> None:
    while True:
        await asyncio.sleep(_BEAT)
        connection.send(("beat",))


def _portable(error: Exception) -> Exception:
    """The error as something that can be sent."""
    if isinstance(error, AgentGymError):
        return error
    return RuntimeError(f"in a worker: {type(error).__name__}: {error}")
