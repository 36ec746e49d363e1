"""Nouns of a product title, by lexicon.

The official reward takes nouns and proper nouns from a spaCy model. Its weights are a download of their own, so this
tagger decides by word list and ending instead. Callers who have the official lists inject them into the reward.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources

_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|\w+(?:['’]\w+)?|[^\w\s]")
_NUMBER = re.compile(r"[\d.,]+|\d+(?:st|nd|rd|th|x|s)")
_ENDINGS = ("able", "ible", "ful", "less", "ous", "ish", "ly", "ized", "ised", "ated")


def title_nouns(title: str) -> list[str]:
    """Lower-cased nouns and proper nouns of ``title``, in order, duplicates kept.

    A word is taken for a noun unless it is a number, a function word, or an adjective, verb or adverb that is common
    in product titles (``non_nouns.txt``), or ends like one.
    """
    return list(_title_nouns(title))


@lru_cache(maxsize=16384)
def _title_nouns(title: str) -> tuple[str, ...]:
    return tuple(word for word in _TOKEN.findall(title.lower()) if is_noun(word))


def is_noun(word: str) -> bool:
    """Whether the lower-cased ``word`` counts as a noun."""
    if not word[0].isalnum() or _NUMBER.fullmatch(word):
        return False
    return word not in _non_nouns() and not (len(word) > 6 and word.endswith(_ENDINGS))


@cache
def _non_nouns() -> frozenset[str]:
    text = resources.files("agentgym.environments.shopping").joinpath("non_nouns.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())
