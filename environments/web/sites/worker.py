"""Sites whose applications run in processes of their own: pooled, restarted when they die, leaving nothing behind."""

from __future__ import annotations

import atexit
import contextlib
import marshal
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import agentgym
from agentgym.core.errors import Boundary, Fault
from agentgym.environments.web.sites import janitor
from agentgym.environments.web.sites.changes import Change
from agentgym.environments.web.sites.first_pages import First, Start, first_pages
from agentgym.tools.browser.transport import Request, Response, SiteError

DEADLINE = 10.0
"""Seconds that a site has for a page. What takes longer is broken off."""
START = 120.0
"""Seconds that a site has to start, on a busy machine."""
BUILD = 900.0
GRACE = 3.0
"""Seconds after a deadline until a process that doesn't react is killed."""
IDLE = 4
"""Processes of a kind that wait for the next environment."""
MAX_STATIC = 64
"""Style sheets of a kind that are kept on this side."""
_STATIC = ("/static/", "/@@file/", "/-/plugin-static.css")
"""In addresses of files that come with an application, the same in every world."""


class Dead(Exception):
    """A worker has ended, or was ended since it didn't react."""


class Worker:
    """One process with one site; see ``inside``."""

    def __init__(self, target: str) -> None:
        self.alive = False
        self.target = target
        self._owner = os.getpid()
        self.folder = _household().folder()
        here, there = Pipe()
        self._pipe: Connection = here
        with (self.folder / "stderr").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.inside", target, str(there.fileno()), str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(there.fileno(),),
                env=_environment(self.folder),
                start_new_session=True,  # interrupts are for this process alone
            )
        there.close()
        self._mark = f"{self._process.pid} {_started(self._process.pid)}"
        _household().note("+", self._mark)
        self.alive = True
        try:
            self._receive(START)
        except Dead as error:
            raise Fault(Boundary.ENVIRONMENT, f"The site {target} did not start: {error}", retryable=True) from error

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether the process runs and is this process's own."""
        return self.alive and self._owner == os.getpid() and self._process.poll() is None

    def call(self, method: str, *arguments: Any, seconds: float = 0.0) -> Any:
        """Runs a method of the site. Raises Dead, TimeoutError (it was broken off) and RuntimeError (its own)."""
        if not self.alive or self._owner != os.getpid():
            raise Dead("its process has ended, or belongs to another process than this one.")
        try:
            self._pipe.send_bytes(marshal.dumps((method, seconds, arguments)))
        except OSError:
            self.end()
            raise Dead("its process has ended.") from None
        return self._receive((seconds or BUILD) + GRACE)

    def _receive(self, seconds: float) -> Any:
        try:
            if not self._pipe.poll(seconds):
                self.end()
                raise Dead("its process did not react and was ended.")
            kind, value = marshal.loads(self._pipe.recv_bytes())
        except (EOFError, OSError, ValueError, TypeError):
            words = self._last_words()
            self.end()
            raise Dead(f"its process has ended. {words}".rstrip()) from None
        except BaseException:
            self.end()  # an interrupt: the reply that is on its way would be taken for that of the next call
            raise
        if kind == "late":
            raise TimeoutError
        if kind == "error":
            raise RuntimeError(value)
        return value

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # whoever forgot to close it leaves no process behind
            self.end()

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.folder / "stderr").read_text(errors="replace").strip().splitlines()
            return lines[-1][:300] if lines else ""
        return ""

    def end(self) -> None:
        """Ends the process and removes its folder."""
        if not self.alive:
            return
        self.alive = False
        self._pipe.close()
        if self._owner != os.getpid():
            return  # a forked child has its parent's workers in sight: they aren't its own
        self._process.kill()
        self._process.wait()
        _household().note("-", self._mark)
        shutil.rmtree(self.folder, ignore_errors=True)


