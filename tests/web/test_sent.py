"""What browsers send: forms against Chromium's own, and requests, cookies and links of the two backends."""

from html import escape

import pytest

from agentgym.tools.browser import forms
from agentgym.tools.browser.forms import Controls
from agentgym.tools.browser.patterns import fits
from agentgym.tools.browser.text import TextBrowser
from agentgym.tools.browser.transport import Response, Router
from agentgym.tools.browser.urls import AllowList
from web.sites import HOST, Pages, browser_on, html, to

VALUES = {
    "date": ("2026-1-1", "2026-01-01", "0000-01-01", "2026-02-30", "٢٠٢٦-01-01"),
    "time": ("9:00", "09:00", "09:00:30", "09:00:30.5", "09:00:30.1234", "24:00"),
    "datetime-local": ("2026-01-01T10:00", "2026-01-01 10:00", "2026-01-01T10:00:30", "2026-01-01T25:00"),
    "month": ("2026-13", "2026-12", "0000-01"),
    "week": ("2026-W54", "2026-W53", "2025-W53", "0000-W01"),
    "number": ("1", "1.", ".5", "1e5", "1e400", "+1", "０", "1,5", " 1", "0x10", "1e-400", "NaN"),
    "range": ("", "50", "200", "-5", "33.3", "x"),
    "color": ("", "#ff0000", "red", "#FFF", "#ABCDEF", "ff0000"),
    "email": ("a@b", "a", " a@b ", "a@b..c", "a@b-", "a@b.c-", "a@" + "b" * 64, "a@b,c@d"),
    "url": ("http://a", "a.b", " http://x ", "mailto:x", "http://", "http://[", "x:", "http:x", "//x"),
    "text": ("x", " x "),
}  # fmt: skip
LIMITS = [
    ("type=number min=0 max=10 step=3", "4"), ("type=number min=1 step=3", "4"), ("type=number step=0.1", "1.1"),
    ("type=number", "1.5"), ("type=number step=any", "1.5"), ("type=number step=0.01", "19.99"),
    ("type=number min=5 max=3", "4"), ("type=number step=-1", "1.5"), ("type=date min=2026-01-05", "2026-01-04"),
    ("type=date max=2026-01-05", "2026-01-06"), ("type=date min=2026-01-05 step=7", "2026-01-13"),
    ("type=date step=2", "2026-01-13"), ("type=date min=garbage", "2026-01-13"), ("type=time min=09:00", "08:00"),
    ("type=time min=22:00 max=06:00", "23:00"), ("type=time min=22:00 max=06:00", "12:00"),
    ("type=time", "08:00:30"), ("type=time step=900", "08:10"), ("type=month min=2026-02", "2026-01"),
    ("type=datetime-local min=2026-01-01T00:00", "2025-12-31T23:00"), ("type=week max=2026-W10", "2026-W11"),
    ("type=week step=2 min=2026-W01", "2026-W02"), ("type=month step=2", "2026-02"),
    ("type=range min=0 max=10 step=3", "4"), ("type=range min=10 max=0", "4"), ("type=range min=50", "4"),
    ("type=range min=-5 max=5", "4.4"), ("type=range step=any", "4.4"), ("type=email multiple", "a@b, c@d"),
    ("type=email multiple", "a@b,,"), ("required", " "), ("required readonly", ""),
]  # fmt: skip
PATTERNS = [
    r"[a-z]+", r"a|b", r"\d{3}", r"^\S+@\S+$", r"(?<y>\d)\k<y>", r"(?i)a", r".", r"\w+", r"[\w-]+",
    r"\-x", r"\/x", r"\s", r"[^\s]+", r"(?P<y>a)", r"a++", r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z]).{8,}", r"[\d\s()+-]{6,}",
    r"\+?[0-9 ()\-]{7,}", r"(\d{3})-?\1", r"[", r"a]", r"a{,2}", r"[z-a]", r"[a\-z]", r"\e", r"\.", r"[]", r"[^]", r"()",
]  # fmt: skip
TEXTS = ["a", "A", "ab", "aa", "12", "123", "١٢٣", "123-123", "a b", "a@b", "ä", "😀", "-x", "/x", "\xa0", "abcdefg1",
         "Abcdefg1", "b", "+1 (2) 34", ".", "&"]  # fmt: skip

