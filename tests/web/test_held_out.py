"""The engine against Chromium's own accessibility tree on an application that is none of the sites: Django's admin."""

import collections
import os
from pathlib import Path

import pytest

from agentgym.environments.web.sites.worker import WorkerSite, built, close_idle
from agentgym.tools.browser.text import TextBrowser
from agentgym.tools.browser.transport import Router
from agentgym.tools.browser.urls import AllowList
from web.test_accuracy import LINES, held

HOST, TARGET = "library.test", "web.admin_app.inside:make"
BOOKS = "admin_app/book/"
PAGES = (
    "", "admin_app/", "password_change/", "auth/user/", "auth/user/add/", "auth/user/2/change/", "auth/user/2/password/",
    "auth/group/1/change/", "sites/site/1/change/", BOOKS, f"{BOOKS}?kind__exact=n", f"{BOOKS}?published__year=2020",
    f"{BOOKS}?q=river&on_shelf__exact=1", f"{BOOKS}?q=nothing-like-it", f"{BOOKS}?p=2", f"{BOOKS}?o=-3.1", f"{BOOKS}add/",
    f"{BOOKS}6/change/", f"{BOOKS}6/delete/", f"{BOOKS}6/history/", "admin_app/author/", "admin_app/author/?alive__exact=1",
    "admin_app/author/add/", "admin_app/author/2/delete/", "admin_app/subject/", "admin_app/copy/", "admin_app/copy/3/change/",
    "admin_app/copy/add/", "admin_app/review/", "admin_app/review/2/change/",
)  # fmt: skip


@pytest.fixture
def browsers(chromium, monkeypatch):
    from agentgym.tools.browser.chromium import ChromiumBrowser

    tests = str(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", f"{tests}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    data = built(TARGET)
    site = WorkerSite(HOST, TARGET, lambda world: data)
    site.restore(data)
    router, allow = Router({HOST: site}), AllowList(frozenset({HOST}))
    text, live = TextBrowser(router, allow), ChromiumBrowser(router, allow)
    live.restart()
    yield text, live
    live.close()
    site.close()
    close_idle()


def test_lines_and_widgets_agree_on_django_s_admin(browsers):
    text, live = browsers
    count, differing = collections.Counter(), []
    for path in PAGES:
        for browser in browsers:
            assert not browser.do("goto", {"url": f"http://{HOST}/admin/{path}"}).category, path
        assert text.page.view.lines == live.page.view.lines, path
        held(text, live, count, differing)
    for path, button in (("auth/group/add/", "Save"), (BOOKS, "Go")):
        for browser in browsers:
            browser.do("goto", {"url": f"http://{HOST}/admin/{path}"})
            line = next(line for line in browser.page.view.lines if f"button '{button}'" in line)
            ref = line.partition(f"] button '{button}'")[0].rpartition("[")[2]
            browser.do("click", {"bid": ref})
        assert text.page.view.lines == live.page.view.lines, path
        held(text, live, count, differing)
    assert count["same"] / count["lines"] >= LINES, count
    assert not differing
