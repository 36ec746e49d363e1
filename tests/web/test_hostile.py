"""Sites, pages and browsers that misbehave: an observation in time, or a fault of the right boundary; the next reset works."""

import contextlib
import os
import signal
import threading
import time

import psutil
import pytest

import agentgym
from agentgym.core.errors import AgentGymError, Boundary, Fault
from agentgym.tools.browser.text import TextBrowser
from agentgym.tools.browser.transport import Response, Router, Wsgi
from web.sites import ALLOW, HOST, browser_on, html, to

DEADLINE = 3.0
SLACK = 4.0
"""Seconds that a busy machine may add."""


def sleeps(request):
    time.sleep(DEADLINE + 5)


def spins(request):
    while True:
        pass


def raises(request):
    raise ConnectionResetError("gone")


def leaves(request):
    raise SystemExit(3)


def endless(environ, start_response):
    start_response("200 OK", [("content-type", "text/html")])

    def body():
        while True:
            yield b"on and on " * 1_000

    return body()


PAGES = {
    "/": "<title>Start</title><p>here",
    "/ok": "<title>Ok</title><p>fine",
    "/sleeps": sleeps,
    "/spins": spins,
    "/raises": raises,
    "/leaves": leaves,
    "/never": Wsgi(lambda environ, start_response: []),
    "/endless": Wsgi(endless),
    "/status": Wsgi(lambda environ, start: (start("999 Odd", [("content-type", "text/html")]), [b"x"])[1]),
    "/meta": "<meta http-equiv=refresh content='0; url=/meta2'>",
    "/meta2": "<meta http-equiv=refresh content='0; url=/meta'>",
    "/header": Response(200, (("content-type", "text/html"), ("refresh", "0;url=/header")), b"x"),
    "/itself": "<title>Itself</title><meta http-equiv=refresh content=1><p>news",
    "/later": "<title>Later</title><meta http-equiv=refresh content='60; url=/ok'><p>wait",
    "/soon": "<meta http-equiv=Refresh content='1;URL=/ok'>",
    "/leads-out": "<meta http-equiv=refresh content='0; url=http://elsewhere.test/'>",
    "/leads-in": "<meta http-equiv=refresh content='0; url=file:///etc/passwd'>",
    "/binary": Response(200, (("content-type", "text/html"),), bytes(range(256)) * 40),
    "/charset": Response(200, (("content-type", "text/html; charset=punycode"),), b"a" * 500_000),
    "/cookies": html("<title>Cookies</title>", 200, *(("set-cookie", f"c{i}={'x' * 100}") for i in range(300))),
    "/headers": html("<title>Headers</title>", 200, ("x-odd", "a\r\nset-cookie: b=1"), ("x-late", "\u20ac")),
    "/ten-megabytes": "<title>Ten</title>" + "<p>" + "word " * 2_000_000,
    "/one-attribute": "<title>One</title><p title='" + "x" * 10_000_000 + "'>",
    "/one-line": "<title>Line</title><p>" + "x" * 500_000,
    "/nested": "<title>Nested</title>" + "<div role=button><label>" * 2_000 + "bottom",
    "/details": "<title>Details</title><details>" + "<p>x" * 50_000,
    "/names": "<title>Names</title><div id=x>" + "<b>x</b>" * 4_000 + "</div>" + "<a href=/ aria-labelledby=x></a>" * 2_000,
    "/rules": "<title>Rules</title><style>" + "".join(f".a{i} div > p{{display:none}}" for i in range(9_000)) + "</style>"
    + "<div>" * 100 + "<p>x",
    "/joints": "<title>Joints</title><style>p.x " + "div " * 12 + "{display:none}</style>" + "<div>" * 120 + "x",
    "/pattern": "<title>Pattern</title><form action=/ok><input name=a pattern='(a+)+b' value=" + "a" * 60 + ">"
    "<button>Send</button></form>",
    "/download": "<title>Download</title><a href=/ok download>d</a>",
    "/named": "<title>Named</title><a href=/ok target=other>n</a>",
    "/base": "<title>Base</title><base target=_blank><a href=/ok target=_self>n</a>",
    "/frame": "<title>Frame</title><iframe name=f src=/sleeps title=inner></iframe><object data=/sleeps></object><a href=/ok>a</a>",
    "/moved": to("/ok", 301),
}  # fmt: skip
SLOW = "<title>Slow</title>" + "<!-- on and on -->" * 33_000
OUTCOMES = {
    "/sleeps": "timeout",
    "/spins": "timeout",
    "/raises": "",
    "/leaves": "",
    "/never": "",
    "/endless": "",
    "/status": "",
    "/meta": "http_error",
    "/header": "http_error",
    "/itself": "",
    "/later": "",
    "/soon": "",
    "/leads-out": "forbidden_url",
    "/leads-in": "forbidden_url",
    "/frame": "",
}
READABLE = [name for name in PAGES if name not in OUTCOMES and name not in ("/", "/meta2")]


