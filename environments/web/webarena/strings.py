"""How WebArena and VisualWebArena compare texts: pure functions.

Read from the harnesses (web-arena-x/webarena at f62e0b9, web-arena-x/visualwebarena at 89f5af2,
``evaluation_harness/evaluators.py``). They differ where ``dialect`` says so, above all in what ``must_include`` does
with references of one word: ``170`` is in ``000000170`` for the first and not for the second.
"""

from __future__ import annotations

import re
from typing import Literal

Dialect = Literal["webarena", "vwa"]
DIALECTS: tuple[Dialect, ...] = ("webarena", "vwa")

OR = " |OR| "
_INEQUALITY = re.compile(r"\s*(<=|>=|==|<|>)\s*([-+]?\d+(?:\.\d+)?)\s*")
_TOLERANCE = 1e-8

_SEPARATED = re.compile(
    r"\.\.\.|--|``|''|[;@#$%&?!\[\](){}<>\"]|[:,](?!\d)|(?<![\w.])'|'(?=\s|$)|'(?:s|m|d|ll|re|ve)\b", re.IGNORECASE
)
_NEGATION = re.compile(r"(?<=\w)(?=n't\b)", re.IGNORECASE)
_ABBREVIATIONS = frozenset(
    "mr. mrs. ms. dr. st. jr. sr. inc. co. corp. ltd. vs. etc. e.g. i.e. u.s. no. a.m. p.m. ave. rd.".split()  # noqa: SIM905
)


def clean(text: str, dialect: Dialect = "webarena") -> str:
    """Lower case, without one pair of quotes around it. WebArena also strips blanks, before it looks for quotes."""
    if dialect == "webarena":
        text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return text.lower()


def exact_match(reference: str, answer: str, dialect: Dialect = "webarena") -> bool:
    """Equal once both are cleaned."""
    return clean(reference, dialect) == clean(answer, dialect)


def includes(reference: str, text: str, dialect: Dialect = "webarena", *, alone: bool = False) -> bool:
    """Whether ``reference`` stands in ``text``.

    Args:
        reference: What is looked for.
        text: Where.
        dialect: VisualWebArena compares a reference of one token with the tokens of the text. WebArena looks for a part
            of the text, except for a single character that is the ``alone`` reference of an answer.
        alone: The list of references has no other.
    """
    wanted, found = clean(reference, dialect), clean(text, dialect)
    by_token = len(tokens(wanted)) == 1 and (dialect == "vwa" or (alone and len(wanted) == 1))
    return wanted in tokens(found) if by_token else wanted in found


def includes_any(reference: str, text: str, dialect: Dialect) -> bool:
    """``includes`` for one of the alternatives that ``reference`` separates with `` |OR| ``."""
    return any(includes(part, text, dialect) for part in reference.split(OR))


def tokens(text: str) -> list[str]:
    """Words and punctuation, as the Treebank tokenizer cuts them that both harnesses use (NLTK's ``word_tokenize``).

    Numbers, words with hyphens and paths stay whole; a full stop is a token of its own where it ends a sentence.
    """
    spaced = _SEPARATED.sub(lambda match: f" {match[0]} ", _NEGATION.sub(" ", text))
    found: list[str] = []
    words = spaced.split()
    for place, word in enumerate(words):
        last = place == len(words) - 1
        if len(word) > 1 and word.endswith(".") and word != "..." and (last or word.lower() not in _ABBREVIATIONS):
            found += [word[:-1], "."]
        else:
            found.append(word)
    return found


def integer(text: str) -> int | None:
    """The number that a text is, commas aside; None where it is none (VisualWebArena reads whole numbers only)."""
    digits = text.strip().replace(",", "")
    return int(digits) if len(digits) < 30 and re.fullmatch(r"[-+]?[0-9]+", digits) else None


def fulfils(value: float, inequality: str) -> bool:
    """Whether a number fulfils ``"<= 700"``, or one of several inequalities between `` |OR| ``.

    Raises:
        ValueError: It is no inequality.
    """
    return any(_holds(value, part) for part in inequality.split(OR))


def _holds(value: float, inequality: str) -> bool:
    match = _INEQUALITY.fullmatch(inequality)
    if match is None:
        raise ValueError(f"{inequality!r} is no inequality such as '>= 12'")
    bound = float(match[2])
    match match[1]:
        case "<=" | "<":  # the harness allows its tolerance here too, so "<" takes what is equal
            return value <= bound + _TOLERANCE if match[1] == "<=" else value < bound + _TOLERANCE
        case ">=" | ">":
            return value >= bound - _TOLERANCE if match[1] == ">=" else value > bound - _TOLERANCE
    return abs(value - bound) <= _TOLERANCE