WIDGETS = [
    *((f"type={kind}", value) for kind, values in VALUES.items() for value in values),
    *LIMITS,
]  # fmt: skip
SENT = [
    "<fieldset disabled><input name=a value=1><legend><input name=l></legend></fieldset><input name=b value=2>",
    "<input name=a value=1><input name=a value=2><select name=a multiple><option selected>3<option selected>4</select>",
    "<select name=a><optgroup disabled><option selected>1</optgroup></select><select name=b size=3><option>1</select>",
    "<textarea name=a>\n\nx\ny</textarea><input type=hidden name=_charset_><input name=b dirname=b.dir value=1>",
    "<datalist><input name=a value=1></datalist><input type=file name=f><input type=image name=i><input name=isindex>",
    "<input type=checkbox name=a checked><input type=radio name=r value=1 checked><input type=radio name=r checked>",
    "<select name=s><option value=''>x<option label=L value=2 selected> y  z</select><output name=o>1</output>",
]
READ = """([values, patterns, texts]) => {
  const all = [...document.forms], probe = document.createElement("input");
  values.forEach((value, i) => { if (value !== null) all[i].elements[0].value = value; });
  const fits = (text) => { probe.value = text; return probe.validity.valid; };
  return [
    all.map((form) => [...new FormData(form)].map(([k, v]) => [k, typeof v === "string" ? v : ""])),
    all.map((form) => form.checkValidity()),
    patterns.map((pattern) => { probe.pattern = pattern; return texts.map(fits); }),
  ];
}"""


def test_forms_hold_allow_and_send_what_chromium_s_do(chromium):
    from agentgym.tools.browser.chromium import ChromiumBrowser

    given = [f"<input name=a {attrs} value='{escape(value)}'>" for attrs, value in WIDGETS]
    typed = [f"<input name=a {attrs}>" for attrs, _ in WIDGETS]
    whole = [f"<form>{item}</form>" for item in (*typed, *given, *SENT)]
    values = [value for _, value in WIDGETS] + [None] * (len(given) + len(SENT))
    browser, _ = browser_on({"/": "<body>" + "".join(whole)}, ChromiumBrowser)
    try:
        sent, valid, fitting = browser._run(browser.tab.handle.evaluate(READ, [values, PATTERNS, TEXTS]))
    finally:
        browser.close()
    document = browser_on({"/": "<body>" + "".join(whole)})[0].page.document
    controls = Controls()
    found = [element for element in document.elements if element.tag == "form"]
    for form, value in zip(found, values, strict=True):
        if value is not None:
            field = forms.controls_of(document, form)[0]
            controls.changed[field.index] = forms.sanitised(field, value)
    for number, form in enumerate(found):
        ours = [
            [name, value.replace("\r\n", "\n")] for name, value in forms.entries(document, form, controls, None)
        ]  # a form's data has other line ends than what is sent
        assert ours == sent[number], whole[number]
        assert (forms.invalid(document, form, controls) is None) == valid[number], (whole[number], values[number])
    for pattern, row in zip(PATTERNS, fitting, strict=True):
        assert [fits(pattern, text) for text in TEXTS] == row, pattern


# ------------------------------------------------------------------ what reaches the site

