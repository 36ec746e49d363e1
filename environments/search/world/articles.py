"""Articles of an encyclopaedia: one on each thing, some of them stubs that leave most to other documents."""

from __future__ import annotations

from agentgym.environments.search.world.facts import FIRST_EDITION, PRESENT, Base
from agentgym.environments.search.world.relations import LISTS, RELATIONS
from agentgym.environments.search.world.writing import Writer

STUB = 0.2
"""Share of the articles on persons and books that are stubs."""
LEFT_OUT = 0.12
"""Share of the facts of other articles that stand elsewhere."""
_INTRODUCTIONS = {
    "person": ("{n} is remembered in {v} to this day.", "{n} belongs to the notable people of {v}.", ""),
    "town": ("{n} is a market town.", "{n} is known for its old walls.", "{n} is a quiet place in winter."),
    "river": ("The {n} is a river of {v}.", "The {n} is slow and brown for most of the year."),
    "mountain": ("{n} is a mountain of {v}.", "{n} can be seen from afar on clear days."),
    "province": ("{n} is a province of rivers and hills.", "{n} is a province with a long history."),
    "company": ("{n} is a company of {v}.", "{n} is a name that every merchant of {v} knows."),
    "work": ("{n} is a book.", "{n} is a book that went through several printings."),
    "school": ("{n} is a school of {v}.", "{n} is an old school."),
    "event": ("The {n} was the talk of {v} in its day.", "The {n} drew a large crowd."),
    "prize": ("The {n} is awarded every few years.", "The {n} is the best known prize of {v}."),
}
_FILLERS = (
    "Little else is recorded.",
    "The archives hold several letters on the matter.",
    "Visitors to {v} still ask about it.",
    "A small museum keeps what is left.",
    "The story is told differently in the villages.",
    "Much of the correspondence was lost in a fire.",
    "Schoolchildren of {v} learn of it in their third year.",
    "A later edition will say more.",
    "The winters of those years were hard.",
    "Several paintings show the scene.",
    "The roads were bad, and news travelled slowly.",
    "An old song mentions it in passing.",
)
_EDITION = "[Encyclopaedia of {v}, {y}]"


def _latest(base: Base, facts: list[int]) -> int:
    """The last year that facts tell of: an edition can't know what happened after it."""
    years = [0]
    for fact in map(base.facts.__getitem__, facts):
        years.append(base.things[fact.subject].born)
        if isinstance(fact.value, int):
            years.append(base.things[fact.value].born)
        elif RELATIONS[fact.relation].value == "year":
            years.append(int(fact.value))
    return max(years)


def write_articles(writer: Writer) -> None:
    """The article on every thing of the cell; facts that it leaves out go to ``writer.waiting``."""
    base, dice = writer.base, writer.dice
    province = base.things[base.kind("province")[0]].name
    facts_of: dict[int, list[int]] = {}
    for number, fact in enumerate(base.facts):
        if not RELATIONS[fact.relation].timed:
            facts_of.setdefault(fact.subject, []).append(number)
    for subject, thing in enumerate(base.things):
        stub = thing.kind in ("person", "work") and dice.chance(STUB)
        left_out = 0.7 if stub else LEFT_OUT
        told, stated = [], []
        for number in dice.shuffled(facts_of.get(subject, [])):
            relation = base.facts[number].relation
            if relation not in LISTS and dice.chance(left_out):
                writer.waiting.append(number)
                continue
            told.append(number)
            stated += writer.stated_by_list(number) if relation in LISTS else [number]
        lines = [_EDITION.format(v=province, y=dice.between(max(FIRST_EDITION, _latest(base, stated)), PRESENT))]
        lines.append(dice.pick(_INTRODUCTIONS[thing.kind]).format(n=thing.name, v=province))
        for number in told:
            # a pronoun after the first sentence, but not always, so that names recur
            lines.append(writer.state(number, pronoun=dice.chance(0.6)))
            if dice.chance(0.2):
                lines.append(dice.pick(_FILLERS).format(v=province))
        writer.add(thing.name, [line for line in lines if line], stated, subject)
