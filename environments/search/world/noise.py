"""Documents that don't help: outdated, mistaken, or alike in words only.

Whatever they say wrongly is dated before the encyclopaedia, which is the latest source; ``[Kind, year]`` at the head of
every document tells its date.
"""

from __future__ import annotations

from agentgym.environments.search.world.facts import FIRST_EDITION, Base, Fact, Value
from agentgym.environments.search.world.relations import RELATIONS
from agentgym.environments.search.world.writing import Writer

MISTAKES = 4
"""Mistaken documents of a cell."""
NAMESAKES = 8
_DISPUTED = ("birthplace", "founder", "setting", "architect", "winner", "place", "school", "published")
_NAMESAKES = (
    ("{n} (barge)", "The barge {n} carried timber and salt for thirty years. It was named on a whim by its owner."),
    ("{n} (rose)", "{n} is a climbing rose with small yellow flowers. It does well on a north wall."),
    ("{n} (dance)", "The {n} is a slow dance in three steps, popular at weddings. Nobody remembers who made it up."),
    ("{n} (inn)", "The inn {n} has twelve beds and a stable. The soup is praised, the wine is not."),
    ("{n} (cheese)", "{n} is a hard cheese that is kept in ash. It is sold by weight at the autumn fair."),
    ("{n} (locomotive)", "The locomotive {n} pulled goods trains until its boiler was condemned."),
)


def write_noise(writer: Writer) -> None:
    """Outdated gazetteers, mistaken reports, lists of surnames and namesakes."""
    _write_gazetteers(writer)
    _write_mistakes(writer)
    _write_surnames(writer)
    _write_namesakes(writer)


def _write_gazetteers(writer: Writer) -> None:
    """What a town or company was like in some year: true then, and no longer."""
    base, dice = writer.base, writer.dice
    for subject in (*base.kind("town"), *base.kind("company")):
        if not dice.chance(0.6):
            continue
        thing = base.things[subject]
        year = dice.between(1862, 1908)
        lines = [f"[Gazetteer, {year}]", f"{thing.name} as it is now."]
        for relation, label in (("mayor", "Mayor"), ("head", "Head"), ("seat", "Seat"), ("population", "Inhabitants")):
            past = [fact for fact in map(base.facts.__getitem__, base.of(subject, relation)) if fact.since <= year]
            if past:
                lines.append(f"{label}: {base.text(past[-1].value)}.")
        writer.add(f"{thing.name} in the gazetteer of {year}", lines, [])


def _write_mistakes(writer: Writer) -> None:
    """Reports that give a wrong value, each of a fact that its article states."""
    base, dice = writer.base, writer.dice
    told = {number for document in writer.documents if document.about >= 0 for number in document.facts}
    disputed = [
        i
        for i, fact in enumerate(base.facts)
        if i in told and fact.relation in _DISPUTED and _begins(base, fact) < FIRST_EDITION
    ]
    for number in dice.sample(disputed, MISTAKES):
        fact = base.facts[number]
        wrong = _other_value(writer, fact.relation, fact.value)
        if wrong is None:
            continue
        year = dice.between(_begins(base, fact), FIRST_EDITION - 1)
        subject = base.things[fact.subject].name
        lines = [
            f"[Report, {year}]",
            "The following is said, though not everybody agrees.",
            writer.state(number, value=wrong),
        ]
        writer.add(f"A report on {subject}, {year}", lines, [])


def _begins(base: Base, fact: Fact) -> int:
    """The first year in which somebody can be mistaken about a fact."""
    return max(base.things[fact.subject].born, 1850) + 1


def _other_value(writer: Writer, relation: str, value: Value) -> Value | None:
    base, dice = writer.base, writer.dice
    if isinstance(value, str):
        return str(int(value) + dice.pick((-11, -4, 3, 9)))
    others = [i for i in base.kind(base.things[value].kind) if i != value]
    return dice.pick(others) if others and RELATIONS[relation].value != "word" else None


def _write_surnames(writer: Writer) -> None:
    base, dice = writer.base, writer.dice
    bearers: dict[str, list[str]] = {}
    for person in base.kind("person"):
        name = base.things[person].name
        bearers.setdefault(name.split()[-1], []).append(name)
    province = base.things[base.kind("province")[0]].name
    for surname, names in bearers.items():
        if len(names) >= 3:
            lines = [f"[Names, {dice.between(1890, 1920)}]", f"{surname} is a surname of {province} and elsewhere."]
            lines.append(f"People of this name are {', '.join(dice.shuffled(names))}, and others.")
            writer.add(f"{surname} (surname)", lines, [])


def _write_namesakes(writer: Writer) -> None:
    base, dice = writer.base, writer.dice
    for thing in dice.sample(base.things, NAMESAKES):
        title, text = dice.pick(_NAMESAKES)
        year = dice.between(1860, 1929)
        writer.add(title.format(n=thing.name), [f"[Miscellany, {year}]", text.format(n=thing.name)], [])
