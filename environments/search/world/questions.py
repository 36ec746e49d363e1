"""Questions about a cell, each with the proof that it has exactly one answer (or none, and says so)."""

from __future__ import annotations

from dataclasses import dataclass

from agentgym.environments.search.world.dice import Dice
from agentgym.environments.search.world.drawing import Drawer
from agentgym.environments.search.world.facts import Base, Value
from agentgym.environments.search.world.logic import (
    Both,
    Form,
    Hop,
    Least,
    Named,
    Proof,
    Same,
    Without,
    evaluate,
    hops,
    parts,
)
from agentgym.environments.search.world.relations import LISTS, RELATIONS
from agentgym.environments.search.world.wording import question
from agentgym.rules.answers import normalize_answer

UNANSWERABLE = ("unanswerable", "unknown", "not answerable", "no answer", "not known")
"""What may be answered where the corpus holds no answer; the first is what the agent is told to write."""
_PLAN: tuple[tuple[str, int], ...] = (
    ("bridge", 1),
    ("bridge", 2),
    ("bridge", 2),
    ("bridge", 3),
    ("bridge", 3),
    ("bridge", 4),
    ("bridge", 4),
    ("bridge", 5),
    ("bridge", 6),
    ("temporal", 1),
    ("temporal", 2),
    ("temporal", 3),
    ("temporal", 4),
    ("comparison", 2),
    ("comparison", 3),
    ("comparison", 4),
    ("intersection", 2),
    ("intersection", 3),
    ("intersection", 4),
    ("counting", 1),
    ("counting", 2),
    ("negation", 2),
    ("negation", 3),
    ("unanswerable", 2),
    ("unanswerable", 3),
)
"""Type and hops of the questions of a cell."""
_TRIES = 60
LONGEST_PROOF = 8
"""Facts of a proof at most, so that an episode can hold a search for each."""
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_PREFIXES = ("River ", "Mount ")


@dataclass(frozen=True)
class Question:
    """One question and what proves its answer."""

    kind: str
    hops: int
    text: str
    answers: tuple[str, ...]
    """Accepted answers, the usual one first."""
    proof: Proof
    """Numbers of the facts that show the answer, in order."""
    form: Form
    """What is asked, as a logical form."""
    named: tuple[int, ...]
    """The things that the question names."""
    last: int
    """The thing that the last step asks about: where a search for what isn't known ends."""


def make_questions(seed: int, base: Base) -> list[Question]:
    """The questions of a cell: one for each line of the plan, where the cell allows it."""
    found: dict[str, Question] = {}
    for number, (kind, length) in enumerate(_PLAN):
        drawer = Drawer(base, Dice(seed, "question", base.cell, number))
        for _ in range(_TRIES):
            form = getattr(drawer, kind)(length)
            made = None if form is None or isinstance(form, Named) else _prove(kind, form, base)
            if made is not None and made.text not in found:
                found[made.text] = made
                break
    return list(found.values())


def _prove(kind: str, form: Form, base: Base) -> Question | None:
    """The question of a form if it has exactly one answer (none, for an unanswerable one) and is worth asking."""
    values = evaluate(form, base)
    text = question(form, base).replace("the the ", "the ").replace("the the ", "the ")
    if kind == "unanswerable":
        if values or not isinstance(form, Hop):
            return None
        owners = evaluate(form.of, base)
        if len(owners) != 1:
            return None
        owner, proof = next(iter(owners.items()))
        return Question(kind, hops(form), text, UNANSWERABLE, _unique(proof), form, _named(form), int(owner))
    if len(values) != 1:
        return None
    value, proof = next(iter(values.items()))
    if not isinstance(form, Least | Same) and _given_away(text, base, value):
        return None
    if len(_unique(proof)) > LONGEST_PROOF or _repeats(form, base):
        return None
    last = base.facts[proof[-1]].subject
    return Question(kind, hops(form), text, _answers(base, value), _unique(proof), form, _named(form), last)


def _named(form: Form) -> tuple[int, ...]:
    return tuple(part.thing for part in parts(form) if isinstance(part, Named))


def _unique(proof: Proof) -> Proof:
    return tuple(dict.fromkeys(proof))


def _given_away(text: str, base: Base, value: Value) -> bool:
    """Whether the question holds every word of its answer."""
    words = set(normalize_answer(text).split())
    return any(words.issuperset(normalize_answer(answer).split()) for answer in _answers(base, value))


def _repeats(form: Form, base: Base) -> bool:
    """Whether a comparison or a set leads back to what the question names, or a part of the form has several values."""
    named = set(_named(form))
    for part in parts(form):
        if isinstance(part, Both | Without) and named & set(evaluate(part, base)):
            return True
        if isinstance(part, Least | Same):
            first, second = evaluate(part.first, base), evaluate(part.second, base)
            if len(first) != 1 or len(second) != 1 or set(first) & set(second):
                return True
        elif isinstance(part, Hop) and len(evaluate(part.of, base)) != 1:
            return True
    return False


def _answers(base: Base, value: Value) -> tuple[str, ...]:
    if isinstance(value, str):
        small = value.isdecimal() and int(value) < len(_NUMBERS)
        return (value, _NUMBERS[int(value)]) if small else (value,)
    thing = base.things[value]
    names = [thing.name, thing.alias] if thing.alias else [thing.name]
    names += [thing.name.removeprefix(prefix) for prefix in _PREFIXES if thing.name.startswith(prefix)]
    return tuple(names)


def step_text(base: Base, number: int) -> str:
    """A fact of a proof as a sentence."""
    fact = base.facts[number]
    words = RELATIONS[fact.relation]
    template = words.sentences[-1] if fact.relation == "seat" else words.sentences[0]
    listed = ""
    if fact.relation in LISTS:
        template = template.partition(":")[0] + "."
    text = template.format(
        s=base.things[fact.subject].name,
        p=f"{base.things[fact.subject].name}'s",
        o=base.text(fact.value),
        y=fact.since,
        list=listed,
    )
    return text[0].upper() + text[1:]


def step_query(base: Base, number: int, known: str) -> str:
    """What to search for to find a fact whose ``known`` side is at hand."""
    fact = base.facts[number]
    return f"{known} {RELATIONS[fact.relation].words.format(y=fact.since)}"
