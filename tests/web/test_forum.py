"""The forum: django-machina."""

import agentgym
from agentgym.environments.web.sites import SITES
from agentgym.tools.browser.transport import Request
from web import site_checks as checks

MODERATOR = ("UPDATE agentgym_world SET visitor = 2",)


def pages(world=3):
    row = SITES["forum"].world(world).rows(
        "SELECT t.id, t.slug, f.slug || '-' || f.id AS forum FROM forum_conversation_topic t JOIN forum_forum f"
        " ON f.id = t.forum_id WHERE t.status = 0 ORDER BY t.id"
    )[0]  # fmt: skip
    topic = f"/forum/{row['forum']}/topic/{row['slug']}-{row['id']}/"
    return ("/", f"/forum/{row['forum']}/", topic, f"{topic}post/create/", f"/forum/{row['forum']}/topic/create/",
            "/search/", "/search/?q=kettle", "/member/profile/1/", "/member/profile/edit/", "/member/profile/1/posts/",
            "/member/subscriptions/", f"/member/topic/{row['id']}/subscribe/", "/login/", "/nothing")  # fmt: skip


def test_the_same_bytes_twice():
    checks.same_bytes_twice("forum")


def test_reading_changes_nothing():
    checks.reading_changes_nothing("forum", pages(2))
    checks.reading_changes_nothing("forum", (*pages(2), "/moderation/queue/"), MODERATOR)


def test_injected_text():
    checks.injected_text_is_read("forum")


def test_a_topic_is_opened_by_a_link_to_one_of_its_posts_too():
    env = agentgym.make(checks.ENV, templates=("forum-where",))
    env.reset(seed=0, options={"task_id": "train/0"})
    task = env.game.tasks().get("train/0")
    env.step(f"goto('http://forum.test{task.data['notes']['path']}?post=1')")
    *_, info = env.step(f"send_msg_to_user({task.data['notes']['answer']!r})")
    assert info["success"]
    env.close()


def test_a_member_can_t_moderate():
    env = agentgym.make(checks.ENV, templates=("forum-author",))
    env.reset(seed=0)
    observation, *_ = env.step("goto('http://forum.test/moderation/queue/')")
    assert "status 403" in observation
    env.close()


def test_permissions_are_those_of_the_database_that_is_open():
    site = SITES["forum"].make()
    hidden = "INSERT INTO forum_permission_userforumpermission VALUES (NULL, 0, 0, 2, 2, 1, 0)"
    for edits, shown in (((), True), ((hidden,), False)) * 2:
        for path in ("/", "/forum/kitchen-2/"):
            site.restore(site.golden(3), edits)
            response = site(Request("GET", f"http://forum.test{path}"))
            assert (response.status == 200 and b"/forum/kitchen-2/" in response.body) == shown, (edits, path)
    site.close()


def test_backends_are_equal(chromium):
    checks.equal_in_chromium("forum")


def test_the_engine_agrees_with_chromium_s_own_accessibility_tree(chromium):
    for paths, edits in ((pages(), ()), ((*pages(), "/moderation/queue/"), MODERATOR)):
        share, wrong = checks.tree_of("forum", paths, edits)
        assert not wrong
        assert share >= 0.995
