"""Invented names that no two things of a world share.

A name is an index written in syllables, so that it needs no table: things are numbered through the world, a seeded
permutation scatters the numbers, and the digits of the result choose the parts. Parts recur, whole names don't:
``Upper Velmarn`` and ``Port Velmarn`` are two towns far apart, and every surname is that of several families.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentgym.core.seeding import derive_seed

_ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "z",
)
_MIDDLES = ("l", "ld", "lm", "lv", "m", "n", "nd", "nt", "r", "rd", "rk", "rm", "rv", "s", "sk", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u")

# The last letters tell the kinds apart, so that no two kinds share a word.
_ENDINGS = {
    "town": ("ld", "nd", "rn", "lm", "nt"),
    "river": ("a", "e"),
    "mountain": ("x", "sk", "th"),
    "province": ("ia", "oa"),
    "surname": ("r", "l", "s", "ck", "rt"),
    "he": ("n", "m", "d"),
    "she": ("i", "ea"),
    "company": ("p", "v", "z"),
    "work": ("o",),
    "school": ("ff", "gh"),
    "event": ("u", "au"),
    "prize": ("y",),
}


def listed(words: str) -> tuple[str, ...]:
    """Words that are written in one line."""
    return tuple(words.split())


_TOWN_PREFIXES = ("", "Upper ", "Lower ", "New ", "Port ", "High ", "Great ", "Little ")
TRADES = ("Press", "Foundry", "Line", "Mills", "Bank", "Glassworks", "Quarries", "Telegraph")
"""Last words of companies' names; the first is for publishers."""
_SCHOOLS = ("Academy", "College", "Institute")
_EVENTS = ("Regatta", "Congress", "Fair", "Steeplechase", "Tournament", "Song Contest")
_PRIZES = ("Medal", "Prize", "Wreath")
_ADJECTIVES = listed(
    "Amber Ashen Bitter Blind Brazen Broken Burning Cold Copper Crimson Crooked Distant Drowned Empty "
    "Fading Frozen Gilded Golden Grey Hidden Hollow Iron Last Lonely Lost Paper Patient Quiet Restless "
    "Salted Scarlet Second Secret Silent Silver Sleeping Stolen Tall Wandering Winter"
)
_NOUNS = listed(
    "Almanac Anchor Archer Balcony Beacon Bell Bridge Candle Canal Cathedral Clock Compass Crown Daughter "
    "Door Echo Falcon Ferry Fiddle Flood Garden Gate Glacier Harbour Harvest Heron Key Kingdom Ladder "
    "Lantern Letter Library Lighthouse Map Market Mask Meadow Mirror Mountain Needle Orchard Pilgrim "
    "Promise Raven River Road Sailor Shadow Shore Sister Spire Stranger Tide Tower Valley Voyage Wall "
    "Weaver Well Window"
)
PRESS = 0


class Words:
    """At least ``least`` invented words of one kind: an index in [0, ``size``) to a word, one to one."""

    def __init__(self, kind: str, least: int = 1) -> None:
        endings = _ENDINGS[kind]
        self._slots: list[tuple[str, ...]] = [_ONSETS, _VOWELS, _MIDDLES, _VOWELS, endings]
        if endings[0][0] in "aeiou":  # a vowel ending needs a consonant before it
            self._slots.insert(4, _MIDDLES)
        while self.size < least:
            self._slots[1:1] = [_VOWELS, _MIDDLES]

    @property
    def size(self) -> int:
        """How many words there are."""
        return math.prod(map(len, self._slots))

    def __getitem__(self, index: int) -> str:
        parts = []
        for slot in self._slots:
            index, digit = divmod(index, len(slot))
            parts.append(slot[digit])
        return "".join(parts).capitalize()


class Permutation:
    """A seeded one-to-one map of [0, ``size``) onto itself: ``(a i + b) mod size`` with ``a`` coprime to ``size``."""

    def __init__(self, size: int, *seed: int | str) -> None:
        self.size = size
        self._factor = derive_seed(*seed, "factor") % size or 1
        while math.gcd(self._factor, size) != 1:
            self._factor += 1
        self._shift = derive_seed(*seed, "shift") % size

    def __getitem__(self, index: int) -> int:
        return (self._factor * index + self._shift) % self.size