OTHER = "other.test"
BOTH = AllowList(frozenset({HOST, OTHER}))
BUTTON = "<button name=go value=1>Go</button>"
FILE = "<input type=file name=f aria-label=F>"
ROUTES = {
    "/again": to(f"http://{OTHER}/got", 307),
    "/got": "<title>Got</title>",
    "/not-modified": Response(304),
    "/asked-again": html("<title>Late</title>", 408),
    "/policy": html("<a href=/got>g</a>", 200, ("referrer-policy", "no-referrer")),
    "/safe": "<meta http-equiv=Content-Security-Policy content='upgrade-insecure-requests; style-src \"none\"'>"
    "<style>p { display: none }</style><p>hidden</p><a href=/got>s</a>",
    "/wide": Response(200, (("content-type", "text/html"),), "<title>hié".encode("utf-16")),
    "/": "<title>F</title>" + "".join(
        f"<form action='{action}' method=post {more}>{fields}{BUTTON}</form>" for action, more, fields in [
            (f"http://{OTHER}/got", "", ""),
            ("/again", "", ""),
            ("/got", "enctype=multipart/form-data", f"<input name='q\"\n' value=1 aria-label=q>{FILE}"),
            ("/got", "enctype=text/plain", "<input name=a value='1&2' aria-label=a>"),
            ("/got", "", f"{FILE}<input name=a aria-label=lone>"),
            ("/got", "", "<input name=a type=number aria-label=n>"),
        ]
    ) + "<form action='/got?x=1#there'><input name=a value=1 aria-label=p><button formaction=''>Here</button></form>"
    "<form action='/got?x=1#there'><input name=a value=1 aria-label=p><button>There</button></form>",
}  # fmt: skip
WAYS = [
    ("click", "Go", 0), ("click", "Go", 1), ("click", "Go", 2), ("click", "Go", 3), ("fill", "lone", "a\ud800b"),
    ("click", "Go", 4), ("fill", "n", "1.5"), ("click", "Go", 5), ("fill", "n", "2"), ("click", "Go", 5),
    ("click", "Here", 0), ("click", "There", 0), ("goto", "/not-modified", 0), ("goto", "/asked-again", 0),
    ("goto", "/policy", 0), ("click", "g", 0), ("goto", "/wide", 0), ("goto", "/safe", 0), ("click", "s", 0),
]  # fmt: skip


def ways(make):
    """What is observed and what the sites are asked, action by action; opens the first page anew after each visit."""
    sites = {HOST: Pages(ROUTES), OTHER: Pages(ROUTES)}
    browser = make(Router(sites))
    told = []
    for name, what, more in WAYS:
        if browser.page.url != f"http://{HOST}/" and name != "goto" and what not in ("g", "s"):
            browser.do("goto", {"url": f"http://{HOST}/"})
        if name == "goto":
            done = browser.do(name, {"url": f"http://{HOST}{what}"})
        else:
            parts = "\n".join(browser.page.view.lines).split(f"'{what}'")
            number = more if name == "click" else 0
            bid = parts[number].rsplit("[", 1)[1].split("]")[0]
            done = browser.do(name, {"bid": bid} if name == "click" else {"bid": bid, "value": more})
        told.append((name, what, more, done, browser.observe(done.notice)))
    asked = [asks(request) for site in sites.values() for request in site.requests if request.document]
    return told, asked


def asks(request):
    headers = dict(request.headers)
    kind, _, mark = headers.get("content-type", "").partition("boundary=")
    body = request.body.replace(mark.encode(), b"mark") if mark else request.body
    return request.method, request.url, body, kind, headers.get("referer"), headers.get("origin")


@pytest.fixture
def in_chromium(chromium):
    from agentgym.tools.browser.chromium import ChromiumBrowser

    made = []

    def make(router):
        made.append(ChromiumBrowser(router, BOTH, deadline=5.0))
        made[0].restart()
        made[0].open(f"http://{HOST}/")
        return made[0]

    yield make
    made[0].close()


def in_text(router):
    browser = TextBrowser(router, BOTH, deadline=5.0)
    browser.open(f"http://{HOST}/")
    return browser


