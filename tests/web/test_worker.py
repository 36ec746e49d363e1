"""Sites in processes of their own: what happens when these misbehave, die or lose their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentgym.core.errors import Fault
from agentgym.environments.web.sites import worker as workers
from agentgym.environments.web.sites.first_pages import First, FirstPages
from agentgym.environments.web.sites.worker import WorkerSite, borrow, built, close_idle, give_back
from agentgym.tools.browser.transport import Request, Response, SiteError
from web.odd_site import golden

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def paths(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def odd(deadline=10.0):
    site = WorkerSite("odd.test", "web.odd_site:make", golden, deadline)
    site.restore(golden(3))
    return site


@pytest.fixture
def site():
    made = odd()
    yield made
    made.close()


def get(site, path):
    return site(Request("GET", f"http://odd.test/{path}"))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def test_pages_changes_and_snapshots(site):
    assert b"thing of 3" in get(site, "").body
    assert site.changes() == ()
    before = site.snapshot()
    get(site, "write")
    assert [(change.table, change.columns) for change in site.changes()] == [("thing", ("name",))]
    site.restore(before)
    assert site.changes() == ()
    site.restore(before, ("UPDATE thing SET name = 'edited'",))
    assert b"edited" in get(site, "").body
    assert site.changes() == ()


def test_one_database_after_another_is_read_anew(site):
    # Equal tables at different pages: what was compiled for one must not be used for the next.
    for world in (1, 40, 2, 90, 5):
        site.restore(golden(world))
        assert f"thing of {world}<".encode() in get(site, "").body
        assert site.changes() == ()


def test_time_and_randomness_stand_still(site):
    first = get(site, "now").body
    time.sleep(0.01)
    assert get(site, "now").body == first
    assert b"2027-01-15T08:00:00" in first


def test_a_page_that_hangs_is_broken_off_and_the_site_goes_on():
    site = odd(deadline=0.5)
    get(site, "write")
    for path in ("hang", "sleep"):
        with pytest.raises(SiteError) as error:
            get(site, path)
        assert error.value.category == "timeout"
    assert b"changed" in get(site, "").body
    site.close()


def test_a_page_that_can_t_be_broken_off_ends_the_process(monkeypatch):
    monkeypatch.setattr(workers, "GRACE", 0.5)
    site = odd(deadline=0.3)
    pid = site._worker.pid
    with pytest.raises(SiteError) as error:
        get(site, "stuck")
    assert error.value.category == "closed"
    assert not alive(pid)
    with pytest.raises(Fault):
        site.changes()
    site.restore(golden(3))
    assert b"thing of 3" in get(site, "").body
    site.close()


def test_a_reset_doesn_t_wait_long_for_a_process_that_is_stuck(site, monkeypatch):
    monkeypatch.setattr(workers, "DEADLINE", 1.0)
    monkeypatch.setattr(workers, "GRACE", 0.5)
    os.kill(site._worker.pid, signal.SIGSTOP)
    began = time.monotonic()
    site.restore(golden(3))
    assert time.monotonic() - began < 30.0  # a minute was waited for once
    assert b"thing of 3" in get(site, "").body


@pytest.mark.parametrize("path", ["fail", "memory"])
def test_a_page_that_fails_leaves_the_site_running(site, path):
    with pytest.raises(SiteError):
        get(site, path)
    assert b"thing of 3" in get(site, "").body


def test_big_pages_come_through(site):
    assert len(get(site, "big").body) == 12_000_000


def test_a_process_that_dies_is_a_fault_and_the_next_restore_works(site):
    folder = site._worker.folder
    with pytest.raises(SiteError) as error:
        get(site, "die")
    assert error.value.category == "closed"
    assert not folder.exists()
    for call in (site.changes, site.snapshot):
        with pytest.raises(Fault) as fault:
            call()
        assert fault.value.retryable
    with pytest.raises(SiteError):
        get(site, "")
    site.restore(golden(4))
    assert b"thing of 4" in get(site, "").body


def test_a_process_killed_in_the_middle_of_a_request(site):
    import threading

    pid = site._worker.pid
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(SiteError):
        get(site, "sleep")
    site.restore(golden(3))
    assert site._worker.pid != pid


def test_an_idle_process_that_was_killed_is_replaced(site):
    os.kill(site._worker.pid, signal.SIGKILL)
    site.restore(golden(3))
    assert b"thing of 3" in get(site, "").body


def test_processes_are_used_again_and_too_many_end():
    close_idle()
    sites = [odd() for _ in range(workers.IDLE + 1)]
    pids = [site._worker.pid for site in sites]
    assert len(set(pids)) == len(sites)
    for site in sites:
        site.close()
    assert until(lambda: sum(map(alive, pids)) == workers.IDLE)
    again = odd()
    assert again._worker.pid in pids
    again.close()
    close_idle()
    assert until(lambda: not any(map(alive, pids)))


def test_a_site_that_does_not_start_says_why():
    with pytest.raises(Fault, match="this site never starts"):
        borrow("web.odd_site:refuses")


def test_building_ends_its_process():
    assert built("web.odd_site:make") == b"built"
    worker = borrow("web.odd_site:make")
    with pytest.raises(RuntimeError):
        worker.call("restore", b"", (1,))
    give_back(worker)
    close_idle()


SCRIPT = """
import os, sys, time
sys.path.insert(0, {tests!r})
from web.odd_site import golden
from agentgym.environments.web.sites.worker import WorkerSite, _household
from agentgym.tools.browser.transport import Request
from agentgym.environments.web.sites.worker import SiteError
site = WorkerSite("odd.test", "web.odd_site:make", golden, 60.0)
site.restore(golden(1))
idle = WorkerSite("odd.test", "web.odd_site:make", golden)
idle.restore(golden(1))
print(site._worker.pid, idle._worker.pid, _household().base, _household()._janitor.pid, flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("end", "kill"),
    [
        ("time.sleep(60)", signal.SIGKILL),
        ("site(Request('GET', 'http://odd.test/stuck'))", signal.SIGKILL),
        ("site(Request('GET', 'http://odd.test/sleep'))", signal.SIGTERM),
        ("time.sleep(60)", signal.SIGINT),
        ("pass", None),
        ("os._exit(1)", None),
        ("import multiprocessing as m; m.get_context('fork').Process(target=time.sleep, args=(0.2,)).start()", None),
    ],
)
def test_nothing_is_left_of_a_process_that_ended(end, kill):
    root = TESTS.parent
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{TESTS}", "PYTHONWARNINGS": "ignore"}
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(tests=str(TESTS), end=end)], stdout=subprocess.PIPE, text=True,
        env=environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    first, second, base, janitor = parent.stdout.readline().split()
    if kill is not None:
        time.sleep(0.3)
        parent.send_signal(kill)
    parent.wait(60)
    parent.stdout.close()
    assert until(lambda: not any(map(alive, map(int, (first, second, janitor)))))
    assert until(lambda: not Path(base).exists())


