"""Drawing logical forms at random from a knowledge base. Forms that are no questions after all are dropped later."""

from __future__ import annotations

from agentgym.environments.search.world.dice import Dice
from agentgym.environments.search.world.facts import PRESENT, Base, Value
from agentgym.environments.search.world.history import CENSUSES
from agentgym.environments.search.world.logic import (
    Back,
    Both,
    Form,
    Hop,
    Least,
    Named,
    Same,
    Without,
    evaluate,
    hops,
)
from agentgym.environments.search.world.relations import LISTS, RELATIONS
from agentgym.environments.search.world.wording import COMPARED, SHARED, TOLD_APART

ALIAS = 0.2
"""Share of the people with a byname whom a question calls by it."""
_NEVER = ("alias", "profession", "province", "capital", *LISTS)
"""Relations that chains don't follow: bynames are for naming, professions can be guessed, the rest is too easy."""
_SETS = (("father", "mother"), ("author",))
_MISSING = ("birthplace", "father", "mother", "spouse", "school", "dedicatee", "monument", "setting")
"""Relations that some things have and others don't."""
_EARLIER = 1700
"""A year before every register begins."""


class Drawer:
    """Draws forms about one cell."""

    def __init__(self, base: Base, dice: Dice) -> None:
        self.base, self.dice = base, dice
        self._forward: dict[int, list[str]] = {}
        self._backward: dict[Value, list[str]] = {}
        for fact in base.facts:
            if fact.relation in _NEVER:
                continue
            relations = self._forward.setdefault(fact.subject, [])
            if fact.relation not in relations:
                relations.append(fact.relation)
            if RELATIONS[fact.relation].back and len(base.having(fact.value, fact.relation)) == 1:
                self._backward.setdefault(fact.value, []).append(fact.relation)

    def named(self, thing: int) -> Named:
        """A thing by its name or, now and then, its byname."""
        return Named(thing, bool(self.base.things[thing].alias) and self.dice.chance(ALIAS))

    def chain(self, length: int, *, ends: tuple[str, ...] = (), timed: bool = False) -> Form | None:
        """A walk of ``length`` hops from a random thing that never comes back to where it was.

        Args:
            length: Hops, a byname counting as one.
            ends: Kinds of thing of which the last must be. Empty: a thing or a literal.
            timed: Whether the last hop must be one that takes a year.
        """
        start = self.dice.below(len(self.base.things))
        form: Form = self.named(start)
        visited: list[Value] = [start]
        while hops(form) < length:
            last = hops(form) == length - 1
            step = self._step(form, visited, last, ends, timed and last)
            if step is None:
                return None
            form = step
        return form if not ends or self._kind(visited[-1]) in ends else None

    def _kind(self, value: Value) -> str:
        return self.base.things[value].kind if isinstance(value, int) else ""

    def _step(self, form: Form, visited: list[Value], last: bool, ends: tuple[str, ...], timed: bool) -> Form | None:
        """``form`` and one hop more, or None."""
        here = visited[-1]
        forward = self._forward.get(here, []) if isinstance(here, int) else []
        options = [(relation, False) for relation in forward if not timed or RELATIONS[relation].timed]
        if not timed:
            options += [(relation, True) for relation in self._backward.get(here, [])]
        for relation, backward in self.dice.shuffled(options):
            step: Form
            value: Value
            if backward:
                step, value = Back((relation,), form), self.base.facts[self.base.having(here, relation)[0]].subject
            else:
                fact = self.base.facts[self.dice.pick(self.base.of(here, relation))]
                year = self._year(fact.since, fact.until) if RELATIONS[relation].timed else None
                step, value = Hop(relation, form, year), fact.value
            if value in visited or (isinstance(value, str) and (not last or ends)):
                continue
            if last and ends and self._kind(value) not in ends:
                continue
            visited.append(value)
            return step
        return None

    def _year(self, since: int, until: int) -> int:
        return self.dice.between(since, min(until, PRESENT + 1) - 1)

    def bridge(self, length: int) -> Form | None:
        """A chain."""
        return self.chain(length)

    def temporal(self, length: int) -> Form | None:
        """Who held an office, or where a seat was, in a year that is given or has to be found."""
        if length < 3 or self.dice.chance(0.3):
            return self.chain(length, timed=True)
        outer = self.chain(self.dice.between(1, length - 1), timed=True)
        if not isinstance(outer, Hop) or outer.relation in ("population", "laureate"):
            return None
        dated = self.chain(length - hops(outer))
        if not isinstance(dated, Hop) or RELATIONS[dated.relation].value != "year":
            return None
        return Hop(outer.relation, outer.of, dated)

    def intersection(self, length: int) -> Form | None:
        """The one member of a set that something more is true of, and perhaps a hop from there."""
        return self._restricted(length, Both)

    def negation(self, length: int) -> Form | None:
        """The one member of a set that something is not true of."""
        return self._restricted(length, Without)

    def _restricted(self, length: int, kind: type[Both] | type[Without]) -> Form | None:
        members = self.dice.pick(_SETS)
        after = self.dice.below(2) if length > 2 else 0
        owner = self.chain(length - 2 - after, ends=("person",))
        if owner is None:
            return None
        whole = Back(members, owner)
        found = list(evaluate(whole, self.base))
        if len(found) < 2:
            return None
        relation = self.dice.pick(TOLD_APART)
        values = [value for member in found for value in evaluate(Hop(relation, Named(int(member))), self.base)]
        things = [value for value in values if isinstance(value, int)]
        if not things:
            return None
        second = Back((relation,), Named(self.dice.pick(things)))
        form = Both(whole, second) if kind is Both else Without(whole, second, relation)
        answer = list(evaluate(form, self.base))
        if len(answer) != 1 or not after:
            return form
        return self._step(form, [*found, *things, answer[0]], True, (), False)

    def counting(self, length: int) -> Form | None:
        """How many members a set has."""
        relation = self.dice.pick(tuple(LISTS))
        owner = self.chain(length - 1, ends=(RELATIONS[relation].subject,))
        return None if owner is None else Hop(relation, owner)

    def comparison(self, length: int) -> Form | None:
        """Which of two comes first, or whether two agree."""
        same = self.dice.chance(0.3)
        relation = self.dice.pick(SHARED if same else COMPARED)
        kind = RELATIONS[relation].subject
        extra = self.dice.below(length - 1)
        first, second = self.chain(extra, ends=(kind,)), self.chain(length - 2 - extra, ends=(kind,))
        if first is None or second is None:
            return None
        if same:
            form = Same(relation, first, second)
            wanted = "yes" if self.dice.chance(0.5) else "no"  # else nearly all would be no
            return form if wanted in evaluate(form, self.base) else None
        year = self.dice.pick(CENSUSES) if RELATIONS[relation].timed else None
        return Least(relation, first, second, self.dice.chance(0.5), year)

    def unanswerable(self, length: int) -> Form | None:
        """A chain whose last step has no answer: nothing is known, or it is asked of a time before all registers."""
        if self.dice.chance(0.2):
            office = self.chain(length, timed=True)
            if not isinstance(office, Hop) or office.relation in ("population", "laureate"):
                return None
            return Hop(office.relation, office.of, self.dice.between(_EARLIER, _EARLIER + 60))
        relation = self.dice.pick(_MISSING)
        owner = self.chain(length - 1, ends=(RELATIONS[relation].subject,))
        return None if owner is None else Hop(relation, owner)