@pytest.fixture(scope="module", params=["text", "chromium"])
def browser(request):
    if request.param == "text":
        yield browser_on(PAGES, deadline=DEADLINE)[0]
        return
    request.getfixturevalue("chromium")
    from agentgym.tools.browser.chromium import ChromiumBrowser

    made = browser_on(PAGES, ChromiumBrowser, deadline=DEADLINE)[0]
    yield made
    made.close()


def again(browser):
    if not isinstance(browser, TextBrowser):
        browser.restart()
    browser.open(f"http://{HOST}/")


def timed(browser, name, arguments):
    began = time.monotonic()
    done = browser.do(name, arguments)
    text = browser.observe(done.notice)
    assert time.monotonic() - began < DEADLINE + SLACK, name
    assert len(text) < 10_000
    return done, text


@pytest.mark.parametrize("path", OUTCOMES)
def test_sites_that_misbehave_are_observations_in_time(browser, path):
    again(browser)
    done, text = timed(browser, "goto", {"url": f"http://{HOST}{path}"})
    assert done.category == OUTCOMES[path], done
    if done.category:
        assert text.startswith(f"Page: http://{HOST}/ 'Start'")
    else:
        assert "status 500" in text or browser.page.title in ("Ok", "Itself", "Later", "Frame") or path == "/endless"
    done, text = timed(browser, "goto", {"url": f"http://{HOST}/ok"})
    assert (done.category, browser.page.title) == ("", "Ok")


@pytest.mark.parametrize("path", READABLE)
def test_pages_out_of_measure_are_read_in_time(browser, path):
    again(browser)
    done, _ = timed(browser, "goto", {"url": f"http://{HOST}{path}"})
    assert done.category == ""
    for number in (1, 2):
        timed(browser, "click", {"bid": f"a{number}"})
    done, _ = timed(browser, "goto", {"url": f"http://{HOST}/ok"})
    assert (done.category, browser.page.title) == ("", "Ok")


@pytest.mark.parametrize("bid", ["x" * 100_000, "a" * 100_000 + "1", "9" * 100_000, "[" * 100_000, "\x00", "٣"])
def test_references_out_of_measure_are_refused(browser, bid):
    again(browser)
    for name, arguments in (
        ("click", {"bid": bid}),
        ("fill", {"bid": bid, "value": bid}),
        ("select_option", {"bid": bid, "options": [bid]}),
        ("press", {"bid": bid, "key_comb": bid}),
    ):
        done, text = timed(browser, name, arguments)
        assert (done.category, done.executable) == ("unknown_ref", False)
        assert len(text) < 2_000
    done, _ = timed(browser, "goto", {"url": f"http://{HOST}/" + bid})
    assert done.category in ("forbidden_url", "")


def test_targets_open_the_same_tabs_in_both_backends(browser):
    for path, tabs in (("/named", 2), ("/base", 1)):
        again(browser)
        while len(browser.tabs) > 1:
            browser.do("tab_close", {})
        browser.do("goto", {"url": f"http://{HOST}{path}"})
        browser.do("click", {"bid": "a1"})
        assert (len(browser.tabs), browser.page.title) == (tabs, "Ok"), path