class _Scattered:
    """``count`` numbered things to digits: the first below ``low``, the second below ``high``, each pair once."""

    def __init__(self, count: int, low: int, *seed: int | str, spare: int = 1) -> None:
        self.low, self.high = low, -(-max(count, 1) * spare // low)
        self._order = Permutation(self.low * self.high, *seed)

    def __getitem__(self, index: int) -> tuple[int, int]:
        high, low = divmod(self._order[index], self.low)
        return low, high


@dataclass(frozen=True)
class Sizes:
    """How many things of a kind a cell holds at most."""

    towns: int = 5
    rivers: int = 2
    mountains: int = 2
    families: int = 7
    members: int = 16
    presses: int = 2
    companies: int = 3
    works: int = 12
    schools: int = 2
    events: int = 4


SIZES = Sizes()


class Names:
    """Names of everything in a world of ``cells`` cells."""

    def __init__(self, seed: int, cells: int) -> None:
        self.seed, self.cells = seed, cells
        families = cells * SIZES.families
        self._surnames = _Scattered(families, max(60, families // 12), seed, "surnames")
        titles = len(_ADJECTIVES) * len(_NOUNS)
        self._titles = _Scattered(cells * SIZES.works, titles, seed, "titles", spare=6)
        self._towns = _Scattered(cells * SIZES.towns, len(_TOWN_PREFIXES), seed, "towns", spare=2)
        self._trades = _Scattered(cells * SIZES.companies, len(TRADES) - 1, seed, "trades", spare=2)
        least = {"mountain": SIZES.mountains, "school": SIZES.schools, "company": SIZES.companies}
        self._words = {kind: Words(kind, cells * least.get(kind, 1) * 2) for kind in _ENDINGS}
        self._shuffles = {kind: Permutation(words.size, seed, "words", kind) for kind, words in self._words.items()}

    def _word(self, kind: str, index: int) -> str:
        return self._words[kind][self._shuffles[kind][index]]

    def town(self, cell: int, k: int) -> str:
        """The k-th town of a cell."""
        prefix, base = self._towns[cell * SIZES.towns + k]
        return _TOWN_PREFIXES[prefix] + self._word("town", base)

    def river(self, cell: int, k: int) -> str:
        """The k-th river of a cell."""
        return f"River {self._word('river', cell * SIZES.rivers + k)}"

    def mountain(self, cell: int, k: int) -> str:
        """The k-th mountain of a cell."""
        return f"Mount {self._word('mountain', cell * SIZES.mountains + k)}"

    def province(self, cell: int) -> str:
        """The province that a cell is."""
        return self._word("province", cell)

    def person(self, cell: int, family: int, member: int, gender: str) -> str:
        """The given name and surname of the member of a family; ``gender`` is ``he`` or ``she``."""
        surname, copy = self._surnames[cell * SIZES.families + family]
        given = self._word(gender, copy * SIZES.members + member)
        return f"{given} {self._word('surname', surname)}"

    def press(self, cell: int, k: int) -> str:
        """The k-th publisher of a cell."""
        return f"{self._word('company', cell * SIZES.presses + k)} {TRADES[PRESS]}"

    def company(self, cell: int, k: int) -> str:
        """The k-th company of a cell that isn't a publisher."""
        trade, word = self._trades[cell * SIZES.companies + k]
        return f"{self._word('company', word)} {TRADES[1 + trade]}"

    def work(self, cell: int, k: int) -> str:
        """The title of the k-th work of a cell."""
        pair, word = self._titles[cell * SIZES.works + k]
        adjective, noun = divmod(pair, len(_NOUNS))
        return f"The {_ADJECTIVES[adjective]} {_NOUNS[noun]} of {self._word('work', word)}"

    def school(self, cell: int, k: int) -> str:
        """The k-th school of a cell."""
        index = cell * SIZES.schools + k
        return f"{self._word('school', index)} {_SCHOOLS[index % len(_SCHOOLS)]}"

    def event(self, cell: int, k: int) -> str:
        """The k-th event of a cell."""
        index = cell * SIZES.events + k
        return f"{self._word('event', index)} {_EVENTS[index % len(_EVENTS)]}"

    def prize(self, cell: int) -> str:
        """The prize of a cell."""
        return f"{self._word('prize', cell)} {_PRIZES[cell % len(_PRIZES)]}"
