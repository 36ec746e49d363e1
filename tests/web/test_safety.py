"""Nothing but the sites can be reached: a canary on another port of this machine must never hear anything."""

import contextlib
import socket
import threading
import time

import pytest

from agentgym.tools.browser.text import TextBrowser
from agentgym.tools.browser.transport import Response
from agentgym.tools.browser.urls import AllowList, resolve
from web.sites import HOST, browser_on, html, to


class Canary:
    """Listens on a TCP and a UDP port of every loopback address and counts what comes."""

    def __init__(self):
        self.heard = []
        self._sockets = []
        self.port = 0
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with contextlib.suppress(OSError):  # no IPv6 here
                    made = socket.socket(family, kind)
                    made.bind((address, self.port))
                    self.port = made.getsockname()[1]
                    self._sockets.append(made)
                    threading.Thread(target=self._listen, args=(made, kind), daemon=True).start()

    def _listen(self, made, kind):
        with contextlib.suppress(OSError):
            if kind == socket.SOCK_STREAM:
                made.listen()
            while True:
                if kind == socket.SOCK_STREAM:
                    connection, _ = made.accept()
                    connection.settimeout(1)
                    self.heard.append(connection.recv(200))
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\ncontent-type: text/html\r\n\r\nSECRET")
                    connection.close()
                else:
                    self.heard.append(made.recv(200))

    def close(self):
        for made in self._sockets:
            with contextlib.suppress(OSError):
                made.shutdown(socket.SHUT_RDWR)
            made.close()


@pytest.fixture(scope="module")
def canary():
    made = Canary()
    with socket.create_connection(("127.0.0.1", made.port), timeout=2) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"SECRET" in connection.recv(500)  # it does hear
    made.heard.clear()
    yield made
    made.close()


def places(port):
    return [f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0x7f.1", "0.0.0.0",
                                          "127.0.0.1.", HOST, "a@127.0.0.1", f"{HOST}@127.0.0.1", "[::ffff:127.0.0.1]")]  # fmt: skip


def addresses(port):
    found = [f"{scheme}://{place}/" for place in places(port) for scheme in ("http", "https", "ws", "ftp")]
    return [*found, f"//127.0.0.1:{port}/", f"view-source:http://127.0.0.1:{port}/", "file:///etc/passwd", "file:/etc/passwd",
            "file://localhost/etc/passwd", f"view-source:http://{HOST}/", "data:text/html,<p>x", "javascript:alert(1)",
            f"blob:http://{HOST}/x", f"filesystem:http://{HOST}/temporary/x", "chrome://version", "chrome://gpu",
            "devtools://devtools/bundled/inspector.html", "about:config", "about:blank#x", f"jar:http://127.0.0.1:{port}/!x",
            f"HTTP://127.0.0.1:{port}", f" http://127.0.0.1:{port}/", f"ht\ntp://127.0.0.1:{port}/", f"http:127.0.0.1:{port}",
            f"http:///127.0.0.1:{port}/", f"http:\\\\127.0.0.1:{port}\\", f"http://{HOST}\\@127.0.0.1:{port}/",
            f"http://{HOST}:{port}/", f"http://{HOST}%2f@127.0.0.1:{port}/", "http://169.254.169.254/latest/meta-data/"]  # fmt: skip


@pytest.fixture(scope="module", params=["text", "chromium"])
def browser(request, canary):
    urls = addresses(canary.port)
    pages = {"/": "<title>Start</title>" + "".join(f"<a href='{url}'>{number}</a> " for number, url in enumerate(urls)),
             "/refresh": lambda request: html(f"<meta http-equiv=refresh content='0;url={_at(urls, request)}'>"),
             "/redirect": lambda request: to(_at(urls, request).replace("\n", "")),
             "/forms": "".join(f"<form action='{url}' method={method}><button>b</button></form>"
                               for url in urls for method in ("get", "post")),
             "/parts": PARTS.replace("PORT", str(canary.port)) + "<p>parts"}  # fmt: skip
    if request.param == "text":
        yield browser_on(pages)[0]
        return
    request.getfixturevalue("chromium")
    from agentgym.tools.browser.chromium import ChromiumBrowser

    made = browser_on(pages, ChromiumBrowser)[0]
    yield made
    made.close()


def _at(urls, request):
    return urls[int(request.url.rpartition("n=")[2])]