def test_many_redirects_and_hangs_leave_no_threads_behind(browser):
    again(browser)
    for _ in range(3):
        browser.do("goto", {"url": f"http://{HOST}/meta"})
    before = threading.active_count()
    for _ in range(20):
        browser.do("goto", {"url": f"http://{HOST}/raises"})
        browser.do("goto", {"url": f"http://{HOST}/moved"})
    assert threading.active_count() <= before + 4


# ------------------------------------------------------------------ the environment


@pytest.mark.parametrize("backend", ["text", "chromium"])
@pytest.mark.parametrize("way", [sleeps, spins, raises])
def test_an_episode_goes_on_after_a_hanging_site_and_the_next_reset_works(request, backend, way):
    if backend == "chromium":
        request.getfixturevalue("chromium")
    env = agentgym.make("agentgym/Web-v0", backend=backend, deadline=DEADLINE, sites=("book",))
    try:
        env.reset(seed=2)
        (site,) = env.game._sites.values()
        sound = site._app
        site._app = way
        began = time.monotonic()
        observation, _, terminated, truncated, _ = env.step("goto('http://book.test/orders')")
        assert time.monotonic() - began < DEADLINE + SLACK
        assert ("Error (timeout)" if way is not raises else "status 500") in observation
        assert not terminated
        assert not truncated
        env.step("noop()")
        site._app = sound
        env.reset(seed=3)
        info = {}
        while env.running:
            *_, info = env.step(env.expert_message())
        assert info["success"]
    finally:
        env.close()


@pytest.mark.parametrize("deadline", [0, -1.0, 1e9, float("nan")])
def test_a_deadline_has_to_be_one(deadline):
    with pytest.raises(AgentGymError, match="deadline"):
        agentgym.make("agentgym/Web-v0", deadline=deadline)


# ------------------------------------------------------------------ Chromium's own ways to fail


def test_a_page_that_keeps_chromium_busy_is_given_up_or_read(chromium):
    from agentgym.tools.browser.chromium import ChromiumBrowser

    made = browser_on(PAGES | {"/slow": SLOW}, ChromiumBrowser, deadline=DEADLINE)[0]
    try:
        done, _ = timed(made, "goto", {"url": f"http://{HOST}/slow"})
        assert done.category in ("", "timeout")
        made.restart()
        made.open(f"http://{HOST}/ok")
        assert made.page.title == "Ok"
    finally:
        made.close()


@pytest.fixture
def live(chromium):
    from agentgym.tools.browser.chromium import ChromiumBrowser

    made = browser_on(PAGES, ChromiumBrowser, deadline=DEADLINE)[0]
    yield made
    made.close()


