"""Web-v0: the conformance suite, every template, goals, rewards, hacks, and equality of the backends."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentgym
from agentgym.core.seeding import derive_rng
from agentgym.environments.web.goals import Answer, Goal, Place, Want, form_share, right_answer, standing
from agentgym.environments.web.sites import FIRST_PARTY
from agentgym.environments.web.sites.book import make_site
from agentgym.environments.web.sites.book.world import golden
from agentgym.environments.web.sites.changes import Change
from agentgym.environments.web.state import Progress
from agentgym.environments.web.tasks import make_task, templates
from agentgym.testing import check_agent_env
from agentgym.tools.browser.transport import Logged

ENV = "agentgym/Web-v0"


@pytest.fixture(scope="module")
def env():
    made = agentgym.make(ENV)
    yield made
    made.close()


def expertly(env):
    info = {}
    while env.running:
        *_, info = env.step(env.expert_message())
    return info


def test_the_conformance_suite():
    check_agent_env(ENV, tasks=6, cheat_tasks=25)


def test_splits_share_neither_worlds_nor_held_out_templates(env):
    seen = {}
    for split in env.game.tasks().splits:
        tasks = [env.game.tasks().get(f"{split}/{i}") for i in range(60)]
        seen[split] = ({task.data["world"] for task in tasks}, {task.data["template"] for task in tasks})
    assert len(seen) == 4
    for a in seen:
        for b in seen:
            if a < b:
                assert not seen[a][0] & seen[b][0]
    held = {item.name for item in templates(FIRST_PARTY) if item.held_out}
    assert seen["templates"][1] <= held
    assert not (seen["train"][1] | seen["test"][1]) & held


def test_worlds_differ_and_are_rebuilt_equal():
    assert golden(1) != golden(2)
    first = golden(3)
    golden.cache_clear()
    assert golden(3) == first


# ------------------------------------------------------------------ state of the site


@pytest.fixture
def book():
    site = make_site()
    site.restore(golden(5))
    yield site
    site.close()


def test_changes_are_net_and_survive_copies(book):
    db = book._db
    assert book.changes() == ()
    name = db.execute("SELECT name FROM contact WHERE id = 3").fetchone()[0]
    db.execute("UPDATE contact SET name = 'x' WHERE id = 3")
    db.execute("INSERT INTO contact (name) VALUES ('new')")
    db.execute("DELETE FROM product WHERE id = 2")
    kinds = [(change.table, change.row, change.before is None, change.after is None) for change in book.changes()]
    assert kinds == [("contact", 3, False, False), ("contact", 35, True, False), ("product", 2, False, True)]
    assert book.changes()[0].columns == ("name",)
    other = make_site()
    other.restore(book.snapshot())
    assert other.changes() == book.changes()
    other.close()
    db.execute("UPDATE contact SET name = ? WHERE id = 3", (name,))
    db.execute("DELETE FROM contact WHERE name = 'new'")
    assert [change.table for change in book.changes()] == ["product"]


def test_edits_of_a_task_are_no_changes(book):
    book.restore(golden(5), ("UPDATE contact SET notes = 'x'",))
    assert book.changes() == ()
    assert book._db.execute("SELECT DISTINCT notes FROM contact").fetchall() == [("x",)]


def test_gets_never_write():
    env = agentgym.make(ENV)
    env.reset(seed=1)
    for path in ("/", "/contacts", "/orders?q=a&sort=total", "/orders/1001/cancel", "/contacts/1/delete", "/settings",
                 "/orders/1001/status", "/products/1", "/contacts/99999999999999999999", "/%00", "/contacts?page=-1"):  # fmt: skip
        env.step(f"goto('http://book.test{path}')")
        assert env.game.changes == ()
    env.close()


# ------------------------------------------------------------------ goals


def change(before, after, row=1):
    return Change("t", row, before, after)


def test_standing_of_a_changed_row():
    goal = Goal(wants=(Want("t", "change", {"a": 1, "b": 2}, 1),))
    old = {"a": 0, "b": 0, "c": 0}
    assert standing(goal, ()).share == 0.0
    assert standing(goal, (change(old, old | {"a": 1}),)).share == 0.5
    full = standing(goal, (change(old, old | {"a": 1, "b": 2}),))
    assert (full.share, full.wrong) == (1.0, 0)
    stray = standing(goal, (change(old, old | {"a": 1, "b": 2, "c": 9}), change(old, None, 2)))
    assert (stray.share, stray.wrong) == (1.0, 2)
    assert standing(goal, (change(old, None),)).wrong == 1


def test_each_added_row_counts_for_one_want():
    goal = Goal(wants=(Want("t", "add", {"a": 1}), Want("t", "add", {"a": 1})))
    assert standing(goal, (change(None, {"a": 1}),)).share == 0.5
    assert standing(goal, (change(None, {"a": 1}), change(None, {"a": 1}, 2))).share == 1.0
    third = standing(goal, tuple(change(None, {"a": 1}, i) for i in range(3)))
    assert (third.share, third.wrong) == (1.0, 1)


@given(st.lists(st.integers(0, 3), max_size=12))
def test_the_potential_can_t_be_farmed(path):
    # Whatever is done and undone, the sum of goal_delta is the potential of the last state minus that of the first.
    progress = Progress.start(Goal(wants=(Want("t", "change", {"a": 1, "b": 2}, 1),)))
    states = [(), (change({"a": 0, "b": 0}, {"a": 1, "b": 0}),), (change({"a": 0, "b": 0}, {"a": 1, "b": 2}),),
              (change(None, {"a": 5}, 7),)]  # fmt: skip
    parts = [progress.database(states[i]) for i in path]
    last = standing(progress.goal, states[path[-1]] if path else ())
    assert sum(part["goal_delta"] for part in parts) == pytest.approx(last.share)
    assert sum(part["wrong_write"] for part in parts) == -last.wrong


def test_milestones_are_paid_once_and_in_order():
    progress = Progress.start(Goal(route=(Place("/a", {}), Place("/b", {"q": "1"}))))

    def get(path, query=""):
        return progress.requests([Logged("GET", "h", path, query, (), 200)])["milestone"]

    assert get("/b", "q=1") == 0.0
    assert get("/a") == 0.5
    assert get("/a") == 0.0
    assert get("/b", "q=2") == 0.0
    assert get("/b", "q=1&r=") == 0.5
    assert get("/b", "q=1") == 0.0


def test_forms_count_when_they_are_sent():
    goal = Goal(wants=(Want("t", "add", {"a": "x", "b": 1250, "c": 1}),))

    def sent(**form):
        return form_share(goal, [Logged("POST", "h", "/", "", tuple(form.items()), 303)])

    assert sent(a="x", b="12.50", c="1") == 1.0
    assert sent(a="x", b="3", c="0") == pytest.approx(1 / 3)
    assert sent(z="1") is None
    assert form_share(goal, [Logged("GET", "h", "/", "", (("a", "x"), ("b", "1")), 200)]) is None


@pytest.mark.parametrize(
    ("kind", "value", "right", "wrong"),
    [
        ("text", "Ann Lee", ["Ann Lee", " ann  lee. ", "'Ann Lee'"], ["Ann", "It is Ann Lee", "Ann Lee, Bob", ""]),
        ("number", 12, ["12", "12.0", "'12'"], ["112", "12 orders", "-12", "", "1e1", "nan"]),
        ("money", 125050, ["$1,250.50", "1250.5", "1,250.50 USD"], ["1250", "$1,250.51", "$$1250.50"]),
        (
            "money",
            1250,
            ["$12.50", "12.5", "12.50 USD", "USD 12.50", "12.50 dollars", "US$12.50"],
            ["12", "12,50", "EUR 12.50"],
        ),
        ("time", "09:30", ["09:30", "9:30", "9:30 AM"], ["9:30 pm", "930", "09:31", "9"]),
        (
            "date",
            "2026-03-04",
            [
                "2026-03-04",
                "4 March 2026",
                "March 4, 2026",
                "Wednesday 4 March 2026",
                "Wed, 4 Mar 2026",
                "March 4th, 2026",
                "2026/03/04",
                "04.03.2026",
            ],
            ["2026-03-05", "March", "20260304x", "Thursday 4 March 2026", "4 March"],
        ),
        ("set", ["A B", "C"], ["a b, c", "C; A B", "C and A B"], ["A B", "A B, C, D", "A B, C, C"]),
    ],
)
def test_answers_count_by_type_and_as_a_whole(kind, value, right, wrong):
    answer = Answer(kind, value)
    assert all(right_answer(answer, text) for text in right)
    assert not any(right_answer(answer, text) for text in wrong)
    assert not right_answer(answer, f"{right[0]} " + "x" * 1000)


@given(st.text(max_size=60))
def test_any_answer_is_judged_without_an_exception(text):
    for kind, value in (("text", "x"), ("number", 1), ("money", 1), ("date", "2026-01-01"), ("set", ["x"])):
        right_answer(Answer(kind, value), text)


def test_goals_are_plain_data():
    for number in range(40):
        data = make_task("train", number).reference["goal"]
        import json

        assert Goal.from_dict(json.loads(json.dumps(data))).to_dict() == Goal.from_dict(data).to_dict()


# ------------------------------------------------------------------ hacks


def test_a_guessed_answer_without_looking_fails(env):
    for number in range(200):
        task = make_task("train", number)
        if task.reference["goal"]["must_see"] and task.reference["goal"]["answer"]:
            env.reset(seed=0, options={"task_id": task.task_id})
            *_, info = env.step(f"send_msg_to_user({str(task.data['notes']['answer'])!r})")
            assert info["rewards"]["answer"] == 1.0
            assert info["rewards"]["goal"] == 0.0
            assert not info["success"]
            break
    else:
        pytest.fail("no such task")


def test_collateral_damage_fails_the_task():
    env = agentgym.make(ENV, templates=("set-price",))
    env.reset(seed=3)
    for message in ("goto('http://book.test/settings')", "fill('a6', 'Spoiled')", "click('a9')"):
        _, _, _, _, info = env.step(message)
    assert info["rewards"]["wrong_write"] == -1.0
    info = expertly(env)
    assert not info["success"]
    assert env.ledger.total == 0.0
    env.close()


def test_asking_after_the_fact_is_no_asking():
    env = agentgym.make(ENV, templates=("ask-before-cancelling",))
    task = next(task for i in range(50) if (task := env.game.tasks().get(f"train/{i}")).data["notes"]["agrees"])
    env.reset(seed=0, options={"task_id": task.task_id})
    key = task.data["notes"]["id"]
    env.step(f"goto('http://book.test/orders/{key}')")
    env.step(f"goto('http://book.test/orders/{key}/cancel')")
    observation, *_ = env.step("click('a7')")
    assert "was cancelled" in observation
    observation, *_ = env.step("send_msg_to_user('Shall I cancel it?')")
    assert observation == "User: Yes, go ahead."
    *_, info = env.step("send_msg_to_user('done')")
    assert not info["success"]
    env.close()


def test_orders_on_pages_are_read_and_needn_t_be_followed():
    env = agentgym.make(ENV, injected=1.0, templates=("contact-email", "set-note"))
    read = False
    for number in range(6):
        env.reset(seed=number)
        while env.running:
            observation, _, _, _, info = env.step(env.expert_message())
            read = read or "ASSISTANTS" in observation or "assistant" in observation or "System message" in observation
        assert info["success"]
    assert read
    env.close()


def test_repeats_cost_and_the_cost_is_capped(env):
    env.reset(seed=2)
    messages = ("goto('http://book.test/orders')", "goto('http://book.test/')") * 10
    costs = [env.step(message)[4]["rewards"].get("repeat", 0.0) for message in messages]
    assert sum(costs) == -5.0


def test_a_failing_site_is_an_observation_and_the_next_reset_works(env):
    from agentgym.tools.browser.transport import SiteError

    env.reset(seed=2)
    site = env.game._router.sites["book.test"]

    class Dead:
        host = "book.test"

        def __call__(self, request):
            raise SiteError("closed", "The site's process died.")

        def __getattr__(self, name):
            return getattr(site, name)

    env.game._router.sites["book.test"] = Dead()
    observation, _, terminated, truncated, _ = env.step("goto('http://book.test/orders')")
    assert "Error (closed)" in observation
    assert not terminated
    assert not truncated
    env.game._router.sites["book.test"] = site
    env.reset(seed=3)
    assert expertly(env)["success"]


# ------------------------------------------------------------------ both backends


def test_backends_are_equal_over_tasks_with_mistakes(chromium):
    text, live = agentgym.make(ENV), agentgym.make(ENV, backend="chromium")
    everything = bool(os.environ.get("AGENTGYM_TEST_WEB"))
    for number, template in enumerate(templates(FIRST_PARTY)):
        if not everything and number % 6:
            continue
        split = "templates" if template.held_out else "train"
        task = next(t for i in range(1_000) if (t := make_task(split, i)).data["template"] == template.name)
        options, rng = {"task_id": task.task_id}, derive_rng("equality", number)
        assert text.reset(seed=number, options=options) == live.reset(seed=number, options=options)
        for _ in range(10):
            message = live.expert_message(mistake_rate=0.3, rng=rng)
            assert text.step(message) == live.step(message), (task.data["text"], message)
            assert text.game.changes == live.game.changes
            if not live.running:
                break
    text.close()
    live.close()


def test_the_engine_agrees_with_chromium_s_own_accessibility_tree(chromium):
    from agentgym.tools.browser.chromium import ChromiumBrowser
    from agentgym.tools.browser.transport import Router
    from agentgym.tools.browser.urls import AllowList
    from web.axtree import chromium_tree, ours

    site = make_site()
    site.restore(golden(3))
    browser = ChromiumBrowser(Router({"book.test": site}), AllowList(frozenset({"book.test"})))
    browser.restart()
    for path in ("/", "/contacts", "/contacts?q=zzz", "/contacts/3", "/contacts/new", "/contacts/3/edit", "/orders",
                 "/contacts/3/delete", "/orders/1003", "/orders/1001/cancel", "/orders/new", "/products", "/products/3",
                 "/settings", "/nope"):  # fmt: skip
        browser.open(f"http://book.test{path}")
        html = browser._server.kept[f"http://book.test{path}"][1]
        assert ours(html) == browser._run(chromium_tree(browser.tab.handle)), path
    browser.close()
    site.close()


# ------------------------------------------------------------------ sites


def test_sites_are_chosen_and_wrong_ones_are_named():
    from agentgym.core.errors import ConfigError, UnknownNameError
    from agentgym.environments.web.tasks import WebTasks

    assert WebTasks().sites == FIRST_PARTY
    assert WebTasks(sites="book").sites == ("book",)
    assert WebTasks(("set-note",)).sites == ("book",)
    with pytest.raises(UnknownNameError, match="Did you mean 'book'"):
        agentgym.make(ENV, sites=("boook",))
    with pytest.raises(ConfigError, match="share of the tasks"):
        agentgym.make(ENV, injected=1.5)


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch):
    from agentgym.core.errors import MissingExtraError
    from agentgym.environments.web import sites

    kind = sites.SiteKind("book", sites.SITES["book"].module, "web-sites", needs=("no_such_package",))
    monkeypatch.setattr(sites, "SITES", {"book": kind})
    with pytest.raises(MissingExtraError, match=r"pip install 'agentgym-kit\[web-sites\]'"):
        kind.make()
    with pytest.raises(MissingExtraError):
        kind.world(1)


def test_sites_of_several_are_told_apart():
    one, two = Change("t", 1, None, {"a": 1}, "mail"), Change("t", 1, None, {"a": 1}, "book")
    goal = Goal(wants=(Want("t", "add", {"a": 1}, site="book"),))
    assert standing(goal, (one,)).share == 0.0
    assert standing(goal, (two,)).wrong == 0
    assert Place("/x", {}, "a.test").matches("/x", "", "a.test")
    assert not Place("/x", {}, "a.test").matches("/x", "", "b.test")


@pytest.mark.parametrize("path", ["/contacts/3.json", "/Contacts/3.JSON", "/contacts/3%2Ejson", "/contacts/3.json?x=1"])
def test_ways_round_a_task_are_closed(path):
    from agentgym.tools.browser.urls import AllowList

    allow = AllowList(frozenset({"book.test"}), ("book.test/*.json", "book.test/*.json?*", "book.test/api/*"))
    assert "closed" in allow.problem(f"http://book.test{path}")
    assert not allow.problem("http://book.test/contacts/3")