def _environment(folder: Path) -> dict[str, str]:
    """What a worker's process is told: nothing of the user's settings but where Python and its packages are."""
    kept = {key: os.environ[key] for key in ("PATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG") if key in os.environ}
    package = str(Path(agentgym.__file__).resolve().parent.parent)
    paths = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return kept | {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths),
        "PYTHONWARNINGS": "ignore",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _started(pid: int) -> str:
    """When a process started, in clock ticks: its number alone may be used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "0"


# ------------------------------------------------------------------ the workers of this process


class _Household:
    """Folder, janitor and idle workers of one process."""

    def __init__(self) -> None:
        self.process = os.getpid()
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.base = Path(tempfile.mkdtemp(prefix="agentgym-sites-", dir=base))
        self.idle: dict[str, list[Worker]] = defaultdict(list)
        self.lock = threading.Lock()
        self._janitor = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(janitor.__file__)), str(self.process), str(self.base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def folder(self) -> Path:
        """A fresh private folder."""
        return Path(tempfile.mkdtemp(dir=self.base))

    def note(self, sign: str, mark: str) -> None:
        """Tells the janitor of a worker that began (+) or ended (-)."""
        assert self._janitor.stdin is not None
        with self.lock, contextlib.suppress(OSError):
            self._janitor.stdin.write(f"{sign} {mark}\n".encode())
            self._janitor.stdin.flush()

    def close(self) -> None:
        """Ends all that idle, then lets the janitor clean the rest."""
        for workers in self.idle.values():
            while workers:
                workers.pop().end()
        assert self._janitor.stdin is not None
        with contextlib.suppress(OSError):
            self._janitor.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._janitor.wait(10)


_own: _Household | None = None
_guard = threading.Lock()


def _household() -> _Household:
    """The one of this process; a forked child makes its own, and leaves its parent's alone."""
    global _own
    with _guard:
        if _own is None or _own.process != os.getpid():
            _own = _Household()
            atexit.register(_leave, _own)
        return _own


def _leave(household: _Household) -> None:
    if household.process == os.getpid():
        household.close()


def borrow(target: str) -> Worker:
    """An idle worker of a kind, or a new one."""
    household = _household()
    while True:
        with household.lock:
            idle = household.idle[target]
            worker = idle.pop() if idle else None
        if worker is None:
            return Worker(target)
        if worker.usable:
            return worker
        worker.end()


def give_back(worker: Worker) -> None:
    """Lets a worker wait for the next who borrows, or ends it where enough wait."""
    household = _household()
    if worker.alive:
        with household.lock:
            idle = household.idle[worker.target]
            if len(idle) < IDLE:
                idle.append(worker)
                return
    worker.end()


def close_idle() -> None:
    """Ends the workers that nobody uses."""
    household = _household()
    with household.lock:
        idle = [worker for workers in household.idle.values() for worker in workers]
        household.idle.clear()
    for worker in idle:
        worker.end()


def built(target: str) -> bytes:
    """What ``build`` of a site gives, in a process of its own."""
    worker = borrow(target)
    try:
        data: bytes = worker.call("build")
    except (Dead, RuntimeError) as error:
        raise Fault(Boundary.ENVIRONMENT, f"The site {target} can't be built: {error}") from error
    finally:
        worker.end()  # what it loaded in order to build is not needed again
    return data


# ------------------------------------------------------------------ the site