def browser_processes(kind):
    """Main processes of Chromium, or Playwright's drivers, below this process."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            line = process.cmdline()
        except psutil.Error:  # it ended meanwhile
            continue
        browser = any("chrom" in part for part in line[:2]) and not any(part.startswith("--type=") for part in line)
        driver = any(part.endswith("cli.js") for part in line)
        if (browser and not driver) if kind == "browser" else driver:
            found.append(process)
    return found


@pytest.mark.parametrize("kind", ["browser", "driver"])
@pytest.mark.parametrize("moment", ["before", "during", "reset"])
def test_a_browser_that_is_killed_is_a_fault_of_the_tool_and_the_next_start_works(live, kind, moment):
    def kill():
        for process in browser_processes(kind):
            os.kill(process.pid, signal.SIGKILL)

    if moment == "during":
        threading.Timer(0.4, kill).start()
    else:
        kill()
    began = time.monotonic()
    if moment != "reset":
        with pytest.raises(Fault) as caught:
            live.do("goto", {"url": f"http://{HOST}/{'sleeps' if moment == 'during' else 'ok'}"})
            live.observe()
        assert caught.value.boundary is Boundary.TOOL
        assert caught.value.retryable
        assert time.monotonic() - began < DEADLINE + SLACK
        with pytest.raises(Fault):
            live.observe()
    live.restart()
    live.open(f"http://{HOST}/ok")
    assert live.page.title == "Ok"
    assert len(browser_processes("browser")) <= 2
    assert len(browser_processes("driver")) <= 2


def test_the_next_start_works_after_a_page_has_crashed(live):
    for process in browser_processes("browser"):
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it ended meanwhile
                if "--type=renderer" in child.cmdline():
                    child.kill()
    live.restart()
    live.open(f"http://{HOST}/ok")
    assert live.page.title == "Ok"


def test_a_lost_site_server_is_a_fault_and_the_next_start_has_a_new_one(live):
    live._server.close()
    with pytest.raises(Fault) as caught:
        live.do("goto", {"url": f"http://{HOST}/ok"})
    assert caught.value.boundary is Boundary.TOOL
    live.restart()
    live.open(f"http://{HOST}/ok")
    assert live.page.title == "Ok"


def test_contexts_and_browsers_are_replaced_as_they_age(chromium, monkeypatch):
    from agentgym.tools.browser import engine
    from agentgym.tools.browser.chromium import ChromiumBrowser

    monkeypatch.setattr(engine, "MAX_LENT", 2)
    made = browser_on(PAGES, ChromiumBrowser, recycled=2)[0]
    other = browser_on(PAGES, ChromiumBrowser, recycled=2)[0]
    seen = set()
    try:
        for _ in range(12):
            for item in (made, other):
                item.restart()
                item.open(f"http://{HOST}/ok")
                assert item.page.title == "Ok"
                seen.add(id(item._lease))
        assert len(seen) >= 10
        assert sum(browser.lent for browser in engine.shared()._all) <= 4
        assert len(browser_processes("browser")) <= 5
    finally:
        made.close()
        other.close()


# ------------------------------------------------------------------ pages with scripts

SCRIPTED = {
    "/": "<title>Start</title>" + "".join(
        f'<button onclick="{code}">{name}</button>' for name, code in {
            "alert": "alert('hello')",
            "confirm": "document.title = confirm('Sure?')",
            "prompt": "document.title = prompt('Name?', 'Ann')",
            "storm": "while (1) alert(1)",
            "hang": "while (1);",
            "popup": "window.open('/ok')",
            "popup-out": "window.open('http://elsewhere.test/')",
            "loop": "location = '/loop'",
            "data": "location = 'data:text/html,<p>x'",
            "blob": "location = URL.createObjectURL(new Blob(['<p>x'], {type: 'text/html'}))",
            "file": "location = 'file:///etc/passwd'",
            "source": "location = 'view-source:http://site.test/'",
            "port": "location = 'http://127.0.0.1:9/'",
            "out": "location = 'http://elsewhere.test/'",
            "download": "location = '/attached'",
            "saved": "const a = document.createElement('a'); a.download = 'x'; a.href = '/ok'; a.click()",
            "ok": "location = '/ok'",
            "sleeps": "location = '/sleeps'",
            "dead": "location = '/dead'",
            "close": "window.open('/closes')",
        }.items()
    ),
    "/ok": "<title>Ok</title><p>fine",
    "/loop": "<title>Loop</title><script>location = '/loop?' + Math.random()</script>",
    "/attached": Response(200, (("content-type", "text/html"), ("content-disposition", "attachment")), b"x"),
    "/sleeps": sleeps,
    "/dead": raises,
    "/closes": "<title>Closes</title><script>window.close()</script>",
    "/unload": "<title>Unload</title><script>onbeforeunload = (e) => { e.preventDefault(); return 'stay' }</script><button>b</button>",
    "/hangs": "<title>Hangs</title><script>while (1);</script>",
    "/hangs-later": "<title>Hangs</title><script>onload = () => { while (1); }</script>",
    "/crashes": "<title>Crashes</title><p>x",
}  # fmt: skip


def test_input_isn_t_held_up(wild):
    # Chromium answers input with the next frame; without one it waits for five seconds.
    again(wild)
    for name in ("mouse_move", "mouse_down", "mouse_up", "mouse_click"):
        began = time.monotonic()
        assert wild.do(name, {"x": 600, "y": 600}).category == ""
        assert time.monotonic() - began < 2.5


CLICKS = [
    ("alert", "", "Dialog (alert): 'hello' was accepted", "Start"),
    ("confirm", "", "Dialog (confirm): 'Sure?' was accepted", "true"),
    ("prompt", "", "Dialog (prompt): 'Name?' was accepted", None),
    ("storm", "timeout", "scripts were stopped", "Start"),
    ("hang", "timeout", "scripts were stopped", "Start"),
    ("popup", "", "opened tab 1", "Ok"),
    ("popup-out", "forbidden_url", "can't be reached", "Start"),
    ("loop", "http_error", "led to another", "Loop"),
    ("data", None, "", "Start"),
    ("blob", None, "", "Start"),
    ("file", None, "", "Start"),
    ("source", None, "", "Start"),
    ("port", "forbidden_url", "", "Start"),
    ("out", "forbidden_url", "can't be reached", "Start"),
    ("download", "unsupported", "file to download", "Start"),
    ("saved", "unsupported", "file to download", "Start"),
    ("ok", "", "", "Ok"),
    ("sleeps", "timeout", "did not answer", "Start"),
    ("dead", "", "", "Server error"),
    ("close", None, "", "Start"),
]


@pytest.fixture(scope="module")
def wild(chromium):
    from agentgym.tools.browser.scripted import ScriptedBrowser

    made = browser_on(SCRIPTED, ScriptedBrowser, deadline=DEADLINE)[0]
    yield made
    made.close()


@pytest.mark.parametrize(("name", "category", "words", "title"), CLICKS, ids=[item[0] for item in CLICKS])
def test_what_scripts_do_is_an_observation_in_time(wild, name, category, words, title):
    again(wild)
    (line,) = wild.page.view.lines
    ref = line.split(f"'{name}'")[0].rsplit("[", 1)[1].split("]")[0]
    done, text = timed(wild, "click", {"bid": ref})
    assert category is None or done.category == category, done
    assert words in done.notice
    assert title is None or wild.page.title == title, text
    assert wild.page.url.startswith(f"http://{HOST}/")
    done, _ = timed(wild, "goto", {"url": f"http://{HOST}/ok"})
    assert (done.category, wild.page.title) == ("", "Ok")


@pytest.mark.parametrize("path", ["/hangs", "/hangs-later", "/unload", "/closes"])
def test_pages_that_hang_or_hold_on_are_left(wild, path):
    again(wild)
    done, _ = timed(wild, "goto", {"url": f"http://{HOST}{path}"})
    assert done.category == ("timeout" if "hangs" in path else "")
    done, _ = timed(wild, "goto", {"url": f"http://{HOST}/ok"})
    assert wild.page.title == "Ok"


def test_a_page_that_crashes_leaves_an_empty_tab(wild):
    again(wild)
    wild.do("goto", {"url": f"http://{HOST}/crashes"})
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            if "--type=renderer" in process.cmdline():
                process.kill()
    done, text = timed(wild, "noop", {})
    assert done.category == "closed"
    assert "about:blank" in text
    again(wild)
    assert wild.page.title == "Start"


def test_nothing_blocks_a_loop_that_runs_meanwhile(wild):
    # The browser is driven on a loop of its own, so the caller's may go on while a page hangs.
    import asyncio

    again(wild)
    (line,) = wild.page.view.lines
    ref = line.split("'hang'")[0].rsplit("[", 1)[1].split("]")[0]

    async def both():
        ticks = 0
        hanging = asyncio.get_running_loop().run_in_executor(None, wild.do, "click", {"bid": ref})
        while not hanging.done():
            await asyncio.sleep(0.02)
            ticks += 1
        return ticks

    assert asyncio.run(both()) > 20


def test_the_router_turns_what_a_site_raises_into_a_page():
    router = Router({HOST: raises})
    browser = TextBrowser(router, ALLOW)
    browser.open(f"http://{HOST}/")
    assert browser.page.status == 500
    assert router.log[-1].status == 500
