"""Mail, calendar and map: content, pages, forms, times and ways, templates over many worlds, and Chromium's own tree."""

import os
import re
from datetime import date, timedelta
from functools import cache
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentgym
from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites import FIRST_PARTY, SITES
from agentgym.environments.web.sites.calendar.times import gaps, occurrences, overlapping
from agentgym.environments.web.sites.kit.days import a_day, a_time, time_words
from agentgym.environments.web.sites.kit.fields import addresses
from agentgym.environments.web.sites.map.graph import distances, edges, legs
from agentgym.environments.web.tasks import templates
from agentgym.tools.browser.transport import Request
from agentgym.tools.browser.urls import form_encoded

OWN = ("mail", "calendar", "map")
ENV = "agentgym/Web-v0"
EVERYTHING = bool(os.environ.get("AGENTGYM_TEST_WEB"))
NEW = [item.name for item in templates(FIRST_PARTY) if set(item.sites) & set(OWN)]


@pytest.fixture(params=OWN)
def site(request):
    made = SITES[request.param].make()
    made.restore(made.golden(4))
    yield made
    made.close()


def get(site, path):
    return site(Request("GET", f"http://{site.host}{path}"))


def post(site, path, **form):
    body = form_encoded([("token", "b00c5e55"), *form.items()]).encode()
    headers = (("content-type", "application/x-www-form-urlencoded"),)
    return site(Request("POST", f"http://{site.host}{path}", headers, body))


def pages(site, most):
    """Paths of a site that its links lead to, at most three of a kind."""
    found, kinds, queue = [], {}, ["/", "/nothing/here"]
    while queue and len(found) < most:
        path = queue.pop(0)
        kind = re.sub(r"\d+", "0", path.partition("=")[0])
        if path in found or kinds.get(kind, 0) >= 3:
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
        found.append(path)
        body = get(site, path).body.decode()
        queue += [unescape(href) for href in re.findall(r'<a href="(/[^"]*)"', body)]
    return found


# ------------------------------------------------------------------ content and pages


@pytest.mark.parametrize("name", OWN)
def test_worlds_differ_and_are_rebuilt_equal(name):
    site = SITES[name].make()
    first = site.golden(3)
    assert site.golden(7) != first
    site.golden.cache_clear()
    assert site.golden(3) == first
    site.close()


def test_the_sites_of_a_world_know_the_same_people_and_the_same_day():
    for world in range(12):
        book, mail, calendar, town = (SITES[name].world(world) for name in ("book", *OWN))
        contacts = {row["email"] for row in book.rows("SELECT email FROM contact")}
        assert {row["email"] for row in mail.rows("SELECT email FROM correspondent")} <= contacts
        assert {row["email"] for row in calendar.rows("SELECT email FROM acquaintance")} <= contacts
        days = [book.rows("SELECT today FROM setting"), mail.rows("SELECT today FROM mailbox"),
                calendar.rows("SELECT today FROM planner"), town.rows("SELECT today FROM traveller")]  # fmt: skip
        assert len({rows[0]["today"] for rows in days}) == 1


def test_every_page_opens_and_no_get_writes(site):
    before = site.snapshot()
    found = pages(site, 120)
    assert len(found) > 25
    for path in found:
        assert get(site, path).status == (404 if path == "/nothing/here" else 200) or "edit" in path, path
    assert site.changes() == ()
    assert site.snapshot() == before


@pytest.mark.parametrize("query", ["page=-1", "page=999999999999", "day=2026-02-30", "day=9999-99-99", "month=1-1", "q=%00",
                                   "near=99999999999999999999", "minutes=-5", "from=nowhere&to=1", "q=%27%22%3Cb%3E", "by=%F0",
                                   "in=x&from=%25", "list=Nope", "sort=id;DROP+TABLE+place", "day=0001-01-01"])  # fmt: skip
def test_odd_questions_are_answered(site, query):
    for path in ("/", "/search", "/places", "/route", "/saved", "/week", "/month", "/free", "/people", "/labels",
                 "/compose", "/events/new", "/events/1/delete", "/day/2026-02-30", "/day/0001-01-01"):  # fmt: skip
        response = get(site, f"{path}?{query}")
        assert response.status in (200, 404), (path, response.body)
        assert "<b>'" not in response.body.decode()
    assert site.changes() == ()


