"""The history of one cell: a province, its families, and what they found, write and win.

Laws hold: parents are 18 to 42 years older than their children, nobody marries a sibling or acts before coming of age
or after death, terms of office follow each other without a gap, and everything is founded before it is used.
"""

from __future__ import annotations

from agentgym.environments.search.world.dice import Dice
from agentgym.environments.search.world.facts import Base, Thing
from agentgym.environments.search.world.families import add_families
from agentgym.environments.search.world.names import SIZES, Names
from agentgym.environments.search.world.trades import add_companies, add_events, add_prize, add_terms, add_works

CENSUSES = (1850, 1880, 1910)
_NICKNAMES = ("Heron", "Fox", "Lark", "Owl", "Badger", "Otter", "Swift", "Lynx", "Crane", "Hare", "Magpie", "Stoat")


def make_base(seed: int, cell: int, names: Names) -> Base:
    """The knowledge base of a cell: a pure function of its arguments (``names`` being that of the world)."""
    dice, base = Dice(seed, "history", cell), Base(cell)
    towns = _add_land(base, names, dice)
    _add_schools(base, names, dice, towns)
    people = add_families(base, names, dice, towns)
    _add_nicknames(base, dice, people, towns)
    _honour(base, dice, people, towns)
    presses = add_companies(base, names, dice, people, towns)
    add_works(base, names, dice, people, towns, presses)
    add_events(base, names, dice, people, towns)
    add_prize(base, names, dice, people)
    for town in towns:
        add_terms(base, dice, town, "mayor", people, dice.between(1838, 1860), dice.pick(people))
    return base


def _add_land(base: Base, names: Names, dice: Dice) -> list[int]:
    province = base.add_thing(Thing("province", names.province(base.cell)))
    mountains = [base.add_thing(Thing("mountain", names.mountain(base.cell, k))) for k in range(SIZES.mountains)]
    heights = dice.sample(range(900, 3900), len(mountains))
    for mountain, height in zip(mountains, heights, strict=True):
        base.add(mountain, "height", str(height))
    rivers = [base.add_thing(Thing("river", names.river(base.cell, k))) for k in range(SIZES.rivers)]
    for river, mountain in zip(rivers, dice.shuffled(mountains), strict=True):
        base.add(river, "source", mountain)
        base.add(river, "length", str(dice.between(40, 480)))
    towns = []
    for k in range(SIZES.towns):
        founded = dice.between(1480, 1720)
        town = base.add_thing(Thing("town", names.town(base.cell, k), born=founded))
        towns.append(town)
        base.add(town, "province", province)
        base.add(town, "founded", str(founded))
        base.add(town, "river", rivers[k % len(rivers)])
        people = dice.between(900, 9000)
        for census in CENSUSES:
            base.add(town, "population", str(people), census, census + 1)
            people = int(people * (0.85 + 0.01 * dice.below(90))) + 1 + dice.below(7)
    base.add(province, "capital", dice.pick(towns))
    for river in rivers:
        base.add(river, "towns", str(len(base.having(river, "river"))))
    return towns


def _add_schools(base: Base, names: Names, dice: Dice, towns: list[int]) -> None:
    for k in range(SIZES.schools):
        founded = dice.between(1735, 1775)
        school = base.add_thing(Thing("school", names.school(base.cell, k), born=founded))
        base.add(school, "campus", dice.pick(towns))
        base.add(school, "opened", str(founded))


def _add_nicknames(base: Base, dice: Dice, people: list[int], towns: list[int]) -> None:
    """A nickname names a town of the cell, and no two of a cell are equal, so that none of the world are."""
    pairs = [(nickname, town) for nickname in _NICKNAMES for town in towns]
    chosen = dice.sample(people, len(people) // 3)
    for person, (nickname, town) in zip(chosen, dice.sample(pairs, len(chosen)), strict=True):
        alias = f"the {nickname} of {base.things[town].name}"
        base.things[person].alias = alias
        base.add(person, "alias", alias)


def _honour(base: Base, dice: Dice, people: list[int], towns: list[int]) -> None:
    """Monuments, town halls and first ascents. Nobody is honoured so twice, so that it can be asked back."""
    old = [i for i in people if base.things[i].born < 1880]
    chosen = dice.sample(old, 2 * len(towns) + SIZES.mountains)
    for town in towns:
        base.add(town, "architect", chosen.pop())
        if dice.chance(0.7):
            base.add(town, "monument", chosen.pop())
    for mountain in base.kind("mountain"):
        base.add(mountain, "climber", chosen.pop())
