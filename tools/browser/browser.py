"""The browser that an agent sees: checks and effects of actions, the same over both backends.

A backend says what the page is now and carries out what was checked here: a navigation, a written value, a tick. What
an action may do and what it says when it can't be done is decided in one place, so both backends answer alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentgym.core.actions import clip
from agentgym.tools.browser import forms
from agentgym.tools.browser.backend import BLANK, Backend, Done, Failed, Refused, Tab, Visit
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.lines import quoted
from agentgym.tools.browser.roles import TEXT_ENTRY, input_type, role_of
from agentgym.tools.browser.sending import elsewhere, submission
from agentgym.tools.browser.urls import resolve, without_fragment

WINDOW = 6_000
"""Characters of lines that are shown at once."""
MAX_TABS = 8
MAX_FILL = 20_000
"""Characters that can be written into a field."""


class Browser(Backend):
    """The actions of ``actions.CORE``, tabs and history over a backend."""

    # ------------------------------------------------------------------ what the agent reads

    @property
    def tab(self) -> Tab:
        """The current tab."""
        return self.tabs[self.active]

    def observe(self, notice: str = "") -> str:
        """The current page: address, tabs, a notice, and the lines of the current window."""
        page, tab = self.page, self.tab
        title = f" {quoted(page.title)}" if page.title else ""
        status = f" (status {page.status})" if page.status >= 400 else ""
        parts = [f"Page: {page.url}{title}{status}"]
        if len(self.tabs) > 1:
            names = (f"{i} {quoted(title)}" for i, title in enumerate(self.titles()))
            parts.append(f"Tabs: {', '.join(names)}; this is {self.active}")
        if notice:
            parts.append(notice)
        lines = page.view.lines
        end = window_end(lines, tab.top)
        parts.extend(lines[tab.top : end])
        if tab.top or end < len(lines):
            more = "scroll(0, 600) shows the next" if end < len(lines) else "these are the last"
            parts.append(f"(lines {tab.top + 1} to {end} of {len(lines)}; {more})")
        return "\n".join(parts)

    # ------------------------------------------------------------------ actions

    def do(self, name: str, arguments: Mapping[str, Any]) -> Done:
        """Does one action of ``actions.CORE``, the two that talk to the user excepted."""
        handler = getattr(self, f"_do_{name}", None)
        if handler is None:
            return Done(f"{name} is not possible in this browser.", "unsupported", executable=False)
        self._set_out()
        try:
            return Done(handler(**arguments) or "")
        except Failed as failed:
            return Done(failed.message, failed.category)
        except Refused as refused:
            return Done(refused.message, refused.category, executable=False)

    def open(self, url: str) -> None:
        """Opens the first page of a task. Raises Refused."""
        self._set_out()
        self._visit(Visit("GET", resolve(BLANK, url)))

    def target(self, bid: str) -> Element:
        """The element behind a reference. Raises Refused."""
        index = self.page.view.element(bid)
        if index is None:
            count = len(self.page.view.refs)
            known = f"References on this page: a1 to a{count}." if count else "This page has no references."
            raise Refused("unknown_ref", f"There is no element {clip(bid, 40)!r} here. {known}")
        return self.page.document.elements[index]

    def _enabled(self, bid: str) -> tuple[Element, str]:
        element = self.target(bid)
        if element.tag in ("input", "select", "textarea", "button") and forms.disabled(element):
            raise Refused("not_actionable", f"{bid} is disabled.")
        return element, role_of(element)

    def _do_click(self, bid: str, button: str = "left", modifiers: list[Any] | None = None) -> str | None:
        element, role = self._enabled(bid)
        if button == "right":
            return "Nothing happened."
        aside = button == "middle" or bool(
            {"Control", "ControlOrMeta", "Meta", "Shift"} & set(map(str, modifiers or ()))
        )
        if role == "link" and "href" in element.attrs:
            return self._follow(element, aside)
        if forms.is_submit(element):
            return self._submit(forms.form_of(self.page.document, element), element)
        if element.tag == "select":
            raise Refused("not_actionable", f"Use select_option({bid!r}, ...) to choose.")
        if element.tag == "input" and input_type(element) in ("checkbox", "radio"):
            self.tick(element, input_type(element) == "radio" or not self.page.controls.checked(element))
            return None
        if role == "DisclosureTriangle" and element.parent is not None:
            self.toggle(element.parent)
            return None
        if _resets(element):
            form = forms.form_of(self.page.document, element)
            if form is not None:
                self.reset_form(form)
            return None
        if self.poke(element, "click") or role in TEXT_ENTRY:
            return None
        return "Nothing happened."

    def _follow(self, element: Element, aside: bool) -> str | None:
        page = self.page
        href = element.attrs["href"]
        base = resolve(page.url, page.document.base)
        url = resolve(base, href)
        if without_fragment(url) == without_fragment(page.url) and "#" in href:
            return "That is a place on this page." if not self.poke(element, "click") else None
        if "download" in element.attrs:
            raise Refused("unsupported", "That is a link to a file to download, which is left there.")
        new_tab = aside or elsewhere(element.attrs.get("target", ""))
        return self._visit(Visit("GET", url, cause=element, new_tab=new_tab))

    def _submit(self, form: Element | None, submitter: Element | None) -> str | None:
        page = self.page
        if form is None:
            return "Nothing happened."
        if submitter is None or "formnovalidate" not in submitter.attrs:
            wrong = forms.invalid(page.document, form, page.controls)
            if wrong is not None:
                where = page.view.ref(wrong[0].index) or wrong[0].attrs.get("name", "a field")
                raise Refused("not_actionable", f"The form can't be sent: {where} is not filled in right. {wrong[1]}")
        visit = submission(page, form, submitter)
        return "Nothing happened." if visit is None else self._visit(visit)

    def _visit(self, visit: Visit) -> str | None:
        problem = self.allow.problem(visit.url)
        if problem:
            raise Refused("forbidden_url", problem)
        if visit.new_tab:
            self._room_for_tab()
        final = self.navigate(visit)
        tab = self.tab
        tab.history[tab.place + 1 :] = [final]
        tab.place = len(tab.history) - 1
        if tab.history[0] == BLANK and len(tab.history) == 2:
            tab.history, tab.place = [final], 0
        tab.top = 0
        return None

    def _room_for_tab(self) -> None:
        if len(self.tabs) >= MAX_TABS:
            raise Refused("not_actionable", f"There are {MAX_TABS} tabs already; close one.")

    def _do_fill(self, bid: str, value: str, enable_autocomplete_menu: bool = False) -> None:
        element, role = self._writable(bid)
        if len(value) > MAX_FILL:
            raise Refused("not_actionable", f"The text is longer than {MAX_FILL} characters.")
        if role not in TEXT_ENTRY and element.tag not in ("input", "textarea"):
            self._poke_or_refuse(element, value)
            return
        text, problem = forms.accept(element, value)
        if problem:
            raise Refused("not_actionable", f"{bid} can't hold {clip(value, 40)!r}. {problem}")
        self.write(element, text)

    def _poke_or_refuse(self, element: Element, value: str) -> None:
        if not self.poke(element, "fill", value):
            raise Refused("not_actionable", "Nothing can be written there.")

    def _writable(self, bid: str) -> tuple[Element, str]:
        element, role = self._enabled(bid)
        native = element.tag == "textarea" or (element.tag == "input" and input_type(element) in forms.TEXT_INPUTS)
        if not native and "contenteditable" not in element.attrs:
            raise Refused("not_actionable", f"{bid} is a {role.lower()}; nothing can be written there.")
        if "readonly" in element.attrs:
            raise Refused("not_actionable", f"{bid} is read-only.")
        return element, role

    def _do_clear(self, bid: str) -> None:
        self._do_fill(bid, "")

    def _do_select_option(self, bid: str, options: str | list[Any]) -> None:
        element, role = self._enabled(bid)
        if element.tag != "select":
            raise Refused("not_actionable", f"{bid} is a {role.lower()}, not a list of options.")
        wanted = [str(item) for item in options] if isinstance(options, list) else [str(options)]
        if len(wanted) != 1 and "multiple" not in element.attrs:
            raise Refused("not_actionable", f"{bid} takes exactly one option.")
        choices = forms.options(element)
        self.choose(element, tuple(sorted({self._option(bid, choices, item) for item in wanted})))

    def _option(self, bid: str, choices: list[Element], wanted: str) -> int:
        for read in (forms.option_label, forms.option_value):
            for i, choice in enumerate(choices):
                if read(choice) == wanted:
                    if forms.disabled(choice):
                        raise Refused("not_actionable", f"The option {clip(wanted, 40)!r} of {bid} is disabled.")
                    return i
        labels = clip(", ".join(quoted(forms.option_label(choice)) for choice in choices), 400)
        raise Refused("not_actionable", f"{bid} has no option {clip(wanted, 40)!r}. It has: {labels}.")

    def _do_check(self, bid: str, on: bool = True) -> None:
        element, role = self._enabled(bid)
        kind = input_type(element) if element.tag == "input" else ""
        if kind not in ("checkbox", "radio") or (kind == "radio" and not on):
            raise Refused("not_actionable", f"{bid} is a {role.lower()}, which can't be {'' if on else 'un'}ticked.")
        if self.page.controls.checked(element) != on:
            self.tick(element, on)

    def _do_uncheck(self, bid: str) -> None:
        self._do_check(bid, on=False)

    def _do_press(self, bid: str, key_comb: str) -> str | None:
        element, role = self._enabled(bid)
        key = key_comb.strip().lower()
        if key == "enter":
            if element.tag == "input" and input_type(element) not in ("submit", "image", "reset", "button", "file"):
                return self._implicit(element)
            if role in ("link", "button", "DisclosureTriangle"):
                return self._do_click(bid)
        if key in ("space", " ") and role in ("button", "checkbox", "radio", "DisclosureTriangle"):
            return self._do_click(bid)
        return None if self.poke(element, "press", key_comb) else "Nothing happened."

    def _implicit(self, element: Element) -> str | None:
        """Enter in a text field: presses the form's first button, or sends a form that has one field alone."""
        document = self.page.document
        form = forms.form_of(document, element)
        if form is None:
            return "Nothing happened."
        button = forms.default_button(document, form)
        if button is not None:
            if forms.disabled(button):
                return "Nothing happened."
            return self._submit(form, button)
        fields = [
            item
            for item in forms.controls_of(document, form)
            if item.tag == "input" and input_type(item) in forms.TEXT_INPUTS - {"color", "range"}
        ]
        return self._submit(form, None) if len(fields) <= 1 else "Nothing happened."

    def _do_hover(self, bid: str) -> str | None:
        return None if self.poke(self.target(bid), "hover") else "Nothing happened."

    def _do_focus(self, bid: str) -> str | None:
        return None if self.poke(self.target(bid), "focus") else "Nothing happened."

    def _do_scroll(self, delta_x: float, delta_y: float) -> str | None:
        tab, lines = self.tab, self.page.view.lines
        if delta_y > 0:
            end = window_end(lines, tab.top)
            if end >= len(lines):
                return "This is the end of the page."
            tab.top = end
        elif delta_y < 0:
            if tab.top == 0:
                return "This is the beginning of the page."
            tab.top = window_before(lines, tab.top)
        return None

    def _do_goto(self, url: str) -> str | None:
        return self._visit(Visit("GET", resolve(BLANK, url)))

    def _do_go_back(self) -> None:
        self._travel(-1, "before")

    def _do_go_forward(self) -> None:
        self._travel(1, "after")

    def _travel(self, step: int, word: str) -> None:
        tab = self.tab
        place = tab.place + step
        if not 0 <= place < len(tab.history):
            raise Refused("not_actionable", f"There is no page {word} this one in the tab's history.")
        tab.history[place] = self.navigate(Visit("GET", tab.history[place]))
        tab.place, tab.top = place, 0

    def _do_new_tab(self) -> None:
        self._room_for_tab()
        self.add_tab()

    def _do_tab_close(self) -> None:
        self.drop_tab()

    def _do_tab_focus(self, index: int) -> None:
        if not 0 <= index < len(self.tabs):
            raise Refused("not_actionable", f"There is no tab {index}; they go from 0 to {len(self.tabs) - 1}.")
        self.show_tab(index)

    def _do_noop(self, wait_ms: float = 0.0) -> None:
        return None


def _resets(element: Element) -> bool:
    if element.tag == "button":
        return element.attrs.get("type", "").lower() == "reset"
    return element.tag == "input" and input_type(element) == "reset"


def window_end(lines: tuple[str, ...], top: int) -> int:
    """Number of the line behind the window that begins at ``top``: always at least one line."""
    size, end = 0, top
    while end < len(lines) and (end == top or size + len(lines[end]) < WINDOW):
        size += len(lines[end]) + 1
        end += 1
    return end


def window_before(lines: tuple[str, ...], top: int) -> int:
    """Where the window before ``top`` begins."""
    start = 0
    while (end := window_end(lines, start)) < top:
        start = end
    return start
