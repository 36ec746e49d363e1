"""Tasks that ask for a page to be shown take every address that shows it, and no other."""

import re
from urllib.parse import urlencode

import pytest

import agentgym
from agentgym.environments.web.goals import Place
from agentgym.environments.web.tasks import make_task, template
from web import site_checks as checks

TASKS = 12 if checks.EVERYTHING else 4
LISTS = {
    "/contacts": ("q", "city", "category", "sort"),
    "/orders": ("q", "status", "sort"),
    "/search": ("q", "from", "in", "since"),
    "/places": ("q", "category", "district", "open", "sort"),
}
"""What the sites' own forms send."""


def is_shown(name):
    return make_task("train", 0, (name,), sites=template(name).sites).reference["goal"]["final"] is not None


SHOWING = [item.name for item in checks.all_here() if is_shown(item.name)]


def opening(name, final, query):
    """The action that opens a page."""
    host = final["host"] or f"{template(name).sites[0]}.test"
    return f"goto({'http://' + host + final['path'] + '?' + urlencode(query)!r})"


def same(final):
    """Other ways to ask for the page: as its form does, in another order, and by each further value of a field."""
    query = final["query"]
    empty = dict.fromkeys(LISTS.get(final["path"], ()), "")
    yield {**empty, **query}
    yield dict(reversed({**query, **empty, **query}.items()))
    for key, values in final["also"].items():
        for value in values or ("1", "2", "3"):
            yield {**query, key: value}
            yield {**empty, **query, key: value.upper()}


def different(final):
    """Ways to ask for something else."""
    query = final["query"]
    yield from ({**query, key: f"{value}x"} for key, value in query.items())
    yield from ({key: value for key, value in query.items() if key != gone} for gone in query if gone != "day")
    yield {**query, "page": "2"}
    yield from ({**query, key: "zz"} for key in LISTS.get(final["path"], ()) if key not in query)
    yield from ({**query, "near": key} for home in final["also"].get("near", ()) for key in "12" if key != home)


def listed(observation):
    return re.findall(r"link '((?:[^'\\]|\\.)*)'|heading '((?:[^'\\]|\\.)*)'", observation)


@pytest.mark.parametrize("name", SHOWING)
def test_what_shows_the_same_is_taken_and_nothing_else(name):
    env = agentgym.make(checks.ENV, templates=(name,))
    for number in range(TASKS):
        env.reset(seed=number, options={"task_id": f"train/{number}"})
        final = env.game.tasks().get(f"train/{number}").reference["goal"]["final"]
        start = env.snapshot()
        wanted, *_ = env.step(opening(name, final, final["query"]))
        for query in same(final):
            env.restore(start)
            observation, *_ = env.step(opening(name, final, query))
            assert listed(observation) == listed(wanted), query
            *_, info = env.step("send_msg_to_user('done')")
            assert info["success"], (env.game.state.text, query)
        for query in different(final):
            env.restore(start)
            env.step(opening(name, final, query))
            *_, info = env.step("send_msg_to_user('done')")
            assert not info["success"], (env.game.state.text, query)
    env.close()


def test_every_task_that_shows_something_is_tested():
    assert {"show-orders", "show-contacts", "mail-show-found", "calendar-show-week", "map-show"} <= set(SHOWING)
    assert {template(name).kind for name in SHOWING} == {"navigate"}


def test_places_take_further_values_in_any_case():
    place = Place("/x", {"from": "Ada Adler"}, also={"from": ["ada"], "post": []})
    assert place.matches("/x", "from=Ada+Adler&q=")
    assert place.matches("/x", "post=12&from=+ADA+")
    assert not place.matches("/x", "from=ada+adler&page=1")
    assert not place.matches("/x", "from=")
    assert Place("/x", {}, also={"day": ["2026-01-05"]}).matches("/x", "")
    assert Place("/x", {"day": "2026-01-06"}, also={"day": ["2026-01-05", ""]}).matches("/x", "")
