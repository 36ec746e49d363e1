"""A deployment for tests: our own address book as the shop, and a few pages of other sites, behind real HTTP."""

import contextlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from agentgym.environments.web.sites import SITES
from agentgym.tools.browser.transport import Request, Response

WORLD = 5

FORUM = """<title>Post</title><div id="main"><article class="submission"><div class="submission__inner">
 <a class="fg-inherit" href="/u/ann">ann</a> <a class="submission__link" href="/f/books/7/-/a">A &amp; B</a>
 <img class="submission__image" src="/img/blue.png"></div></article>
<div class="comment" data-level="1"><h1><a class="fg-inherit">bea</a> <time datetime="2023-01-02T10:00:00"></time></h1>
 <div class="comment__content"><p>Old news</p></div>
 <div class="comment" data-level="2"><h1><a class="fg-inherit">cy</a> <time datetime="2023-01-05T10:00:00"></time></h1>
  <div class="comment__content"><p>I like   it</p><p>a lot</p></div></div></div>
<div class="comment" data-level="1"><h1><a class="fg-inherit">cy</a> <time datetime="2023-01-01T10:00:00"></time></h1>
 <div class="comment__content">First</div></div></div>"""

MEMBERS = """<table><tr><td data-label="Account"><span class="gl-avatar-labeled-sublabel">@ann</span></td>
<td class="col-max-role"><span>Owner</span></td></tr><tr><td data-label="Account">
<span class="gl-avatar-labeled-sublabel">@primer</span></td><td class="col-max-role"><span>Developer</span></td></tr>
</table>"""

PRODUCT = """<div id="maincontent"><div class="columns"><div><div class="product-info-main">
<div class="product-info-price"><div class="price-box price-final_price"><span><span>$270.00</span></span></div></div>
</div></div></div></div><a id="tab-label-reviews-title">Reviews 12</a><div class="rating-result" title="80%"></div>
<table id="productDetails_detailBullets_sections1"><tbody><tr><th>Brand name</th><td>LG</td></tr>
<tr><th>Color</th><td>red</td></tr></tbody></table>
<table id="my-orders-table"><tbody><tr><td class="col name">Lamp<dl><dt>Size</dt><dd>L</dd></dl></td>
<td class="col sku">B01</td><td class="col qty">Ordered3</td></tr></tbody></table>
<div style="display:none" id="secret">hidden words</div><div id="up" style="text-transform:uppercase">loud</div>
<select name="group"><option>a<option selected>b</select><input type="checkbox" name="on" checked>"""

SCRIPTED = """<title>Scripted</title><button id="b">Load</button><p id="out"></p><a id="out-link" href="https://x.test/">x</a>
<script>document.getElementById('b').addEventListener('click', async () => {
 const answer = await fetch('/data.json', {headers: {'x-requested-with': 'XMLHttpRequest'}});
 document.getElementById('out').textContent = (await answer.json()).text;
 history.pushState({}, '', '/scripted?loaded=1'); });
 document.title = 'Ran ' + (localStorage.getItem('who') || 'nobody');</script>"""


def picture(color, mark=None):
    """A PNG; with a mark it looks different."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (60, 40), color)
    for place in range(0, 60, 6):
        ImageDraw.Draw(image).line((place, 0, 60 - place if mark else place, 40), fill=mark or "white", width=2)
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


class Forum:
    """Pages of the other sites. Remembers what it was asked."""

    def __init__(self):
        self.requests = []
        self.reviews = [
            {"nickname": "old", "detail": "meh", "ratings": [{"percent": 20, "rating_name": "Rating"}]},
            {"nickname": "new", "detail": "fine", "ratings": [{"percent": 80, "rating_name": "Rating"}]},
        ]

    def __call__(self, request):
        self.requests.append(request)
        path = "/" + request.url.split("/", 3)[3]
        if path.startswith("/rest/"):
            return self.rest(path, request)
        pages = {
            "/": "<title>Home</title><a href='/f/books/7/-/a'>post</a> <a href='/g/members'>members</a>",
            "/f/books/7/": FORUM,
            "/f/books/7/-/a": FORUM,
            "/g/members": MEMBERS,
            "/product": PRODUCT,
            "/sales/order/view/order_id/31/": "<div class='order-details-items ordered'>B0953QS3ZX lamp</div>",
            "/scripted": SCRIPTED,
        }
        if path.startswith("/img/"):
            return Response(200, (("content-type", "image/png"),), picture(path[5:].removesuffix(".png")))
        if path == "/data.json":
            asked = dict(request.headers).get("x-requested-with", "nothing")
            return Response(200, (("content-type", "application/json"),), json.dumps({"text": asked}).encode())
        if path == "/whoami":
            name = dict(request.headers).get("cookie", "nobody")
            return html(f"<p id=who>{name}</p>")
        return html(pages[path]) if path in pages else html("<h1>not here</h1>", 404)

    def rest(self, path, request):
        if path.endswith("/admin/token"):
            return reply("tok") if json.loads(request.body)["username"] == "admin" else reply({}, 401)
        if ("authorization", "Bearer tok") not in request.headers:
            return reply({"message": "no token"}, 401)
        return reply({"items": [{"increment_id": "000000031"}]} if "/orders" in path else self.reviews)


def html(text, status=200):
    return Response(status, (("content-type", "text/html; charset=utf-8"),), text.encode())


def reply(value, status=200):
    return Response(status, (("content-type", "application/json"),), json.dumps(value).encode())


def book():
    """The address book of one world."""
    site = SITES["book"].make()
    site.restore(site.golden(WORLD))
    return site


@contextlib.contextmanager
def served(transport):
    """Serves a transport over HTTP; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self):
            size = int(self.headers.get("content-length") or 0)
            headers = tuple((name.lower(), value) for name, value in self.headers.items() if name.lower() != "host")
            address = f"http://{self.headers['host']}{self.path}"
            found = transport(Request(self.command, address, headers, self.rfile.read(size)))
            self.send_response(found.status)
            for name, value in found.headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body)

        do_GET = do_POST = _serve

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def task(number, start, *, intent="Do it.", **config):
    """A task in the published form."""
    kinds = {
        "reference_answers": "string_match",
        "reference_url": "url_match",
        "program_html": "program_html",
        "page_image_query": "page_image_query",
    }
    types = [kind for key, kind in kinds.items() if config.get(key)]
    return {
        "sites": [],
        "task_id": number,
        "require_login": False,
        "storage_state": None,
        "start_url": start,
        "geolocation": None,
        "intent_template": intent,
        "instantiation_dict": {},
        "intent": intent,
        "require_reset": False,
        "eval": {
            "eval_types": types,
            "reference_answers": None,
            "reference_url": "",
            "program_html": [],
            "string_note": "",
            "reference_answer_raw_annotation": "",
            **config,
        },
        "intent_template_id": number,
    }


def target(url, locator, **wanted):
    """One entry of ``program_html``."""
    return {"url": url, "locator": locator, "required_contents": wanted}