class WorkerSite:
    """A site in a process of its own. See ``Site``.

    A page that takes too long is broken off and the episode goes on. When the process dies, what it held is lost: the
    request fails as ``closed``, everything else raises a Fault, and the next ``restore`` takes another process.

    Where an episode has begun before, its first page is remembered and nothing is restored until more is asked.

    Args:
        host: Its name.
        target: ``module:attribute`` that makes the application from ``(Frozen, folder)``; see ``inside.Inside``.
        golden: The data of a world.
        deadline: Seconds for a page.
    """

    _static: dict[str, dict[str, Response]] = defaultdict(dict)

    def __init__(self, host: str, target: str, golden: Callable[[int], bytes], deadline: float = DEADLINE) -> None:
        self.host = host
        self.golden = golden
        self._target = target
        self.deadline = deadline
        self._lock = threading.Lock()  # Chromium's requests come from the server's threads
        self._worker: Worker | None = None
        self._seen: tuple[Change, ...] | None = None
        self._start: Start | None = None  # nothing was asked since this was restored
        self._due: tuple[bytes, tuple[str, ...]] | None = None  # what has yet to be restored

    def __call__(self, request: Request) -> Response:
        """See ``Site``. Raises SiteError: ``timeout`` (broken off) or ``closed`` (the process has died)."""
        static = self._static[self._target]
        if not request.document and request.url in static:
            return static[request.url]
        with self._lock:
            start, self._start = self._start, None
            first = first_pages.find(start, request) if start else None
            if first is not None:
                if first.after is not None:
                    self._due = (first.after, ())
                self._seen = first.changes
                return first.response
            self._settle()
            self._seen = None
            response = self._ask(request)
            if start and request.method == "GET" and response.status < 500:
                self._keep(start, request, response)
        fixed = not request.document and any(part in request.url for part in _STATIC)
        if fixed and response.status == 200 and len(static) < MAX_STATIC:
            static[request.url] = response
        return response

    def _ask(self, request: Request) -> Response:
        parts = (request.method, request.url, request.headers, request.body, request.document)
        if self._worker is None:
            raise SiteError("closed", "The site's process died.")
        try:
            status, headers, body = self._worker.call("ask", *parts, seconds=self.deadline)
        except TimeoutError:
            raise SiteError("timeout", "The site did not answer in time.") from None
        except RuntimeError as error:
            raise SiteError("closed", f"The site failed: {error}") from None
        except Dead as error:
            self._worker = None
            raise SiteError("closed", f"The site's process died: {error}") from None
        return Response(status, tuple(map(tuple, headers)), body)

    def _keep(self, start: Start, request: Request, response: Response) -> None:
        """Remembers a first page and what the site was afterwards."""
        with contextlib.suppress(Dead, Fault):  # it has answered; what it can't do now, it says when it is asked to
            after: bytes = self._try("snapshot")
            self._seen = self._changes()
            same = after == start[1] and not start[2]
            first_pages.keep(start, request, First(response, None if same else after, self._seen))

    def _run(self, method: str, *arguments: Any) -> Any:
        try:
            return self._try(method, *arguments)
        except Dead as error:
            raise Fault(Boundary.ENVIRONMENT, f"The process of {self.host}: {error}", retryable=True) from error

    def _try(self, method: str, *arguments: Any, seconds: float = 60.0) -> Any:
        """Calls a method of the site, and ends a process that fails at it. Raises Dead and Fault (its own errors)."""
        worker = self._worker
        if worker is None:
            raise Dead("it has died, and what it held is lost.")
        try:
            return worker.call(method, *arguments, seconds=seconds)
        except Dead:
            self._worker = None
            raise
        except (TimeoutError, RuntimeError) as error:
            worker.end()
            self._worker = None
            reason = str(error) or "it took too long."
            raise Fault(Boundary.ENVIRONMENT, f"{self.host} can't {method}: {reason}", retryable=True) from error

    def restore(self, data: bytes, edits: tuple[str, ...] = ()) -> None:
        """See ``Site``. Raises Fault."""
        with self._lock:
            self._seen = None
            self._start, self._due = (self._target, data, edits), (data, edits)
            if self._worker is None or not self._worker.usable:
                if self._worker is not None:
                    self._worker.end()
                self._worker = borrow(self._target)
            if not first_pages.knows(self._start):
                self._settle()

    def _settle(self) -> None:
        """Restores what is due. Raises Fault."""
        if self._due is None:
            return
        due, self._due = self._due, None
        with contextlib.suppress(Dead, Fault):  # it may have died or got stuck since it was last used
            self._try("restore", *due, seconds=DEADLINE)
            return
        self._worker = borrow(self._target)
        self._run("restore", *due)

    def snapshot(self) -> bytes:
        """See ``Site``. Raises Fault."""
        with self._lock:
            self._settle()
            data: bytes = self._run("snapshot")
            return data

    def changes(self) -> tuple[Change, ...]:
        """See ``Site``. Read again only after a request. Raises Fault."""
        with self._lock:
            if self._seen is None or self._worker is None:
                self._settle()
                self._seen = self._changes()
            return self._seen

    def _changes(self) -> tuple[Change, ...]:
        return tuple(Change(*item) for item in self._run("changes"))

    def close(self) -> None:
        """Gives the process back."""
        with self._lock:
            worker, self._worker = self._worker, None
            self._start = self._due = None
            if worker is not None:
                give_back(worker)
