"""The code browser: klaus."""

from agentgym.environments.web.sites import SITES
from agentgym.tools.browser.transport import Request
from web import site_checks as checks


def pages(world):
    row = SITES["code"].world(world).rows("SELECT repo, path FROM agentgym_constant ORDER BY repo, path")[0]
    repo, path = row["repo"], row["path"]
    return ("/", f"/{repo}/", f"/{repo}/tree/main/", f"/{repo}/tree/main/src", f"/{repo}/blob/main/{path}",
            f"/{repo}/tree/main/{path}", f"/{repo}/blame/main/{path}", f"/{repo}/commit/main/",
            f"/{repo}/blob/main/README.md", f"/{repo}/blob/main/nothing", "/nothing/", "/?by-name=1")  # fmt: skip


def test_the_same_bytes_twice():
    checks.same_bytes_twice("code")


def test_reading_changes_nothing():
    checks.reading_changes_nothing("code", pages(2))


def test_injected_text():
    checks.injected_text_is_read("code")


def test_worlds_don_t_mix():
    site = SITES["code"].make()
    texts = []
    for world in (3, 4, 3):
        site.restore(site.golden(world))
        texts.append([site(Request("GET", f"http://code.test{path}")).body for path in pages(3)])
    assert texts[0] == texts[2]
    assert texts[0] != texts[1]
    site.close()


def test_backends_are_equal(chromium):
    checks.equal_in_chromium("code")


def test_the_engine_agrees_with_chromium_s_own_accessibility_tree(chromium):
    share, wrong = checks.tree_of("code", pages(3), kept=checks.plain)
    assert not wrong
    assert share >= 0.995
