"""Tables, news and letters: what the encyclopaedia doesn't say, and what it says in other words."""

from __future__ import annotations

from agentgym.environments.search.world.facts import PRESENT, Base, Kind
from agentgym.environments.search.world.history import CENSUSES
from agentgym.environments.search.world.relations import RELATIONS
from agentgym.environments.search.world.trades import adults
from agentgym.environments.search.world.writing import Writer

NEWS = 0.3
"""Share of the timed facts that made the news."""
_LISTS: tuple[tuple[Kind, str, str, str], ...] = (
    ("town", "mayor", "Mayors of {n}", "Mayor"),
    ("company", "head", "Heads of {n}", "Head"),
    ("prize", "laureate", "Winners of the {n}", "Winner"),
)
_HEADLINES = {
    "mayor": ("New mayor for {n}", "{n} chooses a mayor"),
    "head": ("Change at the top of {n}", "{n} has a new head"),
    "laureate": ("{n} awarded", "Honours: the {n}"),
    "seat": ("{n} moves house", "New address for {n}"),
    "population": ("{n} is counted", "The census in {n}"),
}
_NEWS = (
    "Our correspondent writes from the town.",
    "There was a crowd in the square.",
    "Nobody spoke against it.",
    "The matter had been discussed for weeks.",
    "A dinner followed.",
    "It rained all day.",
)
_OPENINGS = (
    "Thank you for your lines.",
    "You asked me about the family papers.",
    "I have been through the old chest at last.",
    "The children are well, and the garden too.",
    "As promised, here is what I found.",
)
_LINKS = (
    "You may not know this:",
    "It is certain now:",
    "I have it from the parish book:",
    "Mother always said so:",
    "",
)


def write_papers(writer: Writer) -> None:
    """Everything that isn't an article and is true. All facts that articles left out are stated here."""
    _write_lists(writer)
    _write_censuses(writer)
    _write_news(writer)
    _write_letters(writer)


def _write_lists(writer: Writer) -> None:
    base = writer.base
    for kind, relation, title, heading in _LISTS:
        for subject in base.kind(kind):
            numbers = base.of(subject, relation)
            if not numbers:
                continue
            rows = [f"{heading} | Years"]
            for number in numbers:
                fact = base.facts[number]
                last = min(fact.until - 1, PRESENT)
                rows.append(
                    f"{base.text(fact.value)} | {fact.since}-{last}"
                    if last > fact.since
                    else f"{base.text(fact.value)} | {fact.since}"
                )
            name = base.things[subject].name
            writer.add(title.format(n=name), [f"[Register, {PRESENT}]\n" + "\n".join(rows)], list(numbers))


def _write_censuses(writer: Writer) -> None:
    base = writer.base
    province = base.things[base.kind("province")[0]].name
    for census in CENSUSES:
        numbers = [
            i for town in base.kind("town") for i in base.of(town, "population") if base.facts[i].since == census
        ]
        rows = [f"{base.text(base.facts[i].subject)} | {base.facts[i].value}" for i in numbers]
        table = f"[Register, {census}]\nTown | Inhabitants\n" + "\n".join(rows)
        writer.add(f"Census of {province}, {census}", [table], numbers)


def _write_news(writer: Writer) -> None:
    """News of timed facts: all moves of companies, which stand nowhere else, and some of the others."""
    base, dice = writer.base, writer.dice
    towns = base.kind("town")
    for number, fact in enumerate(base.facts):
        if fact.relation not in _HEADLINES or not (fact.relation == "seat" or dice.chance(NEWS)):
            continue
        place = base.text(fact.value) if fact.relation == "seat" else base.things[dice.pick(towns)].name
        headline = dice.pick(_HEADLINES[fact.relation]).format(n=base.things[fact.subject].name)
        lines = [f"[News, {place}, {fact.since}]", writer.state(number)]
        lines += dice.sample(_NEWS, dice.below(3))
        writer.add(f"{headline}, {fact.since}", lines, [number])


def _known_since(base: Base, number: int) -> int:
    """The first year, from 1890 on, in which a letter can state a fact."""
    fact = base.facts[number]
    happened = int(fact.value) if RELATIONS[fact.relation].value == "year" else 0
    return min(max(1890, base.things[fact.subject].born + 25, happened), PRESENT)


def _write_letters(writer: Writer) -> None:
    """Letters between people of the cell, with what the articles left out, two facts or three a letter."""
    base, dice = writer.base, writer.dice
    people = base.kind("person")
    waiting = dice.shuffled(writer.waiting)
    while waiting:
        count = dice.between(2, 3)
        told, waiting = waiting[:count], waiting[count:]
        year = dice.between(max(_known_since(base, number) for number in told), PRESENT)
        hands = dice.sample(adults(base, people, year), 2)
        names = [base.things[i].name for i in hands] if len(hands) == 2 else ["Cousin", "Cousin"]
        lines = [f"[Letter, {year}]", f"Dear {names[1].split()[0]},", dice.pick(_OPENINGS)]
        for number in told:
            link = dice.pick(_LINKS)
            lines.append(f"{link} {writer.state(number)}".strip())
        lines.append(f"Yours, {names[0]}")
        about = base.things[base.facts[told[0]].subject].name
        writer.add(f"Letter of {names[0]} on {about}, {year}", lines, told)
