"""What an expert sees and does: finds things on the page by what they are called, and walks the site by its links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from agentgym.core.actions import Action
from agentgym.environments.web.goals import place_of
from agentgym.environments.web.sites.changes import Change
from agentgym.tools.browser.backend import Page
from agentgym.tools.browser.browser import Browser
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.forms import option_label, options
from agentgym.tools.browser.names import Namer
from agentgym.tools.browser.roles import input_type, role_of
from agentgym.tools.browser.urls import form_decoded


class Guide:
    """The current page of a browser, for experts.

    Args:
        browser: The browser.
        changes: Net changes of the database so far.
        asked: Whether the user was asked already, and what the reply was.
        seen: Pieces of evidence that were read so far.
        home: Address of the first page of the task's (first) site.
    """

    def __init__(
        self, browser: Browser, changes: tuple[Change, ...], asked: str, seen: frozenset[str], home: str
    ) -> None:
        self.page: Page = browser.page
        self.changes = changes
        self.asked = asked
        self.seen = seen
        self.home = home
        self.host = urlsplit(self.page.url).hostname or ""
        self.path, query = place_of(self.page.url)
        self.query: Mapping[str, str] = dict(form_decoded(query))
        self._namer = Namer(self.page.document)

    # ------------------------------------------------------------------ finding

    def find(self, role: str, name: str) -> tuple[str, Element] | None:
        """Reference and element of the first widget of that role and name."""
        for number, index in enumerate(self.page.view.refs, 1):
            element = self.page.document.elements[index]
            if role_of(element) == role and self._namer.name(element, role) == name:
                return f"a{number}", element
        return None

    def added(self, table: str) -> Mapping[str, Any] | None:
        """The first row that was added to a table; None where there is none."""
        return next((item.after for item in self.changes if item.table == table and item.before is None), None)

    def sent(self, table: str, row: int = 0) -> bool:
        """Whether a row of a table was changed (any, where no row is named)."""
        return any(change.table == table and row in (0, change.row) for change in self.changes)

    # ------------------------------------------------------------------ acting

    def click(self, role: str, name: str) -> Action | None:
        """A click on a widget; None where there is none."""
        found = self.find(role, name)
        return Action("click", {"bid": found[0]}) if found else None

    def follow(self, address: str) -> Action | None:
        """A click on the first link whose address ends with this; None where there is none."""
        for number, index in enumerate(self.page.view.refs, 1):
            element = self.page.document.elements[index]
            if element.tag == "a" and element.attrs.get("href", "").endswith(address):
                return Action("click", {"bid": f"a{number}"})
        return None

    def put(self, field: str, value: Any) -> Action | None:
        """Gives the control that a form calls ``field`` its value; None when it has it, or isn't there."""
        for number, index in enumerate(self.page.view.refs, 1):
            element = self.page.document.elements[index]
            if element.attrs.get("name") == field:
                kind = {"choose": "combobox", "click": "checkbox"}.get(control_kinds(element), "textbox")
                return self._set(f"a{number}", element, kind, value)
        return None

    def enter(self, label: str, value: Any) -> Action | None:
        """Gives the control of a label its value; None when it has it, or isn't there."""
        for role in ("textbox", "searchbox", "spinbutton", "Date", "combobox", "checkbox", "radio"):
            found = self.find(role, label)
            if found is not None:
                return self._set(found[0], found[1], role, value)
        return None

    def _set(self, ref: str, element: Element, role: str, value: Any) -> Action | None:
        controls = self.page.controls
        if role in ("checkbox", "radio"):
            wanted = bool(value)
            if controls.checked(element) == wanted:
                return None
            return Action("check" if wanted else "uncheck", {"bid": ref})
        if role == "combobox":
            if controls.shown(element) == value:
                return None
            return Action("select_option", {"bid": ref, "options": value})
        return None if controls.text(element) == str(value) else Action("fill", {"bid": ref, "value": str(value)})

    def fill_in(self, values: Mapping[str, Any], button: str) -> Action:
        """Fills in a form, one field an action, then sends it."""
        for label, value in values.items():
            action = self.enter(label, value)
            if action is not None:
                return action
        return self.click("button", button) or self.away()

    def fill_fields(self, values: Mapping[str, Any], button: str) -> Action:
        """Like ``fill_in``, for controls by what their form calls them, or by label."""
        for field, value in values.items():
            action = self.put(field, value) or self.enter(field, value)
            if action is not None:
                return action
        return self.click("button", button) or self.away()

    def answer(self, text: Any) -> Action:
        """Ends the task with an answer."""
        return Action("send_msg_to_user", {"text": str(text)})

    def report(self, reason: str, words: str) -> Action:
        """Ends the task as one that can't be done."""
        return Action("report_infeasible", {"reason": f"{reason}: {words}"})

    def away(self) -> Action:
        """Out of a corner: to the overview, by link or by address."""
        return self.click("link", "Overview") or Action("goto", {"url": self.home})

    # ------------------------------------------------------------------ the address book

    def section(self, name: str) -> Action:
        """Opens a section of the site by its link."""
        return self.click("link", name) or self.away()

    def listed(self, section: str, path: str, values: Mapping[str, str], keys: Mapping[str, str]) -> Action | None:
        """Shows a list with a filter; None once it is shown. ``values`` by label, ``keys`` as the address has them."""
        if self.path != path:
            return self.section(section)
        if all(self.query.get(key, "") == value for key, value in keys.items()):
            return None
        return self.fill_in(values, "Show")

    def contact(self, name: str, key: int) -> Action | None:
        """Opens a contact's page by searching for it; None once it or a page below it is open."""
        if re.match(rf"/contacts/{key}(?:/|$)", self.path):
            return None
        shown = self.click("link", name) if self.path in ("/contacts", "/") else None
        if shown is not None:
            return shown
        if self.path == "/contacts" and self.query.get("q") != name:
            return self.fill_in({"Search": name, "City": "Any", "Category": "Any"}, "Show")
        return self.section("Contacts")

    def contact_page(self, name: str, key: int, way: str) -> Action | None:
        """Opens the form to ``edit`` or ``delete`` a contact; None once it is open."""
        if self.path == f"/contacts/{key}/{way}":
            return None
        there = self.contact(name, key) or self.click("link", way.capitalize())
        return there or self.click("link", "Keep it") or self.section("Contacts")

    def cancelling(self, key: int, name: str) -> Action | None:
        """Opens the page that cancels an order; None once it is open."""
        if self.path == f"/orders/{key}/cancel":
            return None
        return self.order(key, name) or self.click("link", "Cancel this order") or self.section("Orders")

    def order(self, key: int, name: str) -> Action | None:
        """Opens an order's page by searching for its contact; None once it or a page below it is open."""
        if re.match(rf"/orders/{key}(?:/|$)", self.path):
            return None
        shown = self.click("link", f"Order {key}")
        if shown is not None:
            return shown
        if self.path == "/orders":
            if self.query.get("q") != name:
                return self.fill_in({"Contact": name, "Status": "Any"}, "Show")
            following = self.click("link", "Next page")
            if following is not None:
                return following
        return self.section("Orders")

    def product(self, name: str, key: int) -> Action | None:
        """Opens a product's page; None once it is open."""
        if self.path == f"/products/{key}":
            return None
        return (self.click("link", name) if self.path == "/products" else None) or self.section("Products")


def control_kinds(element: Element) -> str:
    """For mistakes: whether a widget is written, chosen or clicked."""
    if element.tag == "select":
        return "choose"
    if element.tag == "textarea" or (
        element.tag == "input"
        and input_type(element) not in ("checkbox", "radio", "submit", "button", "image", "reset", "file")
    ):
        return "write"
    return "click"


def labels(select: Element) -> list[str]:
    """What a list offers."""
    return [option_label(option) for option in options(select)]
