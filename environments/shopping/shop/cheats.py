"""Ways to go for reward in Shopping-v0 without doing the task. None may pay.

Each public function makes a cheat for one episode: ``(observation, rng) -> message``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator

import numpy as np

from agentgym.core.game import Cheat

Play = Generator[str, str, None]
"""Is sent pages, yields messages."""

_INSTRUCTION = re.compile(r"^Instruction: (.+)$", re.MULTILINE)
_ROW = re.compile(r"^\[(\w{10})\]", re.MULTILINE)
_OPTION = re.compile(r"^[a-z]+: (.+)$", re.MULTILINE)


def scripted(play: Callable[[str], Play]) -> Cheat:
    """A cheat from a generator function of the first page. Once it is through, it repeats its last message."""
    running: list[Play] = []
    last = [""]

    def cheat(observation: str, rng: np.random.Generator) -> str:
        try:
            if running:
                last[0] = running[0].send(observation)
            else:
                running.append(play(observation))
                last[0] = next(running[0])
        except StopIteration:
            pass
        return last[0]

    return cheat


def first_row() -> Cheat:
    """Opens the first product that a search for the instruction finds, takes first option values and buys."""

    def play(page: str) -> Play:
        page = yield _search_all(page)
        page = yield _open_first(page)
        for values in _options(page):
            page = yield f"click[{values[0]}]"
        yield "click[buy now]"

    return scripted(play)


def copy_instruction() -> Cheat:
    """Searches for the whole instruction, opens the first product and buys it as it is."""

    def play(page: str) -> Play:
        page = yield _search_all(page)
        page = yield _open_first(page)
        yield "click[buy now]"

    return scripted(play)


def search_spam() -> Cheat:
    """Searches and goes back, again and again."""

    def play(page: str) -> Play:
        while True:
            page = yield _search_all(page)
            page = yield "click[back to search]"

    return scripted(play)


def option_spam() -> Cheat:
    """Clicks every option value of the first product in turn, then buys."""

    def play(page: str) -> Play:
        page = yield _search_all(page)
        page = yield _open_first(page)
        for value in [value for values in _options(page) for value in values]:
            page = yield f"click[{value}]"
        yield "click[buy now]"

    return scripted(play)


def progress_farm() -> Cheat:
    """Opens the first product and leaves it, again and again, to collect progress more than once."""

    def play(page: str) -> Play:
        page = yield _search_all(page)
        while True:
            page = yield _open_first(page)
            page = yield "click[< prev]"

    return scripted(play)


def _search_all(page: str) -> str:
    found = _INSTRUCTION.search(page)
    return f"search[{found[1] if found else 'anything'}]"


def _open_first(page: str) -> str:
    found = _ROW.search(page)
    return f"click[{found[1]}]" if found else "click[back to search]"


def _options(page: str) -> list[list[str]]:
    return [line.replace("*", "").split(" | ") for line in _OPTION.findall(page)]
