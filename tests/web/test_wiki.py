"""The wiki: An Otter Wiki."""

import subprocess
import zlib

import pytest

from agentgym.environments.web.sites import SITES
from agentgym.environments.web.sites.repository import Commit, git_files
from agentgym.environments.web.sites.world import World
from agentgym.tools.browser.transport import Request
from agentgym.tools.browser.urls import form_encoded
from web import site_checks as checks


def pages(world):
    first = (
        SITES["wiki"].world(world).rows("SELECT name FROM agentgym_page WHERE name != 'Home' ORDER BY id")[0]["name"]
    )
    ways = ("", "?edit", "/edit", "/history", "/rename", "/delete", "/blame", "/source", "/attachments")
    return ("/", "/-/create", "/-/index", "/-/changelog", "/-/search/limit", "/-/about", "/-/help", "/Nothing",
            *(f"/{first}{way}" for way in ways))  # fmt: skip


@pytest.fixture
def site():
    made = SITES["wiki"].make()
    made.restore(made.golden(3))
    yield made
    made.close()


def get(site, path):
    return site(Request("GET", f"http://wiki.test{path}"))


def post(site, path, form_path, **form):
    """Sends a form, with the token of the page that it is on."""
    page = get(site, form_path)
    token = page.body.decode().partition('name="csrf_token" value="')[2].partition('"')[0]
    cookie = page.header("set-cookie").partition(";")[0]
    headers = (("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie))
    body = form_encoded([("csrf_token", token), *form.items()]).encode()
    return site(Request("POST", f"http://wiki.test{path}", headers, body))


def test_the_same_bytes_twice():
    checks.same_bytes_twice("wiki")


def test_reading_changes_nothing():
    checks.reading_changes_nothing("wiki", pages(2))


def test_injected_text():
    checks.injected_text_is_read("wiki")


def test_pages_and_history_come_back(site):
    name = SITES["wiki"].world(3).rows("SELECT name FROM agentgym_page WHERE name != 'Home' ORDER BY id")[0]["name"]
    before = get(site, f"/{name}/history").body
    assert post(site, f"/{name}/save", f"/{name}?edit", content="# New\r\n\r\ntext", commit="why").status == 302
    (change,) = site.changes()
    assert (change.table, change.columns, change.after["text"]) == ("page", ("text",), "# New\n\ntext")
    saved, now = site.snapshot(), get(site, f"/{name}/history").body
    assert b"why" in now
    site.restore(site.golden(3))
    assert site.changes() == ()
    assert get(site, f"/{name}/history").body == before
    site.restore(saved)
    assert site.changes() == (change,)
    assert get(site, f"/{name}/history").body == now
    files = World(saved).rows("SELECT data FROM agentgym_file WHERE path LIKE 'objects/__/%'")
    commits = [text for text in (zlib.decompress(row["data"]) for row in files) if text.startswith(b"commit")]
    assert commits and all(b"\ncommitter Wiki <wiki@wiki.test> " in text for text in commits)  # not this machine's user


def test_forms_need_their_token(site):
    response = site(Request("POST", "http://wiki.test/Home/save", (("content-type", "application/x-www-form-urlencoded"),),
                            b"content=x"))  # fmt: skip
    assert response.status in (400, 403)
    assert site.changes() == ()


def test_repositories_are_the_same_everywhere_and_git_reads_them(tmp_path):
    commits = [Commit("Ann Ö", "a@x.example", 1_700_000_000, "One\n\nmore", {"a.md": "x\n", "b/c.md": "ü"}),
               Commit("Bo", "b@x.example", 1_700_000_100, "Two", {"a.md": None, "b/c.md": "z"})]  # fmt: skip
    files = git_files(commits)
    assert files == git_files(commits)
    assert not [name for name in files if name.startswith("logs/")]  # a reflog would hold the time and this machine
    for name, data in files.items():
        place = tmp_path / ".git" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    (tmp_path / ".git" / "refs").mkdir(exist_ok=True)

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert git("fsck", "--strict") == ""
    assert git("log", "--format=%an %ae %at %s") == "Bo b@x.example 1700000100 Two\nAnn Ö a@x.example 1700000000 One\n"
    assert git("ls-files") == "b/c.md\n"


def test_backends_are_equal(chromium):
    checks.equal_in_chromium("wiki")


def test_the_engine_agrees_with_chromium_s_own_accessibility_tree(chromium):
    share, wrong = checks.tree_of("wiki", pages(3), kept=checks.plain)
    assert not wrong
    assert share >= 0.995