def test_both_backends_ask_the_sites_the_same(in_chromium):
    (told, asked), (live_told, live_asked) = ways(in_text), ways(in_chromium)
    for ours, live in zip(told, live_told, strict=True):
        assert ours == live
    assert asked == live_asked
    refused = [step[:3] for step in told if step[3].category]
    assert refused == [("click", "Go", 5), ("goto", "/not-modified", 0)]


COOKIES = [
    "a=1", "b=1; Path=/in", "c=1; Path=in", "d=1; Domain=site.test", "e=1; Domain=other.test", "f=1; Domain=test",
    "g=1; Domain=x.site.test", "h=1; SameSite=None", "i=1; SameSite=Strict", "j=1; SameSite=Lax", "__Host-k=1; Path=/",
    "=l", "m", "n=", "o=1\x01", "p=1\t2", "q=1\x002", "r=" + "x" * 4_096, "s=1; Path=/" + "x" * 2_000, "a=2", "", ";",
    "b=; Path=/in; Max-Age=0", "t=1; Max-Age=100; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=3; Max-Age=-5", "u=ü",
    "d=; Expires=Fri, 31 Dec 1999 23:59:59 GMT; Domain=site.test", "v=1; Secure; SameSite=None; Partitioned",
    *(f"w{number}=1" for number in range(190)),
]  # fmt: skip
LINKS = [
    "href=/got rel=noreferrer", "href=/got referrerpolicy=origin", "href=/got target=_blank rel='noopener noreferrer'",
    "href='\\got'", "href='/in\\..\\got'", "href='/a/%2e%2E/got'", "href='///other.test/got'", "href='http:///other.test/got'",
    "href='http:\\\\other.test\\got'", "href='/got|^`{} x?|^`{}#|^`{}'", "href='http://other.test:80/a/./b/../got'", "href='/..'",
    "href='/%2e'", "href='http:got'", "href='/got?a=../b'",
]  # fmt: skip


def test_both_backends_keep_the_same_cookies_and_read_links_alike(in_chromium):
    pages = {
        "/got": "<title>Got</title>",
        "/in/got": "<title>Got</title>",
        "/": "<title>L</title>" + "".join(f"<a {link}>x</a> " for link in LINKS)
        + "<svg width=50 height=20><a href=/got><text y=15>x</text></a></svg>",
        "/form": f"<form action=http://{HOST}/got method=post>{BUTTON}</form><a href=http://{HOST}/got>x</a>",
        "/nothing": Response(204, (("set-cookie", "last=1"),)),
    }  # fmt: skip
    for number, cookie in enumerate(COOKIES):
        pages[f"/set/{number}"] = html("<title>Set</title>", 200, ("set-cookie", cookie), ("x" * 9_000, "\0"))
    steps = [(HOST, f"/set/{number}", "") for number in range(len(COOKIES))]
    steps[28:28] = [(HOST, "/got", ""), (HOST, "/in/got", "")]
    steps += [(HOST, "/nothing", ""), (HOST, "/got", ""), (OTHER, "/form", "a1"), (OTHER, "/form", "a2")]
    steps += [(HOST, "/", f"a{number + 1}") for number in range(len(LINKS) + 1)]
    found = []
    for make in (in_text, in_chromium):
        sites = {HOST: Pages(pages), OTHER: Pages(pages)}
        browser = make(Router(sites))
        for host, path, bid in steps:
            done = browser.do("goto", {"url": f"http://{host}{path}"})
            if bid:
                done = browser.do("click", {"bid": bid})
            while len(browser.tabs) > 1:
                browser.do("tab_close", {})
            last = [site.requests[-1] for site in sites.values() if site.requests]
            heads = [(dict(item.headers).get("cookie"), dict(item.headers).get("referer")) for item in last]
            found.append((path, bid, done, browser.page.url, heads))
    half = len(found) // 2
    for ours, live in zip(found[:half], found[half:], strict=True):
        assert ours == live
