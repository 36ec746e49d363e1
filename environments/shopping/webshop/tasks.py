"""Tasks of WebShop-v0: the official goals where their files are at hand, else goals over the procedural catalogue."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from agentgym.core.errors import ConfigError
from agentgym.core.seeding import derive_seed
from agentgym.core.tasks import GeneratedTasks, ListedTasks, Task, TaskSource
from agentgym.environments.shopping.catalog import CatalogSpec, StoredCatalogue, open_catalogue
from agentgym.environments.shopping.product import Catalogue, Product
from agentgym.environments.shopping.reward import webshop_reward
from agentgym.environments.shopping.webshop.official import Goal, draw_price_cap, load_goals, load_products
from agentgym.environments.shopping.webshop.ranking import ListCatalogue, Ranker, Reranked, make_ranker

TEST_GOALS, VALIDATION_GOALS = 500, 1000
"""The split of the published baselines: goals 0 to 499 test, 500 to 1499 validation, the rest train."""

_REMEMBERED = 1024
"""Drawn tasks that are kept, since the episodes of a group share theirs."""


class WebShopTasks(TaskSource, Protocol):
    """Goals, and the catalogue that belongs to a split."""

    def catalogue(self, split: str) -> Catalogue:
        """What the shop sells to tasks of ``split``."""
        ...


class OfficialTasks(ListedTasks):
    """The goals of the official files, in the official order; ids are ``"goal/<index>"``."""

    def __init__(self, data_dir: Path, num_products: int | None, human: bool, seed: int, ranker: str | Ranker) -> None:
        files = _Files(data_dir.resolve(), num_products, seed)
        self._goals = _goals(files, human)
        rank = _named_ranker(files, ranker) if isinstance(ranker, str) else ranker
        self._catalogue = ListCatalogue(_products(files), rank)
        test, validation = split_borders(len(self._goals))
        names = [f"goal/{index}" for index in range(len(self._goals))]
        ids = {"train": names[validation:], "validation": names[test:validation], "test": names[:test]}
        super().__init__(ids, self._task)

    def catalogue(self, split: str) -> Catalogue:
        """See ``WebShopTasks.catalogue``: all splits share it."""
        return self._catalogue

    def _task(self, task_id: str, split: str) -> Task:
        goal = self._goals[int(task_id.rpartition("/")[2])]
        return Task(task_id, split, data={"goal": goal}, reference={"goal": goal})


def split_borders(n_goals: int) -> tuple[int, int]:
    """Where validation and train begin. Small files are cut at a tenth and a fifth."""
    if n_goals > TEST_GOALS + VALIDATION_GOALS:
        return TEST_GOALS, TEST_GOALS + VALIDATION_GOALS
    return n_goals // 10, n_goals // 5


class _Files(NamedTuple):
    """Which official products. What is read from them is shared by all environments of the process."""

    data_dir: Path
    num_products: int | None
    seed: int


@lru_cache(maxsize=4)
def _products(files: _Files) -> list[Product]:
    products = load_products(files.data_dir, num_products=files.num_products, seed=files.seed)
    if not products:
        raise ConfigError(f"The official files in {str(files.data_dir)!r} hold no usable product.")
    return products


@lru_cache(maxsize=4)
def _goals(files: _Files, human: bool) -> list[Goal]:
    return load_goals(files.data_dir, _products(files), human=human, seed=files.seed)


@lru_cache(maxsize=4)
def _named_ranker(files: _Files, name: str) -> Ranker:
    return make_ranker(name, _products(files))


class GeneratedGoals(GeneratedTasks):
    """Goals in the official form over the procedural catalogue, one catalogue a split."""

    def __init__(self, size: int, human: bool, seed: int, ranker: Ranker | None) -> None:
        super().__init__(lru_cache(maxsize=_REMEMBERED)(self._task))
        self._size, self._human, self._seed, self._ranker = size, human, seed, ranker
        self._opened: dict[str, StoredCatalogue] = {}
        CatalogSpec(size, seed)  # refuses a bad size now rather than at the first reset

    def catalogue(self, split: str) -> Catalogue:
        """See ``WebShopTasks.catalogue``."""
        stored = self._stored(split)
        return stored if self._ranker is None else Reranked(stored, self._ranker)

    def _stored(self, split: str) -> StoredCatalogue:
        if split not in self._opened:
            self._opened[split] = open_catalogue(CatalogSpec(self._size, self._seed, split))
        return self._opened[split]

    def _task(self, split: str, number: int) -> Task:
        rng = random.Random(derive_seed("webshop goal", self._seed, split, number))
        goal = draw_official_goal(self._stored(split), rng, human=self._human)
        return Task(f"{split}/{number}", split, data={"goal": goal}, reference={"goal": goal})


def draw_official_goal(catalogue: StoredCatalogue, rng: random.Random, *, human: bool) -> Goal:
    """A goal under the official keys for a random base product, which pays in full when it is bought as asked.

    Args:
        catalogue: Whose products are asked for.
        rng: Draws the goal.
        human: Options as a list of values, as in the goals that people wrote; else as a dict.
    """
    while True:
        product, goal = _try(catalogue, rng, human=human)
        wanted = goal["goal_options"]
        options = wanted if not human else {str(number): value for number, value in enumerate(wanted)}
        # not all do: the reward turns a selected "standard" into the colour "tan" and then misses it in a dict goal
        if webshop_reward(product.official(), goal, product.price, options)["reward"] == 1.0:
            return goal


def _try(catalogue: StoredCatalogue, rng: random.Random, *, human: bool) -> tuple[Product, Goal]:
    base = catalogue.base(rng.randrange(catalogue.n_bases))
    product = catalogue.product(base.position)
    others = [attribute for attribute in product.attributes if attribute != base.attribute]
    attributes = [base.attribute, *rng.sample(others, rng.randint(0, 2))]
    options = {name: rng.choice(values) for name, values in product.options.items()}
    options[base.option[0]] = base.option[1]
    cap, cap_text = draw_price_cap(product.price, rng)
    goal = {
        "asin": product.asin,
        "category": product.category,
        "query": product.query,
        "name": product.title,
        "product_category": product.product_category,
        "instruction_text": _words(product.query, attributes, options, human=human) + cap_text,
        "attributes": attributes,
        "price_upper": cap,
        "goal_options": list(options.values()) if human else options,
        "weight": 1,
    }
    return product, goal


def _words(kind: str, attributes: Sequence[str], options: dict[str, Any], *, human: bool) -> str:
    if human:
        return f"i am looking for a {', '.join(attributes)} {kind} in {' and '.join(options.values())}"
    named = ", and ".join(f"{name}: {value}" for name, value in options.items())
    return f"Find me {', '.join(attributes)} {kind} with {named}"