@cache
def forms(name):
    """Address and fields of all forms of a site."""
    site = SITES[name].make()
    site.restore(site.golden(4))
    found = set()
    for path in pages(site, 80):
        for form in re.findall(r'<form method="post".*?</form>', get(site, path).body.decode(), re.DOTALL):
            action = unescape(re.search(r'action="([^"]*)"', form)[1])
            found.add((action, tuple(sorted(set(re.findall(r'name="([^"]+)"', form)) - {"token", "website"}))))
    site.close()
    return sorted(found)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_no_form_breaks_the_site(data):
    name = data.draw(st.sampled_from(OWN))
    action, fields = data.draw(st.sampled_from(forms(name)))
    value = st.one_of(
        st.text(max_size=20), st.sampled_from(["", "0", "1", "-1", "9" * 30, "2026-02-30", "25:99", "a@b.c"])
    )
    form = {field: data.draw(value) for field in fields}
    site = SITES[name].make()
    site.restore(site.golden(4))
    assert post(site, action, **form).status in (200, 303, 403, 404, 422), (action, form)
    assert get(site, "/").status == 200
    site.close()


def test_posts_need_the_token_and_fall_into_the_trap(site):
    path = {"mail": "/compose", "calendar": "/events/new", "map": "/settings"}[site.host.partition(".")[0]]
    assert post(site, path, token="").status == 403
    assert post(site, path, website="x").status == 403
    assert site.changes() == ()


# ------------------------------------------------------------------ mail


@pytest.fixture
def mail():
    made = SITES["mail"].make()
    made.restore(made.golden(4))
    yield made
    made.close()


def test_a_message_is_sent_answered_and_kept_as_a_draft(mail):
    assert (
        post(mail, "/compose", recipients="B@x.example; a@x.example a@x.example", subject="S", body="T").status == 303
    )
    assert post(mail, "/compose", recipients="nobody", subject="S", body="T").status == 422
    assert post(mail, "/compose", recipients="a@x.example", body="").status == 422
    assert post(mail, "/compose", recipients="nobody", keep="1").status == 303
    sent, draft = (change.after for change in mail.changes())
    assert (sent["recipients"], sent["folder"], draft["folder"]) == ("a@x.example, b@x.example", "sent", "drafts")
    assert post(mail, f"/drafts/{draft['id']}", recipients="a@x.example", subject="S", body="now").status == 303
    row = mail._db.execute("SELECT folder, thread FROM message WHERE id = ?", (draft["id"],)).fetchone()
    assert row == ("sent", draft["thread"])
    assert get(mail, f"/drafts/{draft['id']}").status == 404


def test_starred_messages_are_kept_and_others_go_in_two_steps(mail):
    mail._db.execute("UPDATE message SET starred = 1, folder = 'inbox' WHERE id = 1")
    post(mail, "/message/1/delete")
    assert mail._db.execute("SELECT folder FROM message WHERE id = 1").fetchone() == ("inbox",)
    post(mail, "/message/1/star")
    post(mail, "/message/1/delete")
    assert mail._db.execute("SELECT folder FROM message WHERE id = 1").fetchone() == ("trash",)
    post(mail, "/message/1/delete")
    assert mail._db.execute("SELECT count(*) FROM message WHERE id = 1").fetchone() == (0,)


def test_one_deed_for_many_messages(mail):
    keys = [row[0] for row in mail._db.execute("SELECT id FROM message WHERE folder = 'inbox' ORDER BY id LIMIT 2")]
    post(mail, "/bulk", deed="to-archive", back="//elsewhere.test/", **{f"m{key}": "1" for key in keys})
    assert {change.row: change.columns for change in mail.changes()} == dict.fromkeys(keys, ("folder",))


@given(st.text(max_size=40))
def test_addresses_are_sorted_and_single(text):
    found = addresses(text)
    assert found == sorted(set(found))
    assert addresses(", ".join(found)) == found


# ------------------------------------------------------------------ calendar


def event(**values):
    return {"id": 1, "day": "2026-01-31", "start": "09:00", "minutes": 60, "repeats": "", "until": ""} | values


def days_of(row, first, last, skipped=()):
    return [
        item.day.isoformat()
        for item in occurrences([row], skipped, date.fromisoformat(first), date.fromisoformat(last))
    ]


