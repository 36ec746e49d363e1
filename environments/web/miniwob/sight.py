"""What a MiniWoB expert sees of a page."""

from __future__ import annotations

from dataclasses import dataclass

from agentgym.core.actions import Action
from agentgym.tools.browser.backend import Page
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.names import Namer, squeeze
from agentgym.tools.browser.roles import TEXT_ENTRY, WIDGETS, role_of


@dataclass(frozen=True)
class Widget:
    """One thing that can be acted on."""

    ref: str
    role: str
    """As roles have it; ``clickable`` for what only listens, ``shape`` for what is drawn."""
    name: str
    element: Element


class Sight:
    """The widgets of the current page, and the actions that experts take.

    Args:
        page: The page.
        text: The task.
        done: Names of the actions so far.
    """

    def __init__(self, page: Page, text: str, done: list[str]) -> None:
        self.page = page
        self.text = text
        self.done = done
        namer = Namer(page.document)
        self.widgets = [
            self._widget(number, page.document.elements[index], namer) for number, index in enumerate(page.view.refs, 1)
        ]
        self.lines = [line for line in page.view.lines if squeeze(line) != text]
        """The page without the task that stands on it."""

    @staticmethod
    def _widget(number: int, element: Element, namer: Namer) -> Widget:
        role = role_of(element)
        name = namer.name(element, role)
        if "data-agent-shape" in element.attrs:
            return Widget(f"a{number}", "shape", element.attrs["data-agent-shape"], element)
        if role not in WIDGETS:
            return Widget(f"a{number}", "clickable", name or squeeze(namer.content(element)), element)
        return Widget(f"a{number}", role, name, element)

    def all(self, *roles: str) -> list[Widget]:
        """Widgets of some roles, in order."""
        return [widget for widget in self.widgets if widget.role in roles]

    def named(self, name: str, *roles: str) -> Widget | None:
        """The first widget of that name, of some roles if any are given."""
        found = (item for item in self.widgets if item.name == name and (not roles or item.role in roles))
        return next(found, None)

    @property
    def fields(self) -> list[Widget]:
        """What text can be written into."""
        return [widget for widget in self.widgets if widget.role in TEXT_ENTRY]

    def value(self, widget: Widget) -> str:
        """What stands in a field."""
        return self.page.controls.text(widget.element)

    def ticked(self, widget: Widget) -> bool:
        """Whether a checkbox or radio button is ticked."""
        return self.page.controls.checked(widget.element)

    # ------------------------------------------------------------------ actions

    def click(self, widget: Widget | None) -> Action:
        """A click; giving up where there is nothing to click."""
        return Action("click", {"bid": widget.ref}) if widget is not None else give_up()

    def click_name(self, name: str, *roles: str) -> Action:
        """A click on what has that name."""
        return self.click(self.named(name, *roles))

    def submit(self, name: str = "Submit") -> Action:
        """A click on the button that ends the task."""
        return self.click(self.named(name) or next(iter(self.all("button")), None))

    def fill_then(self, values: list[tuple[Widget, str]], button: str = "Submit") -> Action:
        """Writes the first value that isn't there yet; then the button."""
        for widget, value in values:
            if self.value(widget) != value:
                return Action("fill", {"bid": widget.ref, "value": value})
        return self.submit(button)


def give_up() -> Action:
    """Ends the episode without success."""
    return Action("send_msg_to_user", {"text": "I don't know how."})