PARTS = "".join(
    f"""<link rel=stylesheet href='http://{place}/s.css'><link rel=dns-prefetch href='//{place}'>
    <link rel=preconnect href='http://{place}'><link rel=prefetch href='http://{place}/p'>
    <link rel=preload as=image href='http://{place}/q'><link rel=prerender href='http://{place}/r'>
    <link rel=modulepreload href='http://{place}/m.js'><link rel=manifest href='http://{place}/m.json'>
    <link rel=icon href='http://{place}/favicon.ico'>
    <style>@import url(http://{place}/i.css); body {{background: url(http://{place}/b.png)}}
    @font-face {{font-family: f; src: url(http://{place}/f.woff)}} p {{font-family: f}}</style>
    <img src='http://{place}/i.png' srcset='http://{place}/j.png 2x'><iframe src='http://{place}/f'></iframe>
    <object data='http://{place}/o'></object><embed src='http://{place}/e'><video src='http://{place}/v' autoplay></video>
    <audio src='http://{place}/a' autoplay></audio><script src='http://{place}/s.js'></script>
    <input type=image src='http://{place}/n.png'><svg><image href='http://{place}/g.svg'/><use href='http://{place}/u#x'/></svg>
    <portal src='http://{place}/'></portal><fencedframe src='http://{place}/'></fencedframe>
    <script type=speculationrules>{{"prerender": [{{"urls": ["http://{place}/sp"]}}]}}</script>"""
    for place in ("127.0.0.1:PORT", "localhost:PORT", "[::1]:PORT")
)


def test_addresses_links_and_forms_lead_nowhere_else(browser, canary):
    urls = addresses(canary.port)
    for url in urls:
        done = browser.do("goto", {"url": url})
        assert done.category in ("forbidden_url", "closed"), (url, done)
        assert browser.page.title == "Start"
    for number in range(len(browser.page.view.refs)):
        done = browser.do("click", {"bid": f"a{number + 1}"})
        assert browser.page.url.startswith(f"http://{HOST}/"), number
        if done.category != "forbidden_url":  # a relative address of the site itself
            browser.do("goto", {"url": f"http://{HOST}/"})
    browser.do("goto", {"url": f"http://{HOST}/forms"})
    for number in range(len(browser.page.view.refs)):
        done = browser.do("click", {"bid": f"a{number + 1}"})
        if not done.category:
            browser.do("goto", {"url": f"http://{HOST}/forms"})
    assert canary.heard == []


@pytest.mark.parametrize("way", ["redirect", "refresh"])
def test_redirects_lead_nowhere_else(browser, canary, way):
    for number in range(len(addresses(canary.port))):
        browser.do("goto", {"url": f"http://{HOST}/{way}?n={number}"})
        assert browser.page.url.startswith((f"http://{HOST}/", "about:blank"))
    assert canary.heard == []


def test_parts_of_pages_come_from_nowhere_else(browser, canary):
    done = browser.do("goto", {"url": f"http://{HOST}/parts"})
    assert done.category == ""
    assert "parts" in browser.observe()
    assert "SECRET" not in browser.observe()
    time.sleep(0.5)
    assert canary.heard == []


def test_what_lies_behind_a_closed_address_is_not_on_the_list():
    allow = AllowList(frozenset({HOST}))
    assert all(allow.problem(resolve("about:blank", url)) for url in addresses(4711))