def test_a_forked_child_leaves_its_parent_s_processes_alone(site):
    pid = os.fork()
    if pid == 0:
        try:
            site.restore(golden(2))
            ok = b"thing of 2" in get(site, "").body
            site.close()
            workers._household().close()
        finally:
            os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"thing of 3" in get(site, "").body


@pytest.fixture
def remembered(monkeypatch):
    """First pages of this test alone."""
    kept = FirstPages()
    monkeypatch.setattr(workers, "first_pages", kept)
    return kept


def test_a_first_page_is_remembered_with_what_it_wrote(remembered):
    first, second = odd(), odd()
    bodies = []
    for made in (first, second):
        made.restore(golden(3))
        bodies.append(get(made, "write").body)
    assert bodies[0] == bodies[1]  # the first one's process
    assert first.changes() == second.changes() != ()
    assert first.snapshot() == second.snapshot()
    assert b"changed" in get(second, "").body != get(first, "").body
    first.close()
    second.close()


def test_a_first_page_is_remembered_by_request_and_edits(remembered):
    site = odd()
    for edit in ("UPDATE thing SET name = 'one'", "UPDATE thing SET name = 'two'"):
        for _ in range(2):
            site.restore(golden(3), (edit,))
            assert edit.split("'")[1].encode() in get(site, "").body
            assert site.changes() == ()
            get(site, "write")
            assert len(site.changes()) == 1
    site.restore(golden(3))
    assert b"thing of 3" in get(site, "").body
    site.close()


def test_what_is_put_off_is_done_before_all_else(remembered):
    site = odd()
    for _ in range(2):
        site.restore(golden(3))
        assert b"thing of 3" in get(site, "").body
    get(site, "write")
    site.restore(golden(3))
    assert site.snapshot() == golden(3)
    site.restore(golden(3))
    assert site.changes() == ()
    site.close()


def test_a_process_that_dies_after_a_remembered_page_is_replaced(remembered):
    site = odd()
    for _ in range(2):
        site.restore(golden(3))
        get(site, "write")
    os.kill(site._worker.pid, signal.SIGKILL)
    assert len(site.changes()) == 1
    assert b"changed" in get(site, "").body
    site.close()


def test_first_pages_that_failed_are_not_remembered(remembered):
    site = odd(deadline=0.3)
    for _ in range(2):
        site.restore(golden(3))
        with pytest.raises(SiteError):
            get(site, "sleep")
        assert b"thing of 3" in get(site, "").body
    site.close()


def test_first_pages_are_bounded():
    kept = FirstPages(limit=3_000)
    pages = [First(Response(200, (), bytes(900)), None, ()) for _ in range(5)]
    for number, page in enumerate(pages):
        kept.keep(("site", b"%d" % number, ()), Request("GET", "http://odd.test/"), page)
    starts = [("site", b"%d" % number, ()) for number in range(5)]
    assert [kept.knows(start) for start in starts] == [False, False, True, True, True]
    assert kept.find(starts[4], Request("GET", "http://odd.test/")) is pages[4]
    assert kept.find(starts[4], Request("GET", "http://odd.test/other")) is None
