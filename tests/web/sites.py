"""A small site for tests: pages by path, and the ways in which sites misbehave."""

from agentgym.tools.browser.text import TextBrowser
from agentgym.tools.browser.transport import Response, Router, SiteError
from agentgym.tools.browser.urls import AllowList

HOST = "site.test"
ALLOW = AllowList(frozenset({HOST}))


class Pages:
    """Answers with what it was given: HTML, a whole Response, or a function of the request."""

    def __init__(self, pages):
        self.pages = pages
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        path = "/" + request.url.split("/", 3)[3].partition("?")[0]
        found = self.pages.get(path)
        if callable(found):
            found = found(request)
        if found is None:
            return html("<title>Missing</title><p>no page", 404)
        return found if isinstance(found, Response) else html(found)


def html(text, status=200, *headers):
    return Response(status, (("content-type", "text/html; charset=utf-8"), *headers), text.encode())


def to(path, status=302, *headers):
    return Response(status, (("location", path), *headers))


def dies(request):
    raise SiteError("closed", "The site's process died.")


def hangs(request):
    raise SiteError("timeout", "The site did not answer in time.")


AWKWARD = {
    "/": "<title>Start</title><a href=/ok>ok</a> <a href=/loop>loop</a> <a href=/out>out</a> <a href=/file>file</a>"
    " <a href=/crash>crash</a> <a href=/dead>dead</a> <a href=/slow>slow</a> <a href=/nothing>nothing</a>"
    " <a href='file:///etc/passwd'>local</a> <a href='javascript:alert(1)'>script</a> <a href=/plain>plain</a>"
    " <a href=/ok target=_blank>aside</a> <a href='#there'>there</a>",
    "/ok": "<title>Ok</title><p>fine <a href=/>start</a>",
    "/loop": to("/loop"),
    "/out": to("http://elsewhere.test/"),
    "/file": Response(200, (("content-type", "application/pdf"),), b"%PDF" * 10),
    "/attached": Response(200, (("content-type", "text/html"), ("content-disposition", "attachment")), b"x"),
    "/crash": html("<title>Server error</title><h1>Server error</h1>", 500),
    "/dead": dies,
    "/slow": hangs,
    "/nothing": Response(204),
    "/plain": Response(200, (("content-type", "text/plain"),), b"a < b\n  c"),
    "/huge": "<title>Huge</title>" + "<p>word word word</p>" * 120_000,
    "/deep": "<div>" * 5_000 + "bottom",
    "/selector": f"<style>{'div ' * 25_000}{{display:none}} {', '.join(['p'] * 3000)} {{color: red}}</style><p>shown",
}


def browser_on(pages, cls=TextBrowser, **settings):
    """A browser on the start page of a site, and the site."""
    site = Pages(pages)
    browser = cls(Router({HOST: site}), ALLOW, **settings)
    if hasattr(browser, "restart"):
        browser.restart()
    browser.open(f"http://{HOST}/")
    return browser, site
