"""Products from a seed.

Products come in clusters: one base product and a few near misses, each of which breaks one wish that the base fulfils
(another attribute, a higher price, a missing option value, a neighbouring kind of product). Goals ask for base
products, so every goal has its distractors in the catalogue.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from agentgym.core.seeding import derive_seed
from agentgym.environments.shopping.catalog.vocabulary import BRANDS, families

MAX_NEAR_MISSES = 6
_SPLIT_SHARES = {"train": range(8), "validation": range(8, 9), "test": range(9, 10)}
"""Which of ten equal shares of brands and of goals belong to a split."""

_BULLETS = (
    "{Attr}: made for {use} and built to stay that way",
    "{Attr} design, tested by our own team for {use}",
    "Truly {attr}, which is what counts for {use}",
    "This {type} is {attr}, and you will notice it",
    "{Attr} and proud of it; a favorite for {use}",
)
_DESCRIPTIONS = (
    "The {brand} {type} was made for {use}. {extra_line} Pick the {axes} that suits you.",
    "A {type} by {brand} for {use}. {extra_line} Available in more than one {axes}.",
    "{brand} has made things for {use} for years. This {type} is no exception. {extra_line} Choose your {axes}.",
)
_EXTRA_LINES = ("Comes {extra}.", "This is the version {extra}.", "Sold {extra}.")


@dataclass(frozen=True, slots=True)
class Draft:
    """A product before it gets its place in a catalogue."""

    family: int
    title: str
    cents: int
    description: str
    bullets: tuple[str, ...]
    attributes: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    pivot: tuple[str, str, str] | None = None
    """Of a base product: the attribute, option name and option value that its near misses lack."""
    near_misses: int = 0
    """Of a base product: how many near misses its cluster has."""


@dataclass(frozen=True, slots=True)
class _Traits:
    """What a cluster varies."""

    family: int
    attributes: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    cents: int


def in_split(split: str, key: int) -> bool:
    """Whether something with this number belongs to ``split``: eight tenths train, one validation, one test."""
    return key % 10 in _SPLIT_SHARES[split]


def products(seed: int, split: str, size: int) -> Iterator[Draft]:
    """The first ``size`` products of a split's endless catalogue. Brands differ from split to split."""
    brands = [brand for number, brand in enumerate(BRANDS) if in_split(split, number)]
    made = 0
    cluster = 0
    while made < size:
        rng = random.Random(derive_seed("shopping products", seed, split, cluster))
        members = _cluster(rng, brands, made)
        if made + len(members) > size:
            members = [replace(member, pivot=None, near_misses=0) for member in members[: size - made]]
        yield from members
        made += len(members)
        cluster += 1


def _cluster(rng: random.Random, brands: list[str], first_number: int) -> list[Draft]:
    base = _base(rng)
    pivot = (rng.choice(base.attributes), *rng.choice([(n, v) for n, values in base.options.items() for v in values]))
    kinds = [
        rng.choice((_other_attribute, _pricier, _lacks_option, _other_type))
        for _ in range(rng.randint(0, MAX_NEAR_MISSES))
    ]
    traits = [base, *(kind(rng, base, pivot) for kind in kinds)]
    order = rng.sample(range(len(traits)), len(traits))  # so that a base isn't the first of its equals
    drafts = [_write(rng, traits[i], rng.choice(brands), first_number + n) for n, i in enumerate(order)]
    place = order.index(0)
    drafts[place] = replace(drafts[place], pivot=pivot, near_misses=len(kinds))
    return drafts


def _base(rng: random.Random) -> _Traits:
    number = rng.randrange(len(families()))
    family = families()[number]
    low, high = family.price
    cents = round(100 * low * (high / low) ** rng.random())
    attributes = tuple(rng.sample(list(family.attributes), rng.randint(4, 6)))
    return _Traits(number, attributes, {name: _some(rng, values) for name, values in family.options.items()}, cents)


def _some(rng: random.Random, values: tuple[str, ...]) -> tuple[str, ...]:
    """Three to six of the values, in their usual order."""
    kept = set(rng.sample(range(len(values)), rng.randint(3, min(6, len(values)))))
    return tuple(value for number, value in enumerate(values) if number in kept)


Pivot = tuple[str, str, str]


def _other_attribute(rng: random.Random, base: _Traits, pivot: Pivot) -> _Traits:
    unused = [attribute for attribute in families()[base.family].attributes if attribute not in base.attributes]
    other = rng.choice(unused)
    attributes = tuple(other if attribute == pivot[0] else attribute for attribute in base.attributes)
    return replace(base, attributes=attributes, cents=_near(rng, base.cents))


def _pricier(rng: random.Random, base: _Traits, pivot: Pivot) -> _Traits:
    return replace(base, cents=round(base.cents * rng.uniform(1.5, 2.2)))


def _lacks_option(rng: random.Random, base: _Traits, pivot: Pivot) -> _Traits:
    _, name, value = pivot
    unused = [other for other in families()[base.family].options[name] if other not in base.options[name]]
    kept = {other for other in base.options[name] if other != value} | set(rng.sample(unused, min(1, len(unused))))
    values = tuple(other for other in families()[base.family].options[name] if other in kept)
    return replace(base, options={**base.options, name: values}, cents=_near(rng, base.cents))


def _other_type(rng: random.Random, base: _Traits, pivot: Pivot) -> _Traits:
    family = families()[base.family]
    numbers = [
        number
        for number, other in enumerate(families())
        if other.department == family.department and number != base.family
    ]
    number = rng.choice(numbers)
    other = families()[number]
    shared = [attribute for attribute in base.attributes if attribute in other.attributes]
    fresh = [attribute for attribute in other.attributes if attribute not in shared]
    attributes = (*shared, *rng.sample(fresh, max(len(base.attributes) - len(shared), 0)))
    options = {
        name: tuple(base.options[name]) if other.options.get(name) == family.options.get(name) else _some(rng, values)
        for name, values in other.options.items()
    }
    return _Traits(number, attributes, options, _near(rng, base.cents))


def _near(rng: random.Random, cents: int) -> int:
    return round(cents * rng.uniform(0.85, 1.0))


def _write(rng: random.Random, traits: _Traits, brand: str, number: int) -> Draft:
    family = families()[traits.family]
    extra = rng.choice(family.extras)
    shown = rng.sample(traits.attributes, rng.choice((0, 1, 1, 2)))
    words = [brand, *(attribute.title() for attribute in shown), family.type.title(), extra, _model(number)]
    bullets = []
    for attribute in rng.sample(traits.attributes, len(traits.attributes)):
        text = rng.choice(_BULLETS)
        bullets.append(
            text.format(
                Attr=attribute[0].upper() + attribute[1:], attr=attribute, type=family.type, use=rng.choice(family.uses)
            )
        )
    description = rng.choice(_DESCRIPTIONS).format(
        brand=brand,
        type=family.type,
        use=rng.choice(family.uses),
        axes=rng.choice(list(traits.options)),
        extra_line=rng.choice(_EXTRA_LINES).format(extra=extra if extra.startswith(("with", "in")) else f"as {extra}"),
    )
    return Draft(
        family=traits.family,
        title=" ".join(words),
        cents=traits.cents,
        description=description,
        bullets=tuple(bullets),
        attributes=traits.attributes,
        options=traits.options,
    )


def _model(number: int) -> str:
    """Letters and digits that look like a model's name and don't tell the order of products."""
    scrambled = number * 314_159 % 676_000
    letters, digits = divmod(scrambled, 1000)
    first, second = divmod(letters, 26)
    return f"{chr(65 + first)}{chr(65 + second)} {digits:03d}"
