"""Questions as logical forms, and their evaluation on a knowledge base.

Evaluating a form gives every value that fits with the facts that show it. A question has exactly one answer when that
set has one element; since cells name nothing outside themselves, the facts of the cell decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentgym.environments.search.world.facts import Base, Value

Proof = tuple[int, ...]
"""Numbers of facts, in the order in which they are used."""
Found = dict[Value, Proof]
"""Every value that fits, with one proof."""


@dataclass(frozen=True)
class Named:
    """A thing that the question names, by its byname if ``alias``."""

    thing: int
    alias: bool = False


@dataclass(frozen=True)
class Hop:
    """The values of ``relation`` of what ``of`` gives, in ``year`` where the relation is timed."""

    relation: str
    of: Form
    year: Form | int | None = None


@dataclass(frozen=True)
class Back:
    """The things whose ``relation`` is what ``of`` gives. Several relations are alternatives (father or mother)."""

    relations: tuple[str, ...]
    of: Form


@dataclass(frozen=True)
class Both:
    """What both forms give."""

    first: Form
    second: Form


@dataclass(frozen=True)
class Without:
    """What ``first`` gives and ``second`` doesn't. ``excluded`` is the relation that tells them apart: its facts show
    for every member whether it belongs to ``second``."""

    first: Form
    second: Form
    excluded: str


@dataclass(frozen=True)
class Least:
    """Of two things the one whose ``relation``, a number, is smaller; ``largest`` turns it round. A tie gives none."""

    relation: str
    first: Form
    second: Form
    largest: bool = False
    year: int | None = None


@dataclass(frozen=True)
class Same:
    """``yes`` or ``no``: whether ``relation`` of the two has the same value. Nothing where one value is missing."""

    relation: str
    first: Form
    second: Form


Form = Named | Hop | Back | Both | Without | Least | Same


def evaluate(form: Form, base: Base) -> Found:
    """Every value of ``form``, with a proof."""
    return _EVALUATORS[type(form)](form, base)


def _named(form: Named, base: Base) -> Found:
    return {form.thing: tuple(base.of(form.thing, "alias")) if form.alias else ()}


def _hop(form: Hop, base: Base) -> Found:
    found: Found = {}
    for year, year_proof in _years(form.year, base).items():
        for value, proof in evaluate(form.of, base).items():
            for number in base.of(value, form.relation):
                fact = base.facts[number]
                if year is None or fact.since <= year < fact.until:
                    found.setdefault(fact.value, (*proof, *year_proof, number))
    return found


def _years(year: Form | int | None, base: Base) -> dict[int | None, Proof]:
    if year is None or isinstance(year, int):
        return {year: ()}
    return {int(value): proof for value, proof in evaluate(year, base).items() if isinstance(value, str)}


def _back(form: Back, base: Base) -> Found:
    found: Found = {}
    for value, proof in evaluate(form.of, base).items():
        for relation in form.relations:
            for number in base.having(value, relation):
                found.setdefault(base.facts[number].subject, (*proof, number))
    return found


def _both(form: Both, base: Base) -> Found:
    first, second = evaluate(form.first, base), evaluate(form.second, base)
    return {value: first[value] + second[value] for value in first if value in second}


def _without(form: Without, base: Base) -> Found:
    first, second = evaluate(form.first, base), evaluate(form.second, base)
    shown: list[int] = []
    for value in first:
        known = base.of(value, form.excluded)
        if not known:  # where a member's value is unknown, nothing is certain
            return {}
        shown += [*first[value], *known]
    every = tuple(dict.fromkeys(shown + [number for value in second for number in second[value]]))
    return {value: every for value in first if value not in second}


def _least(form: Least, base: Base) -> Found:
    sides = []
    for side in (form.first, form.second):
        for thing, proof in evaluate(side, base).items():
            for value, more in _hop(Hop(form.relation, Named(int(thing)), form.year), base).items():
                sides.append((int(value), thing, proof + more))
    if len(sides) != 2 or sides[0][0] == sides[1][0]:
        return {}
    best = (max if form.largest else min)(sides)
    return {best[1]: sides[0][2] + sides[1][2]}


def _same(form: Same, base: Base) -> Found:
    first, second = (evaluate(Hop(form.relation, side), base) for side in (form.first, form.second))
    if len(first) != 1 or len(second) != 1:
        return {}
    (a, proof), (b, more) = next(iter(first.items())), next(iter(second.items()))
    return {"yes" if a == b else "no": proof + more}


_EVALUATORS: dict[type, Callable[..., Found]] = {
    Named: _named,
    Hop: _hop,
    Back: _back,
    Both: _both,
    Without: _without,
    Least: _least,
    Same: _same,
}


def parts(form: Form) -> list[Form]:
    """The form and every form inside it, outermost first."""
    found: list[Form] = [form]
    for name in ("of", "first", "second", "year"):
        inner = getattr(form, name, None)
        if isinstance(inner, Named | Hop | Back | Both | Without | Least | Same):
            found += parts(inner)
    return found


def hops(form: Form) -> int:
    """How many relations the form follows, a byname counting as one."""
    count = 0
    for part in parts(form):
        if isinstance(part, Hop | Back):
            count += 1
        elif isinstance(part, Least | Same):
            count += 2
        elif isinstance(part, Named):
            count += part.alias
    return count
