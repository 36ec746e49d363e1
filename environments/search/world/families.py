"""The families of a cell: three houses over three generations, and those who marry into them."""

from __future__ import annotations

from dataclasses import dataclass

from agentgym.environments.search.world.dice import Dice
from agentgym.environments.search.world.facts import PRESENT, Base, Thing
from agentgym.environments.search.world.names import SIZES, Names, listed

HOUSES = 3
OUTSIDERS = 2 * HOUSES
"""Number of the family that later generations marry into."""
_PROFESSIONS = listed(
    "bookbinder botanist composer glazier judge merchant novelist painter physician surveyor tanner watchmaker"
)


@dataclass
class _Families:
    """What making families needs at every step."""

    base: Base
    names: Names
    dice: Dice
    towns: list[int]
    sizes: list[int]
    """Members of each family so far."""

    def add(self, family: int, gender: str, born: int) -> int:
        """A person with the facts that each has; parents come later."""
        base, dice = self.base, self.dice
        name = self.names.person(base.cell, family, self.sizes[family], gender)
        self.sizes[family] += 1
        died = born + dice.between(46, 91)
        person = base.add_thing(Thing("person", name, gender, born=born, died=min(died, PRESENT)))
        base.add(person, "born", str(born))
        if died <= PRESENT:
            base.add(person, "died", str(died))
        if dice.chance(0.85):
            base.add(person, "birthplace", dice.pick(self.towns))
        base.add(person, "profession", dice.pick(_PROFESSIONS))
        schools = [school for school in base.kind("school") if base.things[school].born <= born + 16]
        if schools and dice.chance(0.6):
            base.add(person, "school", dice.pick(schools))
        return person

    def marry(self, husband: int, wife: int) -> None:
        """Makes a couple."""
        self.base.add(husband, "spouse", wife)
        self.base.add(wife, "spouse", husband)

    def children(self, husband: int, wife: int, family: int, count: int) -> list[int]:
        """Children of a couple while the mother is 18 to 40 and both live, in order of birth."""
        base = self.base
        mother, father = base.things[wife], base.things[husband]
        born = max(mother.born, father.born) + self.dice.between(18, 24)
        found: list[int] = []
        while len(found) < count and self.sizes[family] < SIZES.members:
            if born > min(mother.born + 40, mother.died, father.died, PRESENT - 20):
                break
            child = self.add(family, self.dice.pick(("he", "she")), born)
            base.add(child, "father", husband)
            base.add(child, "mother", wife)
            found.append(child)
            born += self.dice.between(1, 6)
        for parent in (husband, wife):
            if len(found) > 1:
                base.add(parent, "children", str(len(found)))
        return found


def add_families(base: Base, names: Names, dice: Dice, towns: list[int]) -> list[int]:
    """Adds the people of a cell and returns their numbers."""
    made = _Families(base, names, dice, towns, [0] * SIZES.families)
    second: list[tuple[int, int]] = []
    for house in range(HOUSES):
        husband = made.add(house, "he", dice.between(1762, 1785))
        wife = made.add(HOUSES + house, "she", base.things[husband].born + dice.between(-3, 8))
        made.marry(husband, wife)
        second += [(house, child) for child in made.children(husband, wife, house, dice.between(2, 5))]
    third = _next_generation(made, second, couples=4)
    _next_generation(made, third, couples=3)
    return base.kind("person")


def _next_generation(made: _Families, people: list[tuple[int, int]], couples: int) -> list[tuple[int, int]]:
    """Couples among ``(house, person)`` of different houses, or with an outsider, and their children."""
    base, dice = made.base, made.dice
    free = dice.shuffled(people)
    children: list[tuple[int, int]] = []
    for _ in range(couples):
        if not free:
            break
        house, person = free.pop()
        partner = _partner(base, house, person, free)
        if partner is not None:
            free.remove(partner)
            other_house, other = partner
        elif made.sizes[OUTSIDERS] < SIZES.members:
            gender = "she" if base.things[person].gender == "he" else "he"
            other_house, other = OUTSIDERS, made.add(OUTSIDERS, gender, base.things[person].born + dice.between(-6, 6))
        else:
            continue
        man_first = base.things[person].gender == "he"
        husband, wife = (person, other) if man_first else (other, person)
        made.marry(husband, wife)
        family = house if man_first or other_house == OUTSIDERS else other_house
        children += [(family, child) for child in made.children(husband, wife, family, dice.between(1, 4))]
    return children


def _partner(base: Base, house: int, person: int, free: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Someone free of another house and the other gender, at most 12 years older or younger."""
    one = base.things[person]
    for other_house, other in free:
        two = base.things[other]
        if other_house != house and two.gender != one.gender and abs(two.born - one.born) <= 12:
            return other_house, other
    return None
