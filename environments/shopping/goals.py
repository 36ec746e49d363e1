"""Goals over the procedural catalogue: what a shopper wants, and the words in which it is said."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentgym.core.errors import ConfigError
from agentgym.core.seeding import derive_seed
from agentgym.environments.shopping.catalog.generate import MAX_NEAR_MISSES, in_split
from agentgym.environments.shopping.catalog.store import StoredCatalogue
from agentgym.environments.shopping.catalog.vocabulary import Family, family_of
from agentgym.environments.shopping.product import Product

Style = Literal["precise", "vague", "mixed"]
STYLES: tuple[Style, ...] = ("precise", "vague", "mixed")

RESULTS_KEPT = 50
ROWS_PER_PAGE = 10
_TRIES = 5000
_PAGE_TRIES = 40
"""Goals on too early a page that are passed over before the latest one is taken."""

_PRECISE = (
    "i want a {attributes} {type} with {options}, and price of at most {cap} dollars",
    "find me a {type} that is {attributes}, with {options}, for at most {cap} dollars",
    "i am looking for a {type}, {attributes}, {options}, costing {cap} dollars or less",
)
_VAGUE = (
    "i need a {type} {wishes}. {values} would be right, and i won't spend more than {cap} dollars",
    "can you get me a {type} {wishes}? make it {values}, my limit is {cap} dollars",
    "my old {type} broke. i'd like one {wishes}, {values}, up to {cap} dollars",
)


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be bought."""

    instruction: str
    type: str
    attributes: tuple[str, ...]
    options: Mapping[str, str]
    price_cap: float
    """Dollars, inclusive."""
    asin: str
    """A product that fits. Any other that fits is as good."""

    def fits(self, product: Product) -> bool:
        """Whether the product, with the right options selected, is what was asked for."""
        return (
            product.query == self.type
            and product.price <= self.price_cap
            and all(attribute in product.attributes for attribute in self.attributes)
            and all(value in product.options.get(name, ()) for name, value in self.options.items())
        )

    def query(self) -> str:
        """Search words that a shopper who knows the trade's terms would type."""
        return " ".join((self.type, *self.attributes, *self.options.values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "instruction": self.instruction,
            "type": self.type,
            "attributes": list(self.attributes),
            "options": dict(self.options),
            "price_cap": self.price_cap,
            "asin": self.asin,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Goal:
        """Inverse of ``to_dict``."""
        return cls(**{**data, "attributes": tuple(data["attributes"])})


@dataclass(frozen=True, slots=True)
class Difficulty:
    """Knobs of goals.

    Args:
        constraints: Fewest and most wishes for attributes and options together, each 2 to 6.
        distractors: Fewest near misses of the goal in the catalogue, 0 to 6.
        style: ``precise`` names attributes as products do, ``vague`` describes them, ``mixed`` draws one.
        pages: A search with all the goal's words lists the first product that fits on this results page or a later
            one, 1 to 5; where the catalogue is too small for that, as late as possible.
    """

    constraints: tuple[int, int] = (3, 4)
    distractors: int = 2
    style: Style = "precise"
    pages: int = 1

    def __post_init__(self) -> None:
        low, high = self.constraints
        if not 2 <= low <= high <= 6:
            raise ConfigError(f"constraints must be two numbers with 2 <= low <= high <= 6, got {self.constraints}.")
        if not 0 <= self.distractors <= MAX_NEAR_MISSES:
            raise ConfigError(f"distractors must be 0 to {MAX_NEAR_MISSES}, got {self.distractors}.")
        if self.style not in STYLES:
            raise ConfigError(f"Unknown instruction style {self.style!r}. Known: {', '.join(STYLES)}.")
        if not 1 <= self.pages <= RESULTS_KEPT // ROWS_PER_PAGE:
            raise ConfigError(f"pages must be 1 to {RESULTS_KEPT // ROWS_PER_PAGE}, got {self.pages}.")


@dataclass(frozen=True, slots=True)
class DrawnGoal:
    """A goal, and how hard it is."""

    goal: Goal
    page: int
    """Results page of the first product that fits (of the goal's own product, unless later pages were asked for)."""
    near_misses: int
    vague: bool

    @property
    def difficulty(self) -> float:
        """0 to 1: the mean of how many wishes, near misses and pages there are, and whether it is vague."""
        wishes = len(self.goal.attributes) + len(self.goal.options)
        return ((wishes - 2) / 4 + self.near_misses / MAX_NEAR_MISSES + (self.page - 1) / 4 + self.vague) / 4


def draw_goal(catalogue: StoredCatalogue, split: str, seed: int, number: int, difficulty: Difficulty) -> DrawnGoal:
    """Goal ``number`` of a split: a pure function of its arguments.

    Every goal can be reached: its product fits it, and a search with the goal's words lists that product. No
    combination of kind, attributes and options occurs in two splits.
    """
    rng = random.Random(derive_seed("shopping goal", seed, split, number))
    best: DrawnGoal | None = None
    passed_over = 0
    for _ in range(_TRIES):
        drawn = _try(catalogue, split, rng, difficulty)
        if drawn is None:
            continue
        if drawn.page >= difficulty.pages:
            return drawn
        if best is None or drawn.page > best.page:
            best = drawn
        passed_over += 1
        if passed_over >= _PAGE_TRIES:
            break
    if best is None:
        raise ConfigError(
            f"No goal with {difficulty} could be found among {len(catalogue)} products. Use a larger catalogue or "
            "fewer distractors."
        )
    return best


def _try(catalogue: StoredCatalogue, split: str, rng: random.Random, difficulty: Difficulty) -> DrawnGoal | None:
    bases = catalogue.bases_with(difficulty.distractors)
    if not len(bases):
        return None
    base = catalogue.base(int(bases[rng.randrange(len(bases))]))
    product = catalogue.product(base.position)
    wishes = rng.randint(*difficulty.constraints)
    n_options = min(len(product.options), -(-wishes // 2))
    n_attributes = min(wishes - n_options, len(product.attributes))
    others = [attribute for attribute in product.attributes if attribute != base.attribute]
    attributes = (base.attribute, *rng.sample(others, n_attributes - 1))
    names = [base.option[0], *rng.sample([n for n in product.options if n != base.option[0]], n_options - 1)]
    options = {name: rng.choice(product.options[name]) for name in product.options if name in names}
    options[base.option[0]] = base.option[1]
    if not in_split(split, goal_number(product.query, attributes, options)):
        return None
    vague = difficulty.style == "vague" or (difficulty.style == "mixed" and rng.random() < 0.5)
    cap = float(math.ceil(product.price * rng.uniform(1.05, 1.25)))
    attributes = tuple(rng.sample(attributes, len(attributes)))
    instruction = _words(rng, family_of(product.query), attributes, options, cap, vague=vague)
    goal = Goal(instruction, product.query, attributes, options, cap, product.asin)
    found = catalogue.search(goal.query(), RESULTS_KEPT)
    if base.position not in found:
        return None
    rank = found.index(base.position)
    if difficulty.pages > 1:  # only then is it worth reading up to fifty products
        rank = next(i for i, position in enumerate(found) if goal.fits(catalogue.product(position)))
    return DrawnGoal(goal, rank // ROWS_PER_PAGE + 1, base.near_misses, vague)


def goal_number(kind: str, attributes: tuple[str, ...], options: Mapping[str, str]) -> int:
    """A number that the wishes alone decide; its split owns every goal with these wishes."""
    key = "\x1f".join((kind, *sorted(attributes), *(f"{name}={options[name]}" for name in sorted(options))))
    return zlib.crc32(key.encode())


def _words(
    rng: random.Random,
    family: Family,
    attributes: tuple[str, ...],
    options: Mapping[str, str],
    cap: float,
    *,
    vague: bool,
) -> str:
    if vague:
        wishes = [family.attributes[attribute] for attribute in attributes]
        values = ", ".join(options.values())
        return rng.choice(_VAGUE).format(type=family.type, wishes=" and ".join(wishes), values=values, cap=f"{cap:.0f}")
    named = " and ".join(f"{name} {value}" for name, value in options.items())
    return rng.choice(_PRECISE).format(
        type=family.type, attributes=" and ".join(attributes), options=named, cap=f"{cap:.0f}"
    )
