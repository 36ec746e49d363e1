"""Kinds of products and the words that describe them, read from ``families.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from agentgym.core.seeding import digest

_ONSETS = "Al Bar Cor Dun Ely Fair Gran Hart Iver Jun Kes Lark Mel Nor Or Pem Quin Ros Sel Thorn Ul Ver Wes Yar Zeph"
_MIDDLES = "a e i o u en or an el in"
_ENDINGS = "field ford wick mont ley by dale brook stead crest ham son"
BRANDS = tuple(
    onset + middle + ending for ending in _ENDINGS.split() for middle in _MIDDLES.split() for onset in _ONSETS.split()
)
"""3,000 invented makers."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of product."""

    type: str
    """What people call it ("travel mug"); the ``query`` of its products."""
    department: str
    path: str
    """Categories, joined by " › "."""
    price: tuple[float, float]
    """Lowest and highest usual price in dollars."""
    options: Mapping[str, tuple[str, ...]]
    """Option name to all values that exist."""
    attributes: Mapping[str, str]
    """Attribute to the words in which a shopper who doesn't know the term asks for it."""
    extras: tuple[str, ...]
    uses: tuple[str, ...]


@cache
def families() -> tuple[Family, ...]:
    """All kinds of products, in a fixed order."""
    data = json.loads(_text())
    sets: dict[str, list[str]] = data["option_sets"]
    found: list[Family] = []
    for department in data["departments"]:
        for kind in department["types"]:
            options = {
                name: tuple(sets[values] if isinstance(values, str) else values)
                for name, values in kind["options"].items()
            }
            found.append(
                Family(
                    type=kind["type"],
                    department=department["name"],
                    path=f"{department['path']} › {kind['category']}",
                    price=(kind["price"][0], kind["price"][1]),
                    options=options,
                    attributes={**kind["attributes"], **department["attributes"]},
                    extras=tuple(kind["extras"]),
                    uses=tuple(kind["uses"]),
                )
            )
    return tuple(found)


@cache
def _by_type() -> dict[str, Family]:
    return {family.type: family for family in families()}


def family_of(kind: str) -> Family:
    """The family of products of that type."""
    return _by_type()[kind]


@cache
def vocabulary_digest() -> str:
    """Names the vocabulary's bytes, so that a catalogue of another vocabulary isn't taken for this one."""
    return digest(_text(), BRANDS)


@cache
def _text() -> str:
    return (
        resources.files("agentgym.environments.shopping.catalog").joinpath("families.json").read_text(encoding="utf-8")
    )
