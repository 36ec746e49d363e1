"""Both backends on pages that misbehave, and equality of the two: observations, effects, requests."""

import pytest

from agentgym.tools.browser.text import TextBrowser
from web.sites import AWKWARD, HOST, browser_on, html, to

BACKENDS = ["text", "chromium"]
CAUGHT = [
    ("loop", "http_error", "redirected more than"),
    ("out", "forbidden_url", "redirects to another place"),
    ("file", "unsupported", "a file to download (application/pdf, 40 bytes)"),
    ("dead", "closed", "process died"),
    ("slow", "timeout", "did not answer in time"),
    ("nothing", "http_error", "answered with nothing"),
    ("local", "forbidden_url", "Only http addresses"),
    ("script", "forbidden_url", "Only http addresses"),
]


@pytest.fixture(scope="module")
def awkward(request):
    """A browser of each kind on the awkward site, made once."""
    made = {}

    def give(name):
        if name not in made:
            made[name] = make(name, request)
        browser = made[name]
        if name == "chromium":
            browser.restart()
            browser.open(f"http://{HOST}/")
            return browser
        return browser_on(AWKWARD)[0]

    yield give
    if "chromium" in made:
        made["chromium"].close()


def make(name, request, pages=AWKWARD):
    if name == "text":
        return browser_on(pages)[0]
    request.getfixturevalue("chromium")
    from agentgym.tools.browser.chromium import ChromiumBrowser

    return browser_on(pages, ChromiumBrowser)[0]


