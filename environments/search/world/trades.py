"""What the people of a cell do: companies, offices, works, contests and prizes."""

from __future__ import annotations

from agentgym.environments.search.world.dice import Dice
from agentgym.environments.search.world.facts import PRESENT, Base, Thing
from agentgym.environments.search.world.names import SIZES, Names


def adults(base: Base, people: list[int], year: int, *, least: int = 21) -> list[int]:
    """Who is alive in ``year`` and at least so old."""
    return [i for i in people if base.things[i].born + least <= year <= base.things[i].died]


def add_companies(base: Base, names: Names, dice: Dice, people: list[int], towns: list[int]) -> list[int]:
    """The companies of a cell; returns its publishers. Nobody founds two."""
    presses: list[int] = []
    free = list(people)
    for k in range(SIZES.presses + SIZES.companies):
        press = k < SIZES.presses
        founded = dice.between(1812, 1838) if press else dice.between(1820, 1895)
        able = adults(base, free, founded)
        if not able:
            continue
        founder = dice.pick(able)
        free.remove(founder)
        name = names.press(base.cell, k) if press else names.company(base.cell, k - SIZES.presses)
        company = base.add_thing(Thing("company", name, born=founded))
        if press:
            presses.append(company)
        base.add(company, "established", str(founded))
        base.add(company, "founder", founder)
        _add_seats(base, dice, company, founded, towns)
        add_terms(base, dice, company, "head", people, founded, founder)
    return presses


def _add_seats(base: Base, dice: Dice, company: int, founded: int, towns: list[int]) -> None:
    moves = sorted(dice.sample(range(founded + 6, 1922), dice.below(3)))
    seats = dice.sample(towns, len(moves) + 1)
    for seat, since, until in zip(seats, [founded, *moves], [*moves, PRESENT + 1], strict=True):
        base.add(company, "seat", seat, since, until)


def add_terms(base: Base, dice: Dice, office: int, relation: str, people: list[int], since: int, first: int) -> None:
    """Who held an office from ``since``, ``first`` to begin with if of age: one after the other, nobody twice."""
    able = adults(base, people, since)
    if not able:
        return
    holder, held = first if first in able else dice.pick(able), set[int]()
    while True:
        held.add(holder)
        last = min(base.things[holder].died, PRESENT)
        until = max(min(since + dice.between(6, 26), last), since + 1)
        able = [i for i in adults(base, people, until, least=25) if i not in held]
        if until >= PRESENT - 3 or not able:
            base.add(office, relation, holder, since, last + 1)
            return
        base.add(office, relation, holder, since, until)
        since, holder = until, dice.pick(able)


def add_works(base: Base, names: Names, dice: Dice, people: list[int], towns: list[int], presses: list[int]) -> None:
    """Books: written by five of the people, published in their lifetime, one at most dedicated to a person."""
    if not presses:
        return
    authors = dice.sample([i for i in people if base.things[i].born < 1895], 5)
    free = list(people)
    for k in range(dice.between(8, SIZES.works)):
        author = authors[min(k, dice.below(len(authors)))]
        press = dice.pick(presses)
        first = max(base.things[author].born + 19, base.things[press].born)
        last = min(base.things[author].died, PRESENT - 1, first + 45)
        if first > last:
            continue
        year = dice.between(first, last)
        work = base.add_thing(Thing("work", names.work(base.cell, k), born=year))
        base.add(work, "author", author)
        base.add(work, "publisher", press)
        base.add(work, "published", str(year))
        if dice.chance(0.75):
            base.add(work, "setting", dice.pick(towns))
        honoured = [i for i in adults(base, free, year, least=3) if i != author]
        if honoured and dice.chance(0.6):
            dedicatee = dice.pick(honoured)
            free.remove(dedicatee)
            base.add(work, "dedicatee", dedicatee)
    for relation, owners, counted in (("author", authors, "works"), ("publisher", presses, "catalogue")):
        for owner in owners:
            if len(base.having(owner, relation)) > 1:
                base.add(owner, counted, str(len(base.having(owner, relation))))


def add_events(base: Base, names: Names, dice: Dice, people: list[int], towns: list[int]) -> None:
    """Contests that took place once. Nobody wins two."""
    free = list(people)
    for k in range(SIZES.events):
        year = dice.between(1800, PRESENT - 2)
        able = adults(base, free, year)
        if not able:
            continue
        winner = dice.pick(able)
        free.remove(winner)
        event = base.add_thing(Thing("event", names.event(base.cell, k), born=year))
        base.add(event, "place", dice.pick(towns))
        base.add(event, "held", str(year))
        base.add(event, "winner", winner)


def add_prize(base: Base, names: Names, dice: Dice, people: list[int]) -> None:
    """A prize that is awarded every few years, endowed by a company."""
    year = dice.between(1840, 1868)
    prize = base.add_thing(Thing("prize", names.prize(base.cell), born=year))
    older = [i for i in base.kind("company") if base.things[i].born <= year]
    if older:
        base.add(prize, "endower", dice.pick(older))
    for _ in range(dice.between(4, 8)):
        able = adults(base, people, year)
        if able:
            base.add(prize, "laureate", dice.pick(able), year, year + 1)
        year += dice.between(3, 9)
