"""Guides of the first-party sites beside the address book, and of tasks that run over several."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentgym.core.actions import Action
from agentgym.environments.web.guide import Guide
from agentgym.tools.browser.roles import role_of

Field = tuple[str, str, str]
"""Key in the address, what the control shows, what the address has."""


class KitGuide(Guide):
    """Finds links by where they lead, and goes from site to site."""

    def at(self, name: str) -> Action | None:
        """Goes to a site; None once there."""
        return None if self.host == f"{name}.test" else Action("goto", {"url": f"http://{name}.test/"})

    def link_to(self, target: str) -> Action | None:
        """A click on the first link to a path."""
        for number, index in enumerate(self.page.view.refs, 1):
            element = self.page.document.elements[index]
            if element.tag == "a" and element.attrs.get("href") == target:
                return Action("click", {"bid": f"a{number}"})
        return None

    def away(self) -> Action:
        """Out of a corner: to the first page of the site."""
        return Action("goto", {"url": f"http://{self.host}/" if self.host else self.home})

    def under(self, path: str) -> bool:
        """Whether that page or one below it is open."""
        return self.path == path or self.path.startswith(f"{path}/")

    def asked_for(self, section: str, path: str, fields: Mapping[str, Field], button: str) -> Action | None:
        """Fills in the form of a list, by label; None once it is shown."""
        if self.path != path:
            return self.section(section)
        if all(self.query.get(key, "") == sent for key, _, sent in fields.values()):
            return None
        return self.fill_in({label: shown for label, (_, shown, _) in fields.items()}, button)

    def send(self, values: Mapping[str, Any], button: str) -> Action:
        """Gives controls their values by name, one an action, then presses the last button of that text."""
        for name, value in values.items():
            for number, index in enumerate(self.page.view.refs, 1):
                element = self.page.document.elements[index]
                if element.attrs.get("name") == name:
                    action = self._set(f"a{number}", element, role_of(element), value)
                    if action is not None:
                        return action
                    break
        found = [
            f"a{number}"
            for number, index in enumerate(self.page.view.refs, 1)
            if self.page.document.elements[index].attrs.get("value") == button
        ]
        return Action("click", {"bid": found[-1]}) if found else self.away()


class MailGuide(KitGuide):
    """The mailbox."""

    def found(self, words: str = "", sender: str = "", folder: str = "") -> Action | None:
        """Searches; None once the list is shown."""
        fields = {
            "Words": ("q", words, words),
            "From": ("from", sender, sender),
            "Folder": ("in", folder.capitalize() or "Any", folder),
            "Since": ("since", "", ""),
        }
        return self.at("mail") or self.asked_for("Search", "/search", fields, "Search")

    def message(self, key: int, words: str, sender: str = "") -> Action | None:
        """Opens a message by searching for its words; None once it or a page below it is open."""
        if self.host == "mail.test" and self.under(f"/message/{key}"):
            return None
        there = self.link_to(f"/message/{key}") if self.host == "mail.test" else None
        return there or self.found(words, sender) or self.click("link", "Next page") or self.away()

    def below(self, key: int, words: str, way: str) -> Action | None:
        """Opens a page below a message, by its link; None once it is open."""
        there = self.message(key, words)
        if there is not None:
            return there
        target = f"/message/{key}/{way}"
        return None if self.path == target else self.link_to(target) or self.section("Inbox")


class CalendarGuide(KitGuide):
    """The calendar."""

    def event(self, key: int, words: str) -> Action | None:
        """Opens an event by searching for its title; None once it or a page below it is open."""
        if self.host == "calendar.test" and self.under(f"/events/{key}"):
            return None
        away = self.at("calendar")
        if away is not None:
            return away
        fields = {"Words": ("q", words, words), "Kind": ("kind", "Any", ""), "With": ("guest", "", "")}
        return (
            self.link_to(f"/events/{key}")
            or self.asked_for("Search", "/search", fields, "Search")
            or self.section("Agenda")
        )

    def event_page(self, key: int, words: str, way: str) -> Action | None:
        """Opens a page below an event; None once it is open."""
        there = self.event(key, words)
        if there is not None:
            return there
        target = f"/events/{key}/{way}"
        return None if self.path == target else self.link_to(target) or self.section("Agenda")

    def day(self, day: str) -> Action | None:
        """Opens a day by its week; None once it is open."""
        if self.host == "calendar.test" and self.path == f"/day/{day}":
            return None
        away = self.at("calendar")
        if away is not None:
            return away
        week = self.asked_for("Week", "/week", {"Week of": ("day", day, day)}, "Show")
        return week or self.link_to(f"/day/{day}") or self.away()

    def new_event(self, values: Mapping[str, Any]) -> Action:
        """Fills in the form of a new event, and saves it whatever it overlaps."""
        away = self.at("calendar")
        if away is not None:
            return away
        if self.path != "/events/new":
            return self.section("New event")
        anyway = {"Save in spite of that": True} if self.find("checkbox", "Save in spite of that") else {}
        return self.fill_in({**values, **anyway}, "Save event")


class MapGuide(KitGuide):
    """The map."""

    def places(self, **wanted: str) -> Action | None:
        """Shows places with a filter (q, category, district, open, sort); None once they are shown."""
        fields = {
            "Name": ("q", wanted.get("q", ""), wanted.get("q", "")),
            "Category": ("category", wanted.get("category") or "Any", wanted.get("category", "")),
            "District": ("district", wanted.get("district") or "Any", wanted.get("district", "")),
            "Open on": ("open", wanted.get("open") or "Any day", wanted.get("open", "")),
            "Sort by": ("sort", wanted.get("sort", "name").capitalize(), wanted.get("sort", "name")),
        }
        away = self.at("map")
        if away is not None:
            return away
        if self.path == "/places" and self.query.get("near", "") != wanted.get("near", ""):
            return self.section("Places")
        return self.asked_for("Places", "/places", fields, "Show")

    def place(self, key: int, name: str) -> Action | None:
        """Opens a place by its name; None once it or a page below it is open."""
        if self.host == "map.test" and re.match(rf"/places/{key}(?:/|$)", self.path):
            return None
        there = self.link_to(f"/places/{key}") if self.host == "map.test" else None
        return there or self.places(q=name) or self.away()

    def place_page(self, key: int, name: str, way: str) -> Action | None:
        """Opens a page below a place; None once it is open."""
        there = self.place(key, name)
        if there is not None:
            return there
        target = f"/places/{key}/{way}"
        return None if self.path == target else self.link_to(target) or self.section("Overview")

    def near(self, key: int, name: str, category: str) -> Action | None:
        """Shows the places of a category by their distance from a place; None once they are shown."""
        away = self.at("map")
        if away is not None:
            return away
        if self.path == "/places" and self.query.get("near") == str(key):
            fields = {
                "Name": ("q", "", ""),
                "Category": ("category", category, category),
                "District": ("district", "Any", ""),
                "Open on": ("open", "Any day", ""),
                "Sort by": ("sort", "Distance", "distance"),
            }
            return self.asked_for("Places", "/places", fields, "Show")
        if self.path == f"/places/{key}":
            return self.click("link", "Places near here") or self.away()
        if self.under(f"/places/{key}"):
            return self.section("Overview")
        return self.place(key, name)


class AcrossGuide(MailGuide, CalendarGuide, MapGuide):
    """Several sites at once."""
