"""The text backend: a browser without a browser. Pages come from applications in this process."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import lru_cache

from agentgym.tools.browser import css, forms
from agentgym.tools.browser.backend import BLANK, DEADLINE, Failed, Page, Tab, Visit
from agentgym.tools.browser.browser import Browser
from agentgym.tools.browser.cookies import CookieJar
from agentgym.tools.browser.dom import Document, linked_sheets, parse_html
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.forms import Controls, Value
from agentgym.tools.browser.lines import View, read
from agentgym.tools.browser.pages import NotShown, arrive, decoded
from agentgym.tools.browser.patience import ask
from agentgym.tools.browser.referrer import origin_of, referer, referrer_policy
from agentgym.tools.browser.transport import Request, Response, SiteError, Transport
from agentgym.tools.browser.urls import AllowList, resolve, without_fragment

USER_AGENT = "agentgym"
ACCEPT_LANGUAGE = "en-US,en;q=0.9"
CACHED = 200_000
"""Characters of HTML up to which a parsed page is kept for the next time that it comes."""
MAX_SHEETS = 20


@dataclass
class Source:
    """A page as it came, and what the user did to it."""

    url: str = BLANK
    status: int = 200
    html: str = ""
    sheets: tuple[str, ...] = ()
    toggled: frozenset[int] = frozenset()
    """``details`` that were opened or closed."""
    controls: Controls = field(default_factory=Controls)


@dataclass
class TextTab(Tab):
    """A tab with its page."""

    source: Source = field(default_factory=Source)


@dataclass
class TextState:
    """Everything that changes, as plain data."""

    tabs: list[TextTab] = field(default_factory=lambda: [TextTab()])
    active: int = 0
    jar: CookieJar = field(default_factory=CookieJar)


class TextBrowser(Browser):
    """See ``Browser``. Scripts don't run.

    Args:
        transport: Where requests go.
        allow: What may be opened.
        state: To go on from.
        deadline: Seconds that one action may take.
    """

    def __init__(
        self, transport: Transport, allow: AllowList, state: TextState | None = None, *, deadline: float = DEADLINE
    ) -> None:
        super().__init__(allow, deadline)
        self._transport = transport
        self.state = state or TextState()
        self._page: tuple[Source, Page] | None = None

    # ------------------------------------------------------------------ state

    @property
    def tabs(self) -> list[Tab]:
        """See ``Browser``."""
        return list(self.state.tabs)

    @property
    def active(self) -> int:
        """See ``Browser``."""
        return self.state.active

    @property
    def tab(self) -> TextTab:
        """The current tab."""
        return self.state.tabs[self.state.active]

    @property
    def page(self) -> Page:
        """See ``Browser``."""
        source = self.tab.source
        if self._page is None or self._page[0] is not source:
            self._page = (source, self._read(source))
        return self._page[1]

    def titles(self) -> list[str]:
        """See ``Browser``."""
        return [_parsed(tab.source)[0].title for tab in self.state.tabs]

    def shown(self) -> tuple[object, ...]:
        """See ``Browser``."""
        pages = [self.page if i == self.active else self._read(tab.source) for i, tab in enumerate(self.state.tabs)]
        tops = [tab.top for tab in self.state.tabs]
        return self.active, tuple((page.url, page.view.lines, top) for page, top in zip(pages, tops, strict=True))

    @staticmethod
    def _read(source: Source) -> Page:
        document, untouched = _parsed(source)
        view = read(document, source.controls) if source.controls.changed else untouched
        return Page(source.url, source.status, document, source.controls, view)

    def _touched(self) -> None:
        self._page = None

    # ------------------------------------------------------------------ effects

    def navigate(self, visit: Visit) -> str:
        """See ``Browser``."""
        source = self._fetch(visit)
        if visit.new_tab:
            self.add_tab()
        self.tab.source = source
        return source.url

    def _fetch(self, visit: Visit) -> Source:
        url, method, body, kind = visit.url, visit.method, visit.body, visit.content_type
        page = without_fragment(self.tab.source.url) if visit.cause is not None else ""
        policy = referrer_policy(self.page.document, visit.cause) if visit.cause is not None else ""
        origin = origin_of(page or url) if method == "POST" else ""
        try:
            for hops in itertools.count():
                response = self._ask(method, url, body, kind, page, origin, policy)
                arrived = arrive(url, response, hops, self.allow)
                if not arrived.following:
                    return Source(url, response.status, arrived.html, self._sheets(url, arrived.html))
                if not arrived.keeps_method and method == "POST":
                    method, body, kind, origin = "GET", b"", "", ""
                if origin and origin_of(arrived.following) != origin_of(url):
                    origin = "null"  # as browsers have it once a form was sent on to another host
                url = arrived.following
        except NotShown as reason:
            raise Failed(reason.category, reason.message) from reason
        raise AssertionError("redirects end")

    def _ask(
        self, method: str, url: str, body: bytes, kind: str, page: str, origin: str = "", policy: str = "",
        *, document: bool = True,
    ) -> Response:  # fmt: skip
        headers = [("user-agent", USER_AGENT), ("accept-language", ACCEPT_LANGUAGE)]
        cookie = self.state.jar.header(url, page, method)
        if cookie:
            headers.append(("cookie", cookie))
        if kind:
            headers.append(("content-type", kind))
        if origin:
            headers.append(("origin", origin))
        named = referer(policy, page, url)
        if named:
            headers.append(("referer", named))
        request = Request(method, without_fragment(url), tuple(headers), body, document)
        try:
            response = ask(self._transport, request, self.left, self.deadline)
        except SiteError as error:
            raise Failed(error.category, error.message) from error
        for name, value in response.headers:
            if name == "set-cookie":
                self.state.jar.store(url, value)
        return response

    def _sheets(self, url: str, html: str) -> tuple[str, ...]:
        if "stylesheet" not in html and "@import" not in html:
            return ()
        written, sheets = linked_sheets(html) if len(html) > CACHED else _linked(html)
        base = resolve(url, written)
        found: list[str] = []
        for href in sheets:
            self._sheet(resolve(base, href), url, found, set())
        return tuple(found)

    def _sheet(self, address: str, page: str, found: list[str], importing: set[str]) -> None:
        """Adds a style sheet, and before it those that it imports."""
        if address in importing or len(found) + len(importing) >= MAX_SHEETS or self.allow.problem(address):
            return
        response = self._ask("GET", address, b"", "", page, document=False)
        if response.status != 200:
            return
        text = decoded(response.body, response.header("content-type"))
        for href in css.imports(text):
            self._sheet(resolve(address, href), address, found, importing | {address})
        found.append(text)

    # ------------------------------------------------------------------ controls

    def _change(self, element: Element, value: Value) -> None:
        self.tab.source.controls.changed[element.index] = value
        self._touched()

    def write(self, element: Element, value: str) -> None:
        """See ``Browser``."""
        self._change(element, value)

    def tick(self, element: Element, on: bool) -> None:
        """See ``Browser``."""
        if element.attrs.get("type", "").lower() == "radio":
            for other in forms.radio_group(self.page.document, element):
                self.tab.source.controls.changed[other.index] = False
        self._change(element, on)

    def choose(self, element: Element, chosen: tuple[int, ...]) -> None:
        """See ``Browser``."""
        self._change(element, chosen)

    def toggle(self, details: Element) -> None:
        """See ``Browser``."""
        name = details.attrs.get("name", "") if "open" not in details.attrs else ""
        shut = [item.index for item in self.page.document.elements if name and _is_open(item, name)]
        self.tab.source.toggled ^= {details.index, *shut}
        self._touched()

    def reset_form(self, form: Element) -> None:
        """See ``Browser``."""
        for element in forms.controls_of(self.page.document, form):
            self.tab.source.controls.changed.pop(element.index, None)
        self._touched()

    def poke(self, element: Element, action: str, key: str = "") -> bool:
        """False: nothing listens here."""
        return False

    # ------------------------------------------------------------------ tabs

    def show_tab(self, index: int) -> None:
        """See ``Browser``."""
        self.state.active = index

    def add_tab(self) -> None:
        """See ``Browser``."""
        self.state.tabs.append(TextTab())
        self.state.active = len(self.state.tabs) - 1

    def drop_tab(self) -> None:
        """See ``Browser``."""
        del self.state.tabs[self.state.active]
        if not self.state.tabs:
            self.state.tabs.append(TextTab())
        self.state.active = max(self.state.active - 1, 0)


def _parsed(source: Source) -> tuple[Document, View]:
    if source.toggled or len(source.html) > CACHED:
        return _parse(source.html, source.sheets, source.toggled)
    return _remembered(source.html, source.sheets)


@lru_cache(maxsize=512)
def _remembered(html: str, sheets: tuple[str, ...]) -> tuple[Document, View]:
    return _parse(html, sheets, frozenset())


_linked = lru_cache(maxsize=512)(linked_sheets)


def _parse(html: str, sheets: tuple[str, ...], toggled: frozenset[int]) -> tuple[Document, View]:
    document = parse_html(html, sheets)
    for index in toggled:
        attrs = document.elements[index].attrs
        if "open" in attrs:
            del attrs["open"]
        else:
            attrs["open"] = ""
    if "radio" in html:
        _settle_radios(document)
    return document, read(document, Controls())


def _is_open(element: Element, group: str) -> bool:
    """Whether it is one of the ``details`` of a group, of which only one can be open, and open."""
    return element.tag == "details" and element.attrs.get("name") == group and "open" in element.attrs


def _settle_radios(document: Document) -> None:
    """Of the radio buttons of a group that a page has ticked the last one stays so."""
    last: dict[tuple[int, str], Element] = {}
    for element in document.elements:
        name, kind = element.attrs.get("name", ""), element.attrs.get("type", "").lower()
        if element.tag == "input" and kind == "radio" and name and "checked" in element.attrs:
            form = forms.form_of(document, element)
            key = (form.index if form is not None else -1, name)
            if key in last:
                del last[key].attrs["checked"]
            last[key] = element