def test_repetition():
    assert days_of(event(), "2026-01-01", "2026-12-31") == ["2026-01-31"]
    assert days_of(event(repeats="weekly"), "2026-02-01", "2026-02-20") == ["2026-02-07", "2026-02-14"]
    assert days_of(event(repeats="fortnightly", until="2026-03-01"), "2026-02-01", "2027-02-01") == [
        "2026-02-14",
        "2026-02-28",
    ]
    assert days_of(event(repeats="monthly"), "2026-01-01", "2026-05-31") == ["2026-01-31", "2026-03-31", "2026-05-31"]
    assert days_of(event(repeats="weekly"), "2026-02-01", "2026-02-20", [(1, "2026-02-07")]) == ["2026-02-14"]


@given(
    st.sampled_from(["", "weekly", "fortnightly", "monthly"]),
    st.integers(0, 400),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_a_period_shows_what_its_days_show(repeats, offset, length, until):
    begin, first = date(2026, 1, 31), date(2026, 1, 1) + timedelta(days=offset)
    row = event(repeats=repeats, until=(begin + timedelta(days=until)).isoformat() if repeats and until % 2 else "")
    whole = occurrences([row], (), first, first + timedelta(days=length))
    single = [item for i in range(length + 1) for item in occurrences([row], (), *[first + timedelta(days=i)] * 2)]
    assert whole == single
    assert all(item.day >= begin for item in whole)


@given(st.lists(st.tuples(st.integers(300, 1300), st.integers(5, 300)), max_size=6), st.integers(5, 240))
def test_gaps_are_free_and_nothing_else_is(taken, minutes):
    rows = [event(id=i, start=time_words(start), minutes=length) for i, (start, length) in enumerate(taken)]
    day = date(2026, 1, 31)
    found = occurrences(rows, (), day, day)
    free = gaps(found, minutes)
    for start in range(8 * 60, 18 * 60 - minutes + 1):
        assert (not overlapping(found, start, minutes)) == any(a <= start and start + minutes <= b for a, b in free)


@pytest.mark.parametrize(
    ("text", "value"), [("09:05", 545), ("24:00", None), ("9:05", None), ("", None), ("٠٩:٠٥", None)]
)
def test_times_of_day(text, value):
    assert a_time(text) == value


def test_days_are_whole_dates():
    assert a_day("2026-02-28") == date(2026, 2, 28)
    assert [a_day(text) for text in ("2026-02-30", "20260228", "2026-W01-1", "x", "")] == [None] * 5


@pytest.fixture
def calendar():
    made = SITES["calendar"].make()
    made.restore(made.golden(4))
    yield made
    made.close()


FORM = {"title": "T", "start": "09:00", "minutes": "30", "kind": "work", "repeats": ""}


def test_an_overlap_has_to_be_meant(calendar):
    row = calendar._db.execute(
        "SELECT day, start, title FROM event WHERE repeats = '' AND organizer LIKE '%home.example'"
    ).fetchone()
    form = FORM | {"day": row[0], "start": row[1]}
    refused = post(calendar, "/events/new", **form)
    assert refused.status == 422
    assert f"overlaps with: {row[2]}" in unescape(refused.body.decode())
    assert calendar.changes() == ()
    assert post(calendar, "/events/new", **form, anyway="1").status == 303
    assert [change.table for change in calendar.changes()] == ["event"]


@pytest.mark.parametrize("wrong", [{"title": ""}, {"day": "2026-02-30"}, {"start": "25:00"}, {"minutes": "0"}, {"kind": "x"},
                                   {"repeats": "daily"}, {"until": "2026-01-01"}, {"guests": "nobody"}])  # fmt: skip
def test_wrong_events_are_refused(calendar, wrong):
    assert post(calendar, "/events/new", **(FORM | {"day": "2031-05-05"} | wrong)).status == 422
    assert calendar.changes() == ()


def test_guests_who_stay_keep_their_answer(calendar):
    key, day, start, minutes, title = calendar._db.execute(
        "SELECT event.id, day, start, minutes, title FROM event JOIN guest ON event = event.id WHERE organizer LIKE '%home.example'"
    ).fetchone()
    known = [row[0] for row in calendar._db.execute("SELECT email FROM guest WHERE event = ?", (key,))]
    form = FORM | {"day": day, "start": start, "minutes": str(minutes), "title": title}
    post(calendar, f"/events/{key}/edit", **form, guests=f"{known[0]}, new@x.example", place="", notes="")
    guests = [change for change in calendar.changes() if change.table == "guest"]
    assert [change.after["email"] for change in guests if change.after] == ["new@x.example"]
    assert sorted(change.before["email"] for change in guests if change.before) == sorted(known[1:])


def test_events_of_others_can_t_be_changed(calendar):
    key = calendar._db.execute("SELECT id FROM event WHERE organizer NOT LIKE '%home.example'").fetchone()[0]
    for way in ("edit", "delete"):
        assert post(calendar, f"/events/{key}/{way}", **FORM, day="2031-05-05").status == 403
    assert calendar.changes() == ()


# ------------------------------------------------------------------ map


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7), st.integers(1, 50), st.integers(0, 1)),
        max_size=25,
    )
)
def test_ways_are_shortest_and_their_legs_add_up(segments):
    for way in ("walk", "car"):
        graph = edges(segments, way)
        metres, before = distances(graph, 1)
        best = {1: 0}
        for _ in range(8):  # Bellman and Ford's, as another way to the same
            for a, found in graph.items():
                for b, _, length in found:
                    if a in best and best[a] + length < best.get(b, 1 << 60):
                        best[b] = best[a] + length
        assert metres == best
        points = {key: (key * 7 % 5, key * 3 % 4) for key in range(1, 8)}
        for end in metres:
            assert sum(leg.metres for leg in legs(before, metres, points, end)) == metres[end]


