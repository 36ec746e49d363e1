"""Reads the official data files: products, and the goals that people or a program wrote for them.

Rules of princeton-nlp/WebShop ``load_products`` and ``get_goals``. One thing differs on purpose: there, the draws of
price caps and of prices inside a range happen before the generator is seeded; here they follow ``seed``.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentgym.core.errors import ConfigError, DataError
from agentgym.environments.shopping.product import Product

DEFAULT_PRICE = 100.0
NO_CAP = 1_000_000
PRICE_GRID = tuple(10.0 * i for i in range(1, 100))
GOAL_SHUFFLE_SEED = 233
NO_ATTRIBUTES = ("DUMMY_ATTR",)

PRODUCT_FILES = ("items_shuffle.json", "items_shuffle_1000.json")
ATTRIBUTE_FILES = ("items_ins_v2.json", "items_ins_v2_1000.json")
HUMAN_FILE = "items_human_ins.json"

Goal = dict[str, Any]
"""A goal under the official keys."""


def load_products(data_dir: Path, *, num_products: int | None = None, seed: int = 0) -> list[Product]:
    """Products of the official files, in file order, without repeated or malformed ASINs.

    Args:
        data_dir: Holds ``items_shuffle.json`` and ``items_ins_v2.json`` (or their ``_1000`` variants).
        num_products: Take the first so many entries of the file; None takes all.
        seed: Draws the price of products that list a range.

    Raises:
        ConfigError: A file is missing.
        DataError: A product lacks a field or has a price that can't be read.
    """
    entries = _read(data_dir, PRODUCT_FILES)[:num_products]
    attributes = _read(data_dir, ATTRIBUTE_FILES)
    products: dict[str, Product] = {}
    for number, entry in enumerate(entries):
        asin = str(entry.get("asin", "nan"))
        if asin == "nan" or len(asin) > 10 or asin in products:
            continue
        try:
            products[asin] = _product(entry, attributes.get(asin, {}), random.Random(f"price {seed} {asin}"))
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"Product {number} ({asin}) of the official files can't be read: {error!r}.") from error
    return list(products.values())


def load_goals(data_dir: Path, products: Sequence[Product], *, human: bool = True, seed: int = 0) -> list[Goal]:
    """Goals of the official files in the official order (a shuffle seeded with 233).

    Args:
        data_dir: Holds ``items_human_ins.json``, or ``items_ins_v2.json`` for ``human=False``.
        products: What ``load_products`` returned.
        human: Instructions that people wrote; otherwise one goal for each combination of options.
        seed: Draws the price caps.
    """
    if human:
        goals = list(_human_goals(_read(data_dir, (HUMAN_FILE,)), products, seed))
        for goal in goals:
            goal["weight"] = 1
    else:
        goals = list(_synthetic_goals(_read(data_dir, ATTRIBUTE_FILES), products, seed))
        weigh_by_attributes(goals)
    random.Random(GOAL_SHUFFLE_SEED).shuffle(goals)
    return goals


def draw_price_cap(price: float, rng: random.Random) -> tuple[float, str]:
    """A price cap above ``price`` and the words that state it.

    The cap is the larger of two of the first four multiples of 10 dollars above the price, up to 990; without two
    there is no cap and no text.
    """
    candidates = [step for step in PRICE_GRID if step > price][:4]
    if len(candidates) < 2:
        return NO_CAP, ""
    cap = max(rng.sample(candidates, 2))
    return cap, f", and price lower than {cap:.2f} dollars"


def weigh_by_attributes(goals: Iterable[Goal]) -> None:
    """Sets ``weight``: the mean over a goal's attributes of one over how many goals ask for that attribute."""
    goals = list(goals)
    counts = Counter(attribute for goal in goals for attribute in goal["attributes"])
    for goal in goals:
        goal["weight"] = sum(1.0 / counts[attribute] for attribute in goal["attributes"]) / len(goal["attributes"])


def _read(data_dir: Path, names: Sequence[str]) -> Any:
    path = next((data_dir / name for name in names if (data_dir / name).is_file()), None)
    if path is None:
        raise ConfigError(
            f"No {' or '.join(names)} in {str(data_dir)!r}. Point data_dir at the folder with WebShop's data files, or "
            "leave it out to use the built-in catalogue."
        )
    with path.open(encoding="utf-8") as file:
        return json.load(file)


def _product(entry: Mapping[str, Any], attributes: Mapping[str, Any], rng: random.Random) -> Product:
    prices, tag = _prices(entry.get("pricing"))
    bullets = entry["small_description"]
    return Product(
        asin=entry["asin"],
        title=entry["name"],
        price=prices[0] if len(prices) == 1 else rng.uniform(prices[0], prices[1]),
        price_tag=tag,
        query=entry["query"].lower().strip(),
        category=entry["category"],
        product_category=entry["product_category"],
        description=entry["full_description"],
        bullets=tuple(bullets) if isinstance(bullets, list) else (bullets,),
        attributes=tuple(attributes.get("attributes", NO_ATTRIBUTES)),
        options=_options(entry["customization_options"]),
    )


def _prices(pricing: str | None) -> tuple[list[float], str]:
    if not pricing:
        return [DEFAULT_PRICE], f"${DEFAULT_PRICE}"
    prices = [float(re.sub(r"[^\d.]", "", part)) for part in pricing.split("$")[1:]]
    if len(prices) == 1:
        return prices, f"${prices[0]}"
    return prices[:2], f"${prices[0]} to ${prices[1]}"


def _options(customization: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    options: dict[str, tuple[str, ...]] = {}
    for name, contents in (customization or {}).items():
        if contents is not None:
            options[name.lower()] = tuple(content["value"].strip().replace("/", " | ").lower() for content in contents)
    return options


def _base_goal(product: Product) -> Goal:
    return {
        "asin": product.asin,
        "category": product.category,
        "query": product.query,
        "name": product.title,
        "product_category": product.product_category,
    }


def _human_goals(human: Mapping[str, Any], products: Iterable[Product], seed: int) -> Iterator[Goal]:
    for product in products:
        for number, entry in enumerate(human.get(product.asin, ())):
            if not entry["instruction_attributes"]:
                continue
            cap, cap_text = draw_price_cap(product.price, random.Random(f"cap {seed} {product.asin} {number}"))
            yield {
                **_base_goal(product),
                "instruction_text": entry["instruction"].strip(".") + cap_text,
                "attributes": entry["instruction_attributes"],
                "price_upper": cap,
                "goal_options": entry["instruction_options"],
            }


def _synthetic_goals(entries: Mapping[str, Any], products: Iterable[Product], seed: int) -> Iterator[Goal]:
    for product in products:
        entry = entries.get(product.asin, {})
        if not entry.get("instruction") or not entry.get("instruction_attributes"):
            continue
        cap, cap_text = draw_price_cap(product.price, random.Random(f"cap {seed} {product.asin}"))
        names = sorted(product.options)
        for values in itertools.product(*(product.options[name] for name in names)):
            options = dict(zip(names, values, strict=True))
            option_text = ", and ".join(f"{name}: {value}" for name, value in options.items())
            yield {
                **_base_goal(product),
                "instruction_text": entry["instruction"] + (f" with {option_text}" if options else "") + cap_text,
                "attributes": entry["instruction_attributes"],
                "price_upper": cap,
                "goal_options": options,
            }
