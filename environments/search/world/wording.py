"""Logical forms in English."""

from __future__ import annotations

from agentgym.environments.search.world.facts import Base
from agentgym.environments.search.world.logic import Back, Both, Form, Hop, Least, Named, Same, Without
from agentgym.environments.search.world.relations import RELATIONS

_THAT = {
    "birthplace": ("was born in {x}", "was not born in {x}"),
    "school": ("attended {x}", "did not attend {x}"),
    "publisher": ("was published by {x}", "was not published by {x}"),
    "setting": ("is set in {x}", "is not set in {x}"),
    "profession": ("worked as a {x}", "did not work as a {x}"),
}
"""Relation -> how members of a set are told apart by it."""
_LEAST = {
    "born": ("Who was born earlier, {a} or {b}?", "Who was born later, {a} or {b}?"),
    "died": ("Who died first, {a} or {b}?", "Who died last, {a} or {b}?"),
    "founded": ("Which town is older, {a} or {b}?", "Which town is younger, {a} or {b}?"),
    "established": ("Which company was established earlier, {a} or {b}?", "Which company is younger, {a} or {b}?"),
    "published": ("Which book was published earlier, {a} or {b}?", "Which book was published later, {a} or {b}?"),
    "held": ("Which was held earlier, the {a} or the {b}?", "Which was held later, the {a} or the {b}?"),
    "height": ("Which mountain is lower, {a} or {b}?", "Which mountain is higher, {a} or {b}?"),
    "length": ("Which river is shorter, the {a} or the {b}?", "Which river is longer, the {a} or the {b}?"),
    "population": (
        "Which town had fewer inhabitants at the census of {y}, {a} or {b}?",
        "Which town had more inhabitants at the census of {y}, {a} or {b}?",
    ),
}
_SAME = {
    "birthplace": "Were {a} and {b} born in the same town? Answer yes or no.",
    "school": "Did {a} and {b} attend the same school? Answer yes or no.",
    "river": "Do {a} and {b} lie on the same river? Answer yes or no.",
    "publisher": "Did {a} and {b} appear with the same publisher? Answer yes or no.",
    "mother": "Did {a} and {b} have the same mother? Answer yes or no.",
}
COMPARED = tuple(_LEAST)
"""Relations by which two things can be compared."""
SHARED = tuple(_SAME)
"""Relations of which two things can have the same value."""
TOLD_APART = tuple(_THAT)
"""Relations by which members of a set can be told apart."""


def question(form: Form, base: Base) -> str:
    """The question that ``form`` answers."""
    if isinstance(form, Hop):
        return RELATIONS[form.relation].ask.format(x=phrase(form.of, base), y=_year(form.year, base))
    if isinstance(form, Back):
        back = RELATIONS[form.relations[0]].back
        assert back is not None
        return back.ask.format(x=phrase(form.of, base))
    if isinstance(form, Both | Without):
        noun, person = _set_noun(form.first, base)
        start = "Who is the" if person else "Which is the"
        return f"{start} {noun} {_restriction(form, base)}?"
    if isinstance(form, Least):
        words = _LEAST[form.relation][form.largest]
        return words.format(a=phrase(form.first, base), b=phrase(form.second, base), y=form.year)
    if isinstance(form, Same):
        return _SAME[form.relation].format(a=phrase(form.first, base), b=phrase(form.second, base))
    raise TypeError(f"{form} is no question.")


def phrase(form: Form, base: Base) -> str:
    """``form`` as a noun phrase."""
    if isinstance(form, Named):
        thing = base.things[form.thing]
        return thing.alias if form.alias else thing.name
    if isinstance(form, Hop):
        return RELATIONS[form.relation].noun.format(x=phrase(form.of, base), y=_year(form.year, base))
    if isinstance(form, Back):
        back = RELATIONS[form.relations[0]].back
        assert back is not None
        return back.noun.format(x=phrase(form.of, base))
    if isinstance(form, Both | Without):
        return f"the {_set_noun(form.first, base)[0]} {_restriction(form, base)}"
    raise TypeError(f"{form} has no noun phrase.")


def _year(year: Form | int | None, base: Base) -> str:
    return str(year) if year is None or isinstance(year, int) else phrase(year, base)


def _set_noun(form: Form, base: Base) -> tuple[str, bool]:
    """The members of a set in the singular, and whether they are persons."""
    assert isinstance(form, Back)
    inner = phrase(form.of, base)
    return (f"child of {inner}", True) if "father" in form.relations else (f"book by {inner}", False)


def _restriction(form: Both | Without, base: Base) -> str:
    assert isinstance(form.second, Back)
    words = _THAT[form.second.relations[0]][isinstance(form, Without)]
    return "that " + words.format(x=phrase(form.second.of, base))