SCRIPT = """
const place = %r, base = 'http://' + place;
const tries = {
  fetch: () => fetch(base + '/fetch').then((r) => r.text()),
  nocors: () => fetch(base + '/nocors', {mode: 'no-cors'}).then(() => 'opaque'),
  post: () => fetch(base + '/post', {method: 'POST', body: 'x', mode: 'no-cors'}),
  xhr: () => new Promise((y, n) => { const x = new XMLHttpRequest(); x.open('GET', base); x.onload = y; x.onerror = n; x.send(); }),
  beacon: () => navigator.sendBeacon(base + '/beacon', 'x'),
  socket: () => new Promise((y, n) => { const s = new WebSocket('ws://' + place); s.onopen = y; s.onerror = n; }),
  events: () => new Promise((y, n) => { const s = new EventSource(base + '/events'); s.onopen = y; s.onerror = n; }),
  image: () => new Promise((y, n) => { const i = new Image(); i.onload = y; i.onerror = n; i.src = base + '/i.png'; }),
  script: () => import(base + '/m.js'),
  worker: () => new Worker(URL.createObjectURL(new Blob(["fetch('" + base + "/w'); importScripts('" + base + "/w.js')"]))),
  shared: () => new SharedWorker(base + '/sw.js'),
  service: () => navigator.serviceWorker.register('/sw.js'),
  transport: () => new WebTransport('https://' + place),
  popup: () => window.open(base + '/popup'),
  frame: () => { const f = document.createElement('iframe'); f.src = base + '/frame'; document.body.append(f); },
  inner: () => { const f = document.createElement('iframe'); f.srcdoc = "<img src='" + base + "/s.png'>"; document.body.append(f); },
  form: () => { const f = document.createElement('form'); f.action = base; f.target = '_blank'; document.body.append(f); f.submit(); },
  refresh: () => { const m = document.createElement('meta'); m.httpEquiv = 'refresh'; m.content = '0;url=' + base; document.head.append(m); },
  prefetch: () => { for (const rel of ['prefetch', 'preconnect', 'dns-prefetch', 'preload', 'prerender']) {
    const l = document.createElement('link'); l.rel = rel; l.as = 'image'; l.href = base + '/' + rel; document.head.append(l); } },
  rtc: async () => {
    const c = new RTCPeerConnection({iceServers: [{urls: 'stun:' + place},
      {urls: ['turn:' + place + '?transport=tcp', 'turn:' + place + '?transport=udp'], username: 'u', credential: 'p'}]});
    c.createDataChannel('x');
    await c.setLocalDescription(await c.createOffer());
  },
  file: () => fetch('file:///etc/passwd').then((r) => r.text()),
  go: () => new Promise((y) => setTimeout(() => { location.href = base + '/go'; y(); }, 0)),
};
window.results = {};
for (const [name, run] of Object.entries(tries)) {
  try {
    Promise.resolve(run()).then((r) => { window.results[name] = String(r); }, (e) => { window.results[name] = 'error ' + e; });
  } catch (error) { window.results[name] = 'error ' + error; }
}
"""


@pytest.mark.parametrize("place", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
def test_scripts_reach_nothing_else(chromium, canary, place):
    from agentgym.tools.browser.wild import WildBrowser

    pages = {
        "/": f"<title>Start</title><p>here<script>{SCRIPT % f'{place}:{canary.port}'}</script>",
        "/sw.js": Response(200, (("content-type", "text/javascript"),), b""),
    }
    browser = browser_on(pages, WildBrowser)[0]
    try:
        began = time.monotonic()
        while time.monotonic() - began < 3:
            assert "SECRET" not in browser.observe()
            time.sleep(0.3)
            browser.do("noop", {})
        assert browser.page.url.startswith((f"http://{HOST}/", "about:blank"))
        assert canary.heard == []
        results = browser._run(browser.tab.handle.evaluate("window.results"))
        assert {"fetch", "xhr", "socket", "beacon", "frame", "rtc", "popup", "image", "go"} <= results.keys()
        assert "error" not in results["rtc"] + results["frame"] + results["form"]
    finally:
        browser.close()


def test_the_proxy_is_no_way_around(chromium, canary):
    # Whoever knows the port of the site server gets the sites alone: no tunnel, no other host or port.
    import http.client
    from urllib.parse import urlsplit

    from agentgym.tools.browser.server import SiteServer
    from web.sites import ALLOW, Pages

    server = SiteServer(Pages({"/": "<p>x"}), ALLOW)
    try:
        for method, target in (
            ("CONNECT", f"127.0.0.1:{canary.port}"),
            ("GET", f"http://127.0.0.1:{canary.port}/"),
            ("GET", f"http://{HOST}:{canary.port}/"),
            ("POST", f"http://localhost:{canary.port}/"),
            ("GET", "/"),
            ("GET", "http://["),
            ("OPTIONS", "*"),
        ):
            connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=5)
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            connection.endheaders()
            assert connection.getresponse().status in (400, 403, 404), (method, target)
            connection.close()
    finally:
        server.close()
    assert canary.heard == []


def test_the_text_browser_has_no_way_out_of_the_process():
    assert not hasattr(TextBrowser, "socket")
    site = Response(302, (("location", "file:///etc/passwd"),))
    browser, _ = browser_on({"/": "<title>Start</title>", "/x": site})
    assert browser.do("goto", {"url": f"http://{HOST}/x"}).category == "forbidden_url"
