"""Experts for those tasks of MiniWoB++ that text shows well enough. Each looks at the page and says what is next."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.miniwob.sight import Sight, Widget, give_up
from agentgym.tools.browser.roles import input_type

if TYPE_CHECKING:
    from agentgym.environments.web.miniwob.game import MiniWoBGame

Solver = Callable[[Sight], Action]

_SOLVERS: dict[str, Solver] = {}


def solves(*names: str) -> Callable[[Solver], Solver]:
    """Registers the expert of some tasks."""

    def add(solver: Solver) -> Solver:
        _SOLVERS.update(dict.fromkeys(names, solver))
        return solver

    return add


def _quoted(text: str) -> list[str]:
    return re.findall(r'"(.*?)"', text)


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    return match.groups() if match else ()


def _clicks(sight: Sight) -> int:
    return sight.done.count("click")


# ------------------------------------------------------------------ clicking


@solves("click-button", "unicode-test")
def _button(sight: Sight) -> Action:
    return sight.click_name(_quoted(sight.text)[0], "button")


@solves("click-link")
def _link(sight: Sight) -> Action:
    return sight.click_name(_quoted(sight.text)[0])


@solves("click-test", "click-test-2", "click-test-transfer")
def _test(sight: Sight) -> Action:
    return sight.click(sight.named("ONE", "button") or next(iter(sight.all("button")), None))


@solves("click-button-sequence")
def _sequence(sight: Sight) -> Action:
    return sight.click_name("TWO" if _clicks(sight) else "ONE", "button")


@solves("click-dialog")
def _dialog(sight: Sight) -> Action:
    return sight.click_name("Close", "button")


@solves("click-dialog-2")
def _dialog_button(sight: Sight) -> Action:
    name = _quoted(sight.text)[0]
    return sight.click_name("Close" if name == "x" else name, "button")


@solves("click-tab")
def _tab(sight: Sight) -> Action:
    return sight.click_name(_found(r"(Tab #\d+)", sight.text)[0], "tab")


@solves("click-tab-2", "click-tab-2-easy", "click-tab-2-medium", "click-tab-2-hard", "click-collapsible-2",
        "click-collapsible-2-nodelay")  # fmt: skip
def _behind_tabs(sight: Sight) -> Action:
    wanted = sight.named(_quoted(sight.text)[0], "clickable", "link")
    tabs = sight.all("tab")
    opened = _clicks(sight) + ("collapsible" not in sight.page.url)
    return sight.click(wanted or (tabs[opened % len(tabs)] if tabs else None))


@solves("click-collapsible", "click-collapsible-nodelay")
def _collapsible(sight: Sight) -> Action:
    return sight.click(sight.all("tab")[0]) if not sight.done else sight.click_name("Submit", "button")


@solves("click-widget")
def _widget(sight: Sight) -> Action:
    kind = _quoted(sight.text)[0]
    tags = {"textarea": ("textarea", ""), "text": ("input", "text"), "button": ("button", "")}
    tag, type_name = tags.get(kind, ("input", kind))
    for widget in sight.widgets:
        if widget.element.tag == tag and (not type_name or input_type(widget.element) == type_name):
            return sight.click(widget)
    return give_up()


@solves("grid-coordinate")
def _coordinate(sight: Sight) -> Action:
    x, y = map(int, _found(r"\((-?\d+),(-?\d+)\)", sight.text))
    lines = [_box(widget) for widget in sight.all("shape") if widget.name.startswith("line")]
    across, down = max(lines, key=lambda box: box[2]), max(lines, key=lambda box: box[3])
    place = down[0] + 30 * x, across[1] - 30 * y
    circles = [widget for widget in sight.all("shape") if widget.name.startswith("circle")]

    def distance(widget: Widget) -> float:
        left, top, width, height = _box(widget)
        return float(abs(left + width / 2 - place[0]) + abs(top + height / 2 - place[1]))

    return sight.click(min(circles, key=distance, default=None))


def _box(widget: Widget) -> tuple[int, ...]:
    return tuple(map(int, _found(r"at (-?\d+),(-?\d+) size (\d+)x(\d+)", widget.name)))


# ------------------------------------------------------------------ choosing


@solves("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer", "click-option")
def _tick(sight: Sight) -> Action:
    wanted = _found(r"^Select (.*) and click Submit", sight.text)[0].split(", ")
    for widget in sight.all("checkbox", "radio"):
        if (widget.name in wanted) != sight.ticked(widget) and (widget.role == "checkbox" or widget.name in wanted):
            return sight.click(widget)
    return sight.submit()


@solves("choose-list", "click-scroll-list")
def _choose(sight: Sight) -> Action:
    wanted = _found(r"^Select (.*) from the (?:scroll )?list", sight.text)[0].split(", ")
    widget = sight.all("combobox", "listbox")[0]
    if sight.page.controls.shown(widget.element).split(", ") != wanted and not sight.done:
        many = "multiple" in widget.element.attrs
        return Action("select_option", {"bid": widget.ref, "options": wanted if many else wanted[0]})
    return sight.submit()


@solves("odd-or-even")
def _parity(sight: Sight) -> Action:
    numbers = [int(line) for line in sight.lines if re.fullmatch(r"-?\d+", line)]
    if _clicks(sight) >= len(numbers):
        return sight.submit()
    place = _clicks(sight)
    return sight.click(sight.all("button")[2 * place + (numbers[place] % 2 == 0)])


@solves("find-greatest")
def _greatest(sight: Sight) -> Action:
    cards = [widget for widget in sight.all("clickable") if widget.name.isdecimal()]
    return sight.submit() if sight.done else sight.click(max(cards, key=lambda w: int(w.name), default=None))


@solves("order-food")
def _order(sight: Sight) -> Action:
    single, kind = (
        _found(r"one of each item: (.*)$", sight.text),
        _found(r"Order (\d+) items? that are (.*)$", sight.text),
    )
    if single:
        plus = [_plus_after(sight, name) for name in single[0].split(", ")]
    elif kind:
        lines = [line for line in sight.lines if f"image '{kind[1]}'" in line]
        plus = [_plus_after(sight, line, place) for place, line in _places(sight, lines)] * int(kind[0])
        plus = plus[: int(kind[0])]
    else:
        return give_up()
    if _clicks(sight) >= len(plus):
        return sight.submit()
    ref = plus[_clicks(sight)]
    return Action("click", {"bid": ref}) if ref else give_up()


def _places(sight: Sight, lines: list[str]) -> list[tuple[int, str]]:
    return [(place, line) for place, line in enumerate(sight.lines) if line in lines]


def _plus_after(sight: Sight, line: str, place: int = -1) -> str:
    """Reference of the first ``+`` behind a line."""
    start = place if place >= 0 else next((i for i, item in enumerate(sight.lines) if item == line), len(sight.lines))
    found = (re.search(r"\[(a\d+)\] clickable '\+'", item) for item in sight.lines[start:])
    return next((match[1] for match in found if match), "")


# ------------------------------------------------------------------ writing


@solves("enter-text", "enter-text-dynamic")
def _text(sight: Sight) -> Action:
    return sight.fill_then([(sight.fields[0], _quoted(sight.text)[0])])


@solves("enter-text-2")
def _cased_text(sight: Sight) -> Action:
    word = _quoted(sight.text)[0]
    return sight.fill_then([(sight.fields[0], word.upper() if "upper case" in sight.text else word.lower())])


@solves("enter-password")
def _password(sight: Sight) -> Action:
    return sight.fill_then([(field, _quoted(sight.text)[0]) for field in sight.fields[:2]])


@solves("login-user")
def _login(sight: Sight) -> Action:
    return sight.fill_then(list(zip(sight.fields, _quoted(sight.text), strict=False)), "Login")


@solves("enter-date")
def _date(sight: Sight) -> Action:
    month, day, year = _found(r"(\d\d)/(\d\d)/(\d{4})", sight.text)
    return sight.fill_then([(sight.fields[0], f"{year}-{month}-{day}")])


@solves("enter-time")
def _time(sight: Sight) -> Action:
    hour, minute, half = _found(r"(\d+):(\d\d) ([AP]M)", sight.text)
    return sight.fill_then([(sight.fields[0], f"{int(hour) % 12 + 12 * (half == 'PM'):02d}:{minute}")])


@solves("text-transform")
def _shown_text(sight: Sight) -> Action:
    return sight.fill_then([(sight.fields[0], sight.lines[0].replace(" ", ""))])


@solves("find-word")
def _word(sight: Sight) -> Action:
    place = int(_found(r"the (\d+)\w\w word", sight.text)[0])
    words = " ".join(line for line in sight.lines if not line.startswith("[")).split()
    return sight.fill_then([(sight.fields[0], words[place - 1].strip(".,"))])


@solves("copy-paste", "copy-paste-2")
def _copy(sight: Sight) -> Action:
    which = _found(r"the (\d)\w\w text area", sight.text)
    areas = [field for field in sight.fields if field.element.tag == "textarea"]
    target = next(field for field in sight.fields if field.element.tag == "input")
    return sight.fill_then([(target, sight.value(areas[int(which[0]) - 1 if which else 0]))])


@solves("focus-text", "focus-text-2")
def _focus(sight: Sight) -> Action:
    which = _found(r"the (\d)\w\w input", sight.text)
    return Action("focus", {"bid": sight.fields[int(which[0]) - 1 if which else 0].ref})


@solves("multi-layouts", "multi-orderings")
def _movie(sight: Sight) -> Action:
    genre, director, year = _found(r"Search for (.+) movies directed by (.+) from year (\d+)", sight.text)
    values = {"genre": genre, "director": director, "year": year}
    words = " ".join(sight.lines).lower()  # labels stand before, beside or behind their fields, but in their order
    labels = {"genre": ("genre",), "director": ("director",), "year": ("year", "date")}
    order = sorted((words.find(word), key) for key, known in labels.items() for word in known if word in words)
    filled = [(field, values[key]) for field, (_, key) in zip(sight.fields, order, strict=False)]
    button = next(
        (w.name for w in sight.widgets if w.name in ("Search", "Submit", "Find", "Look Up", "Go", "Go!")), "Submit"
    )
    return sight.fill_then(filled, button)


@solves("read-table", "read-table-2")
def _table(sight: Sight) -> Action:
    rows = dict(line.split(" | ", 1) for line in sight.lines if " | " in line)
    single = _found(r"the value of (.+) into the text field", sight.text)
    names = [single[0]] if single else [line.rstrip(":") for line in sight.lines if line.endswith(":")]
    return sight.fill_then(
        [(field, rows[name]) for field, name in zip(sight.fields, names, strict=False) if name in rows]
    )


@solves("use-spinner")
def _spinner(sight: Sight) -> Action:
    widget, wanted = sight.all("spinbutton")[0], int(_found(r"Select (-?\d+) with", sight.text)[0])
    now = int(sight.value(widget) or 0)
    if now == wanted:
        return sight.submit()
    return Action("press", {"bid": widget.ref, "key_comb": "ArrowUp" if wanted > now else "ArrowDown"})


# ------------------------------------------------------------------ thinking


@solves("simple-arithmetic")
def _arithmetic(sight: Sight) -> Action:
    a, op, b = _found(r"(-?\d+) ([-+x*]) (-?\d+) =", " ".join(sight.lines))
    x, y = int(a), int(b)
    return sight.fill_then([(sight.fields[0], str(x + y if op == "+" else x - y if op == "-" else x * y))])


@solves("simple-algebra")
def _algebra(sight: Sight) -> Action:
    left, op, right, total = _found(r"(x|-?\d+) ([-+]) (x|-?\d+) = (-?\d+)", " ".join(sight.lines))
    sum_ = int(total)
    if left == "x":
        solution = sum_ - int(right) if op == "+" else sum_ + int(right)
    else:
        solution = sum_ - int(left) if op == "+" else int(left) - sum_
    return sight.fill_then([(sight.fields[0], str(solution))])


@solves("guess-number")
def _guess(sight: Sight) -> Action:
    words = " ".join(sight.lines)
    field = sight.fields[0]
    said = _found(r"number is (lower|higher) than (\d+)", words)
    last = sight.value(field)
    if not said:
        return sight.fill_then([(field, "5")])
    step = -1 if said[0] == "lower" else 1
    if last == said[1]:
        return Action("fill", {"bid": field.ref, "value": str(int(last) + step)})
    return sight.submit()


@solves("generate-number")
def _generate(sight: Sight) -> Action:
    side, bound = _found(r"number (less|greater) than (-?\d+)", sight.text) or ("", "0")
    parity = _found(r"Generate an (even|odd) number|Generate a(?:n)? (even|odd)", sight.text)
    shown = next((int(line) for line in sight.lines if re.fullmatch(r"-?\d+", line)), None)
    if shown is None:
        return sight.click_name("Generate")
    if side:
        good = shown < int(bound) if side == "less" else shown > int(bound)
    else:
        good = bool(parity) and shown % 2 == ("odd" in parity)
    return sight.submit() if good else sight.click_name("Generate")


@solves("phone-book")
def _phone_book(sight: Sight) -> Action:
    name, what = _found(r"Find (\w+) in the contact book and click on their (\w+)", sight.text)
    if f"heading '{name}'" not in sight.lines:
        return sight.click(sight.named(">", "link"))
    label = {"phone": "Phone", "email": "Email", "address": "Address"}.get(what, what.capitalize())
    line = next((line for line in sight.lines if line.startswith(label)), "")
    ref = _found(r"\[(a\d+)\]", line)
    return Action("click", {"bid": ref[0]}) if ref else give_up()


SOLVED = frozenset(_SOLVERS)
"""Tasks that have an expert."""
EXPERTS: Mapping[str, Solver] = _SOLVERS


class MiniWoBExpert:
    """The expert of whatever task is played."""

    def __init__(self, game: MiniWoBGame) -> None:
        self.game = game

    def act(self) -> Action:
        """See ``Expert.act``."""
        state = self.game.state
        solver = _SOLVERS.get(state.name)
        if solver is None:
            return give_up()
        sight = Sight(self.game.browser.page, state.text, [name for name, _ in state.done])
        try:
            return solver(sight)
        except (
            IndexError,
            KeyError,
            StopIteration,
            ValueError,
        ):  # after a mistake the page may show nothing of the kind
            return give_up()

    def mistake(self, rng: np.random.Generator) -> Action:
        """See ``Expert.mistake``: a click on any widget."""
        refs = len(self.game.browser.page.view.refs)
        return Action("click", {"bid": f"a{int(rng.integers(1, max(refs, 1) + 2))}"})
