"""What a backend of the browser is asked for: what the page is now, and effects of actions that were checked."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

from agentgym.tools.browser.dom import Document
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.forms import Controls
from agentgym.tools.browser.lines import View
from agentgym.tools.browser.urls import AllowList

BLANK = "about:blank"
DEADLINE = 10.0
"""Seconds that one action may take."""


class Refused(Exception):
    """An action that can't be done here. Nothing was changed."""

    def __init__(self, category: str, message: str) -> None:
        super().__init__(message)
        self.category = category
        self.message = message


class Failed(Refused):
    """An action that was tried and went wrong: the site was asked, so things may have changed."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an action."""

    notice: str = ""
    """What the agent should know besides the page."""
    category: str = ""
    """Kind of error (``actions.CATEGORIES``); empty when there is none."""
    executable: bool = True


@dataclass
class Tab:
    """One tab: where it has been and which lines are shown. Backends keep the page itself."""

    history: list[str] = field(default_factory=lambda: [BLANK])
    place: int = 0
    top: int = 0
    """First line that is shown."""


@dataclass(frozen=True)
class Page:
    """The page of the current tab as it is now."""

    url: str
    status: int
    document: Document
    controls: Controls
    view: View

    @property
    def title(self) -> str:
        """Title of the page."""
        return self.document.title


@dataclass(frozen=True, slots=True)
class Visit:
    """A checked navigation. ``cause`` and ``submitter`` say what a real browser does to bring it about."""

    method: Literal["GET", "POST"]
    url: str
    body: bytes = b""
    content_type: str = ""
    cause: Element | None = None
    """The link or the form that leads there; None for a typed address."""
    submitter: Element | None = None
    """The button that sends the form."""
    new_tab: bool = False


class Backend(ABC):
    """Tabs with pages, and what can be done to them; ``Browser`` is the agent's side of it.

    Args:
        allow: What may be opened.
        deadline: Seconds that one action may take.
    """

    def __init__(self, allow: AllowList, deadline: float = DEADLINE) -> None:
        self.allow = allow
        self.deadline = deadline
        self._until = 0.0

    @property
    def left(self) -> float:
        """Seconds that the current action has left."""
        return self._until - time.monotonic()

    def _set_out(self) -> None:
        """An action begins, and with it its time."""
        self._until = time.monotonic() + self.deadline

    @property
    @abstractmethod
    def tabs(self) -> list[Tab]:
        """The open tabs, at least one."""

    @property
    @abstractmethod
    def active(self) -> int:
        """Number of the current tab."""

    @property
    @abstractmethod
    def page(self) -> Page:
        """The page of the current tab."""

    @abstractmethod
    def titles(self) -> list[str]:
        """Title of each tab."""

    @abstractmethod
    def navigate(self, visit: Visit) -> str:
        """Goes somewhere, in the current tab or a new one, and returns the final address.

        Raises Failed when the site doesn't answer or a redirect leads where it may not, with the page as it was.
        """

    @abstractmethod
    def write(self, element: Element, value: str) -> None:
        """Sets the value of a text control."""

    @abstractmethod
    def tick(self, element: Element, on: bool) -> None:
        """Ticks or unticks a checkbox or radio button."""

    @abstractmethod
    def choose(self, element: Element, chosen: tuple[int, ...]) -> None:
        """Selects options of a ``select`` by number."""

    @abstractmethod
    def toggle(self, details: Element) -> None:
        """Opens or closes a ``details``."""

    @abstractmethod
    def reset_form(self, form: Element) -> None:
        """Gives a form's controls the values that the page gave them."""

    @abstractmethod
    def poke(self, element: Element, action: str, key: str = "") -> bool:
        """Clicks, hovers, focuses or presses a key for the page's scripts; False where there are none."""

    @abstractmethod
    def show_tab(self, index: int) -> None:
        """Makes another tab the current one."""

    @abstractmethod
    def add_tab(self) -> None:
        """Opens an empty tab and shows it."""

    @abstractmethod
    def drop_tab(self) -> None:
        """Closes the current tab and shows the one before it; the last one becomes empty."""

    @abstractmethod
    def shown(self) -> tuple[object, ...]:
        """What all tabs show, as plain values: equal where the same choices lie ahead."""
