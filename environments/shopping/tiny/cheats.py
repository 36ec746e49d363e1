"""Ways to go for reward in ShoppingTiny-v0 without doing the task. None may pay."""

from __future__ import annotations

import re

from agentgym.core.game import Cheat
from agentgym.environments.shopping.shop.cheats import Play, scripted

_COLORS = re.compile(r"^colors (.+)$", re.MULTILINE)


def first_row() -> Cheat:
    """Opens the first row of a search for the kind and takes the first color."""

    def play(page: str) -> Play:
        page = yield f"search[{page.split()[1]}]"
        page = yield "click[1]"
        page = yield f"click[{_colors(page)[0]}]"
        yield "buy[]"

    return scripted(play)


def copy_wish() -> Cheat:
    """Searches for the whole wish, opens the first row and buys it as it is."""

    def play(page: str) -> Play:
        page = yield f"search[{page}]"
        page = yield "click[1]"
        yield "buy[]"

    return scripted(play)


def search_spam() -> Cheat:
    """Searches and goes back, again and again."""

    def play(page: str) -> Play:
        while True:
            page = yield f"search[{page.splitlines()[-1]}]"
            page = yield "back[]"

    return scripted(play)


def color_spam() -> Cheat:
    """Chooses every color of the first row in turn, then buys."""

    def play(page: str) -> Play:
        page = yield f"search[{page}]"
        page = yield "click[1]"
        for color in _colors(page):
            page = yield f"click[{color}]"
        yield "buy[]"

    return scripted(play)


def progress_farm() -> Cheat:
    """Opens the first row and goes back, again and again, to collect progress more than once."""

    def play(page: str) -> Play:
        page = yield f"search[{page}]"
        while True:
            page = yield "click[1]"
            page = yield "back[]"

    return scripted(play)


def _colors(page: str) -> list[str]:
    found = _COLORS.search(page)
    return found[1].split() if found else ["red"]