def link(browser, name):
    line = next(line for line in browser.page.view.lines if f"link '{name}'" in line)
    return line.split(f"link '{name}'")[0].rsplit("[", 1)[1].split("]")[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_goes_wrong_is_an_observation_and_the_page_stays(awkward, backend):
    browser = awkward(backend)
    before = browser.observe()
    for name, category, words in CAUGHT:
        done = browser.do("click", {"bid": link(browser, name)})
        assert (done.category, browser.observe()) == (category, before), name
        assert words in done.notice
    assert browser.do("click", {"bid": link(browser, "ok")}).category == ""
    assert browser.page.title == "Ok"


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_of_the_site_are_pages(awkward, backend):
    browser = awkward(backend)
    browser.do("click", {"bid": link(browser, "crash")})
    assert browser.observe().startswith(f"Page: http://{HOST}/crash 'Server error' (status 500)")
    assert browser.do("go_back", {}).category == ""
    assert browser.page.title == "Start"


@pytest.mark.parametrize("backend", BACKENDS)
def test_tabs_and_history(awkward, backend):
    browser = awkward(backend)
    browser.do("click", {"bid": link(browser, "aside")})
    assert (browser.active, browser.titles()) == (1, ["Start", "Ok"])
    assert "Tabs: 0 'Start', 1 'Ok'; this is 1" in browser.observe()
    browser.do("click", {"bid": link(browser, "start")})
    assert browser.do("go_forward", {}).category == "not_actionable"
    browser.do("go_back", {})
    browser.do("go_forward", {})
    assert browser.page.title == "Start"
    assert browser.do("tab_focus", {"index": 7}).category == "not_actionable"
    browser.do("tab_focus", {"index": 0})
    browser.do("tab_close", {})
    assert (len(browser.tabs), browser.page.title) == (1, "Start")
    browser.do("tab_close", {})
    assert (len(browser.tabs), browser.page.url) == (1, "about:blank")
    for _ in range(7):
        assert browser.do("new_tab", {}).category == ""
    assert browser.do("new_tab", {}).category == "not_actionable"


@pytest.mark.parametrize("backend", BACKENDS)
def test_plain_text_and_places_on_the_page(awkward, backend):
    browser = awkward(backend)
    assert "place on this page" in browser.do("click", {"bid": link(browser, "there")}).notice
    browser.do("click", {"bid": link(browser, "plain")})
    assert list(browser.page.view.lines) == ["a < b", "  c"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("path", ["/huge", "/deep", "/selector"])
def test_pages_out_of_measure_are_read(awkward, backend, path):
    browser = awkward(backend)
    assert browser.do("goto", {"url": f"http://{HOST}{path}"}).category == ""
    assert len(browser.observe()) < 10_000
    lines = browser.page.view.lines
    assert lines[0] == "shown" if path == "/selector" else "too long to read" in lines[-1]
    assert browser.do("goto", {"url": f"http://{HOST}/ok"}).category == ""


@pytest.mark.parametrize("backend", BACKENDS)
def test_stale_and_foreign_references_are_refused(awkward, backend):
    browser = awkward(backend)
    for bid in ("a99", "", "b1", "a0", "-1", "a1a", "٣", "a" * 1000):
        done = browser.do("click", {"bid": bid})
        assert (done.category, done.executable) == ("unknown_ref", False), bid


FORMS = {
    "/": """<title>F</title><form action=/got method=post><label>T <input name=t value=x maxlength=5></label>
      <label>D <input name=d type=date></label><label>N <input name=n type=number min=1 max=9 value=3></label>
      <label>A <textarea name=a>one</textarea></label><label><input type=checkbox name=c>C</label>
      <label><input type=radio name=r value=1 checked>R1</label><label><input type=radio name=r value=2>R2</label>
      <label>S <select name=s><option>p<option value=Q>q<option disabled>z</select></label>
      <label>M <select name=m multiple><option>u<option selected>v<option>w</select></label>
      <input name=ro readonly aria-label=RO value=k><input type=password name=pw aria-label=PW>
      <button name=go value=1>Go</button><button type=reset>Reset</button><button disabled>No</button></form>
      <form action=/find><input name=q aria-label=Q></form>
      <details><summary>More</summary><p>inside <a href=/got>deep</a></details>
      <style>.c::before{content:"(new) "} .u{text-transform:uppercase} .h{display:none}</style>
      <details name=g open><summary>One</summary>first</details><details name=g><summary>Two</summary>second</details>
      <div popover>gone too</div><p class=c>told</p><p class=u>loud</p><p class=h>gone</p>""",
    "/got": lambda request: html(
        f"<title>Got</title><pre>{request.method} {request.url} {request.body.decode()}</pre>", 200,
        ("set-cookie", "seen=1; Path=/; Max-Age=3600"),
    ),
    "/find": lambda request: html(f"<title>Found</title><p>{request.url} {dict(request.headers).get('cookie')}"),
    "/again": to("/got", 303),
}  # fmt: skip
STEPS = [
    ("fill", {"bid": "a1", "value": "a b&c=d"}),
    ("fill", {"bid": "a2", "value": "2026-02-30"}),
    ("fill", {"bid": "a2", "value": "2026-02-28"}),
    ("fill", {"bid": "a3", "value": "12"}),
    ("fill", {"bid": "a4", "value": "ä\nö *~"}),
    ("click", {"bid": "a5"}),
    ("click", {"bid": "a7"}),
    ("uncheck", {"bid": "a7"}),
    ("select_option", {"bid": "a8", "options": "q"}),
    ("select_option", {"bid": "a8", "options": "z"}),
    ("select_option", {"bid": "a8", "options": "nope"}),
    ("select_option", {"bid": "a9", "options": ["u", "w"]}),
    ("fill", {"bid": "a10", "value": "x"}),
    ("fill", {"bid": "a11", "value": "secret"}),
    ("click", {"bid": "a14"}),
    ("click", {"bid": "a12"}),
    ("clear", {"bid": "a3"}),
    ("click", {"bid": "a16"}),
    ("click", {"bid": "a16"}),
    ("click", {"bid": "a18"}),
    ("click", {"bid": "a18"}),
    ("click", {"bid": "a13"}),
    ("check", {"bid": "a5"}),
    ("press", {"bid": "a6", "key_comb": "Space"}),
    ("press", {"bid": "a1", "key_comb": "Enter"}),
    ("go_back", {}),
    ("fill", {"bid": "a15", "value": "find me"}),
    ("press", {"bid": "a15", "key_comb": "Enter"}),
    ("goto", {"url": f"http://{HOST}/again"}),
    ("go_back", {}),
    ("hover", {"bid": "a1"}),
    ("goto", {"url": f"http://{HOST}/?x=ü y#z"}),
]


def test_both_backends_say_and_do_the_same(request):
    text, chromium = make("text", request, FORMS), make("chromium", request, FORMS)
    try:
        for name, arguments in STEPS:
            a, b = text.do(name, arguments), chromium.do(name, arguments)
            assert (a, text.observe(a.notice)) == (b, chromium.observe(b.notice)), (name, arguments)
            assert text.shown() == chromium.shown()
    finally:
        chromium.close()


def test_what_was_typed_survives_a_snapshot_of_chromium(request):
    browser = make("chromium", request, FORMS)
    try:
        for name, arguments in STEPS[:8]:
            browser.do(name, arguments)
        shown = browser.observe()
        browser.do("new_tab", {})
        before, saved = browser.observe(), browser.save()
        browser.do("tab_focus", {"index": 0})
        browser.do("press", {"bid": "a1", "key_comb": "Enter"})
        browser.restart()
        browser.load(saved)
        assert browser.observe() == before
        browser.do("tab_close", {})
        assert browser.observe() == shown
    finally:
        browser.close()


def test_a_dead_chromium_is_a_fault_of_the_tool_and_the_next_start_works(request):
    from agentgym.core.errors import Boundary, Fault
    from agentgym.tools.browser import engine

    browser = make("chromium", request)
    try:
        shared = engine.shared()
        shared.run(shared._browser.chromium.close())
        with pytest.raises(Fault) as caught:
            browser.do("goto", {"url": f"http://{HOST}/ok"})
        assert caught.value.boundary is Boundary.TOOL
        browser.restart()
        browser.open(f"http://{HOST}/ok")
        assert browser.page.title == "Ok"
    finally:
        browser.close()


def test_the_loopback_server_answers_nothing_else(request):
    import urllib.request

    from agentgym.tools.browser.server import SiteServer
    from web.sites import ALLOW, Pages

    server = SiteServer(Pages(AWKWARD), ALLOW)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": server.address}))
        assert opener.open(f"http://{HOST}/ok", timeout=5).status == 200
        for url in ("http://elsewhere.test/", "http://127.0.0.1:1/", f"http://{HOST}:81/"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                opener.open(url, timeout=5)
            assert caught.value.code == 403
            caught.value.close()
    finally:
        server.close()


# ------------------------------------------------------------------ the text backend alone


def test_cookies_follow_hosts_and_paths():
    pages = {
        "/": html("<a href=/in/x>x</a>", 200, ("set-cookie", "a=1; Path=/in"), ("set-cookie", "b=2; Max-Age=99")),
        "/in/x": lambda request: html(
            f"<p>{dict(request.headers).get('cookie')}</p>", 200, ("set-cookie", "b=; Path=/; Max-Age=0")
        ),
        "/y": lambda request: html(f"<p>{dict(request.headers).get('cookie', 'none')}</p>"),
    }
    browser, _ = browser_on(pages)
    browser.do("click", {"bid": "a1"})
    assert browser.page.view.lines == ("a=1; b=2",)
    browser.do("goto", {"url": f"http://{HOST}/y"})
    assert browser.page.view.lines == ("none",)


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_redirects_after_a_form(status, method):
    pages = {"/": "<form method=post action=/go><button name=a value=1>b</button></form>", "/go": to("/end", status)}
    browser, site = browser_on({**pages, "/end": "<p>end"})
    browser.do("click", {"bid": "a1"})
    assert [(request.method, request.body) for request in site.requests[-1:]] == [
        (method, b"a=1" if method == "POST" else b"")
    ]


def test_long_pages_are_shown_in_windows():
    browser, _ = browser_on({"/": "".join(f"<p>{i} {'x' * 90}</p>" for i in range(200))})
    seen = []
    while True:
        text = browser.observe()
        seen += [line.split()[0] for line in text.splitlines() if line.endswith("x")]
        if browser.do("scroll", {"delta_x": 0, "delta_y": 600}).notice:
            break
    assert seen == [str(i) for i in range(200)]
    for _ in range(10):
        browser.do("scroll", {"delta_x": 0, "delta_y": -600})
    assert "0 xxx" in browser.observe()


def test_linked_sheets_count():
    from agentgym.tools.browser.transport import Response

    sheet = Response(200, (("content-type", "text/css"),), b".h{display:none}")
    browser, site = browser_on({"/": "<link rel=stylesheet href=/s.css><p class=h>no</p><p>yes</p>", "/s.css": sheet})
    assert browser.page.view.lines == ("yes",)
    assert [request.document for request in site.requests] == [True, False]


def test_a_multipart_form_is_encoded():
    browser, site = browser_on(
        {"/": "<form method=post enctype=multipart/form-data><input name=a value='1'><button>b</button></form>"}
    )
    browser.do("click", {"bid": "a2"})
    assert b'name="a"\r\n\r\n1\r\n' in site.requests[-1].body


def test_the_state_is_plain_data():
    import pickle

    browser, _ = browser_on(FORMS)
    browser.do("fill", {"bid": "a1", "value": "abc"})
    state = pickle.loads(pickle.dumps(browser.state))
    other = TextBrowser(browser._transport, browser.allow, state)
    assert other.observe() == browser.observe()
    other.do("clear", {"bid": "a1"})
    assert other.observe() != browser.observe()
