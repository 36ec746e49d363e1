"""The data explorer: datasette."""

import agentgym
from web import site_checks as checks

PAGES = ("/", "/weather", "/weather/station", "/weather/station?region=Arden", "/weather/station?_sort_desc=opened",
         "/weather/station/3", "/weather/measurement", "/weather/measurement?station=3", "/weather/region", "/nothing",
         "/weather/region/2", "/weather/station?_facet=kind")  # fmt: skip


def test_the_same_bytes_twice():
    checks.same_bytes_twice("data")


def test_injected_text():
    checks.injected_text_is_read("data")


def test_there_is_no_way_round_the_pages():
    env = agentgym.make(checks.ENV, templates=("data-fact",))
    env.reset(seed=0)
    for path in ("weather/station.json", "weather/station.csv?_size=max", "weather?sql=select+*+from+station",
                 "weather.json", "-/metadata.json", "-/settings", "weather/station%2Ejson", "-/databases",
                 "weather/station?_shape=array&x=.json"):  # fmt: skip
        observation, *_ = env.step(f"goto('http://data.test/{path}')")
        assert "Error (forbidden_url)" in observation, path
    observation, *_ = env.step("goto('http://data.test/weather/station')")
    export = next(part.split("]")[0] for part in observation.split("[") if "link 'json'" in part)
    observation, *_ = env.step(f"click({export!r})")
    assert "Error (forbidden_url)" in observation
    env.close()


def test_backends_are_equal(chromium):
    checks.equal_in_chromium("data")


def test_the_engine_agrees_with_chromium_s_own_accessibility_tree(chromium):
    share, wrong = checks.tree_of("data", PAGES)
    assert not wrong
    assert share >= 0.995