def test_turns():
    points = {1: (0, 0), 2: (10, 0), 3: (10, 10), 4: (20, 10), 5: (30, 11)}
    graph = edges([(i, i, i + 1, 10, 0) for i in range(1, 5)], "walk")
    metres, before = distances(graph, 1)
    turns = [leg.turn for leg in legs(before, metres, points, 5)]
    assert turns == ["Start on", "Turn left into", "Turn right into", "Go on into"]


def test_every_place_can_be_reached_by_car_from_every_other():
    for number in range(20):
        world = SITES["map"].world(number)
        rows = world.rows("SELECT street, a, b, metres, oneway FROM segment ORDER BY id")
        graph = edges([tuple(row.values()) for row in rows], "car")
        for start in (1, 20, 48):
            assert len(distances(graph, start)[0]) == 48


def test_one_review_a_person_and_one_entry_a_list():
    site = SITES["map"].make()
    site.restore(site.golden(4))
    place, name = site._db.execute("SELECT place, list FROM saved").fetchone()
    assert post(site, f"/places/{place}/save", list=name).status == 422
    mine = site._db.execute("SELECT place FROM review WHERE author = (SELECT owner FROM traveller)").fetchone()[0]
    assert post(site, f"/places/{mine}/review", stars="5", text="again").status == 200
    other = site._db.execute("SELECT id FROM review WHERE author != (SELECT owner FROM traveller)").fetchone()[0]
    assert post(site, f"/reviews/{other}/delete").status == 404
    assert site.changes() == ()
    site.close()


# ------------------------------------------------------------------ both backends


@pytest.mark.parametrize("name", OWN)
def test_the_engine_agrees_with_chromium_s_own_accessibility_tree_on_every_page(chromium, name):
    from agentgym.tools.browser.chromium import ChromiumBrowser
    from agentgym.tools.browser.text import TextBrowser
    from agentgym.tools.browser.transport import Router
    from agentgym.tools.browser.urls import AllowList
    from web.axtree import chromium_tree, ours

    site = SITES[name].make()
    site.restore(site.golden(4))
    router, allow = Router({site.host: site}), AllowList(frozenset({site.host}))
    text, browser = TextBrowser(router, allow), ChromiumBrowser(router, allow)
    browser.restart()
    for path in pages(site, 200 if EVERYTHING else 24):
        url = f"http://{site.host}{path}"
        text.open(url)
        browser.open(url)
        assert text.observe() == browser.observe(), path
        html = browser._server.kept[url][1]
        assert ours(html) == browser._run(chromium_tree(browser.tab.handle)), path
    browser.close()
    site.close()


@pytest.mark.parametrize("name", NEW if EVERYTHING else NEW[::9])
def test_backends_are_equal_on_tasks_with_mistakes(chromium, name):
    text = agentgym.make(ENV, templates=(name,))
    live = agentgym.make(ENV, templates=(name,), backend="chromium")
    rng = derive_rng("first party", name)
    assert text.reset(seed=1) == live.reset(seed=1)
    for _ in range(14):
        message = live.expert_message(mistake_rate=0.25, rng=rng)
        assert text.step(message) == live.step(message), message
        assert text.game.changes == live.game.changes
        if not live.running:
            break
    text.close()
    live.close()
