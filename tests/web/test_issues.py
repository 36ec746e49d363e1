"""The issue tracker: Roundup."""

import pytest

import agentgym
from agentgym.environments.web.sites import SITES
from agentgym.tools.browser.transport import Request
from agentgym.tools.browser.urls import form_encoded
from web import site_checks as checks

PAGES = ("/", "/issue3", "/issue5", "/issue?@template=search", "/issue?@template=item", "/keyword?@template=item",
         "/user", "/user3", "/user4", "/msg5", "/issue?@search_text=patch", "/issue?@search_text=zzzz", "/nothing",
         "/issue?@columns=title,status&@filter=status&status=2", "/query?@template=edit", "/issue999")  # fmt: skip


@pytest.fixture
def site():
    made = SITES["issues"].make()
    made.restore(made.golden(3))
    yield made
    made.close()


def get(site, path):
    return site(Request("GET", f"http://issues.test{path}"))


def post(site, path, **form):
    headers = (("content-type", "application/x-www-form-urlencoded"), ("referer", "http://issues.test/"),
               ("origin", "http://issues.test"))  # fmt: skip
    body = form_encoded([(name.replace("note", "@note"), value) for name, value in form.items()]).encode()
    return site(Request("POST", f"http://issues.test{path}", headers, body))


def test_the_same_bytes_twice():
    checks.same_bytes_twice("issues")


def test_reading_changes_nothing():
    checks.reading_changes_nothing("issues", PAGES)


def test_injected_text():
    checks.injected_text_is_read("issues")


def test_the_tracker_finds_the_words_that_were_seeded(site):
    world = SITES["issues"].world(3)
    row = world.rows("SELECT issue, value, _title AS title FROM agentgym_fact JOIN _issue ON id = issue"
                     " WHERE name = 'code'")[0]  # fmt: skip
    word = row["value"].partition("-")[0]
    assert row["title"] in get(site, f"/issue?@search_text={word}&@columns=title").body.decode()
    found = get(site, f"/issue{row['issue']}").body.decode()
    assert row["value"] in found


def test_changes_are_typed_and_messages_come_back(site):
    before = get(site, "/issue3").body
    status = SITES["issues"].world(3).rows("SELECT _status AS n FROM _issue WHERE id = 3")[0]["n"]
    assert post(site, "/issue3", **{"@action": "edit", "note": "a\nb", "status": str(status % 8 + 1)}).status in (
        200,
        302,
    )
    found = {(change.table, change.before is None): change for change in site.changes()}
    assert set(found) == {("issue", False), ("message", True)}
    assert found["issue", False].columns == ("status",)
    assert found["message", True].after["text"].split() == ["a", "b"]
    saved, now = site.snapshot(), get(site, "/issue3").body
    site.restore(site.golden(3))
    assert site.changes() == ()
    assert get(site, "/issue3").body == before
    site.restore(saved)
    assert get(site, "/issue3").body == now
    assert len(site.changes()) == 2


def test_there_are_no_interfaces_beside_the_pages(site):
    assert get(site, "/rest/data/issue").status in (400, 403, 404)
    assert post(site, "/xmlrpc").status in (400, 403, 404)
    assert site.changes() == ()


def test_a_stray_change_fails_the_task():
    env = agentgym.make(checks.ENV, templates=("issues-edit",))
    env.reset(seed=0)
    key = env.game.state.notes["id"] % 30 + 1
    post(env.game._sites["issues"], f"/issue{key}", **{"@action": "edit", "title": "Spoiled"})
    while env.running:
        *_, info = env.step(env.expert_message())
    assert not info["success"]
    env.close()


def test_backends_are_equal(chromium):
    checks.equal_in_chromium("issues")


def test_the_engine_agrees_with_chromium_s_own_accessibility_tree(chromium):
    share, wrong = checks.tree_of("issues", PAGES, kept=checks.plain)
    assert not wrong
    assert share >= 0.995
