"""Content of the address book: people, products and orders drawn from a number; another number, another world."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites.changes import watch

_words = str.split

CONTACTS, ORDERS, PRODUCTS = 34, 48, 14
STATUSES = ("pending", "paid", "shipped", "cancelled")
CATEGORIES = ("customer", "supplier", "partner")

_FIRST = _words(
    "Ada Alma Amir Anton Beatriz Boris Carla Chen Clara Dana Dario Edith Elif Emil Esra Farah Felix Greta Hana Hugo Ida"
    " Igor Ines Ivo Jana Jonas Kamal Karin Lea Lars Lucia Mara Marek Mina Nadia Nils Nora Olga Omar Oscar Paula Pavel"
    " Petra Ravi Rosa Samir Selma Sofia Stefan Tanja Theo Timo Uma Vera Viktor Wanda Yara Yusuf Zara Zoe"
)
_LAST = _words(
    "Abbott Adler Barros Becker Bianchi Brandt Castro Cohen Dahl Diaz Duarte Eriksen Farrow Fischer Fontaine Garcia"
    " Gruber Haddad Hansen Horvat Ito Ivanov Jansen Keller Khan Kovacs Larsen Lehmann Lopez Marino Mbeki Meyer Moreau"
    " Nakamura Novak Okafor Olsen Park Pereira Petrov Quist Rahman Reyes Rossi Sato Schmid Silva Sorensen Tanaka Turner"
    " Ueda Vargas Vogel Weber Wolf Yilmaz Zeller Zimmer"
)
_CITIES = _words(
    "Alderton Brenfield Cordova Dunmore Eastvale Farrowbay Glenrock Harwick Ilmstadt Jorvale Kelso Larkspur Milbridge"
    " Norrow Oakhaven"
)
_COMPANY_A = _words("Alpine Bluebird Copper Delta Ember Falcon Granite Harbor Indigo Juniper Kestrel Lantern Meridian")
_COMPANY_B = _words("Foods Logistics Partners Supply Textiles Tools Works Trading")
_THING_A = _words("Folding Ceramic Steel Oak Linen Wool Copper Glass Bamboo Leather Cotton Walnut")
_THING_B = _words("Lamp Chair Kettle Notebook Blanket Tray Clock Basket Apron Stool Mug Bottle Frame")

_SCHEMA = """
CREATE TABLE contact (id INTEGER PRIMARY KEY, name TEXT, email TEXT, phone TEXT, company TEXT, city TEXT,
  category TEXT, newsletter INTEGER, notes TEXT);
CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT, sku TEXT, price INTEGER, stock INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, contact INTEGER, placed TEXT, status TEXT, note TEXT);
CREATE TABLE line (id INTEGER PRIMARY KEY, orders INTEGER, product INTEGER, quantity INTEGER, price INTEGER);
CREATE TABLE setting (id INTEGER PRIMARY KEY, owner TEXT, signature TEXT, reminders INTEGER, currency TEXT, today TEXT);
"""


def cities() -> tuple[str, ...]:
    """The cities that the site knows."""
    return tuple(_CITIES)


@lru_cache(maxsize=256)
def golden(world: int) -> bytes:
    """The serialised database of a world, with its log of changes installed and empty."""
    rng = derive_rng("web book", world)
    db = sqlite3.connect(":memory:")
    db.executescript(_SCHEMA)
    today = date(2026, 1, 5) + timedelta(days=int(rng.integers(0, 300)))
    db.execute("INSERT INTO setting VALUES (1, ?, ?, 1, 'USD', ?)", (_name(rng), "Kind regards", today.isoformat()))
    _products(db, rng)
    people = _contacts(db, rng)
    _orders(db, rng, people, today)
    watch(db)
    data = db.serialize()
    db.close()
    return data


def _pick(rng: np.random.Generator, words: list[str] | tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _name(rng: np.random.Generator) -> str:
    return f"{_pick(rng, _FIRST)} {_pick(rng, _LAST)}"


def _distinct(rng: np.random.Generator, count: int, first: list[str], second: list[str]) -> list[str]:
    """Different pairs of words: no name is ambiguous in a task."""
    chosen = rng.choice(len(first) * len(second), size=count, replace=False)
    return [f"{first[int(i) // len(second)]} {second[int(i) % len(second)]}" for i in chosen]


def _products(db: sqlite3.Connection, rng: np.random.Generator) -> None:
    prices = rng.choice(np.arange(350, 24_000, 5), size=PRODUCTS, replace=False)
    for i, name in enumerate(_distinct(rng, PRODUCTS, _THING_A, _THING_B)):
        sku = f"{name[0]}{name.split()[1][0]}-{int(rng.integers(100, 1000))}{i:02d}"
        db.execute(
            "INSERT INTO product VALUES (?, ?, ?, ?, ?)", (i + 1, name, sku, int(prices[i]), int(rng.integers(0, 90)))
        )


def _contacts(db: sqlite3.Connection, rng: np.random.Generator) -> list[int]:
    places = [_CITIES[int(i)] for i in rng.choice(len(_CITIES), size=7, replace=False)]
    for i, name in enumerate(_distinct(rng, CONTACTS, _FIRST, _LAST)):
        company = f"{_pick(rng, _COMPANY_A)} {_pick(rng, _COMPANY_B)}"
        first, last = name.lower().split()
        email = f"{first}.{last}@{company.lower().replace(' ', '-')}.example"
        phone = f"555-{int(rng.integers(0, 10_000)):04d}-{i:02d}"
        category = CATEGORIES[int(rng.choice(3, p=(0.7, 0.15, 0.15)))]
        values = (i + 1, name, email, phone, company, _pick(rng, places), category, int(rng.integers(2)), "")
        db.execute("INSERT INTO contact VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    return list(range(1, CONTACTS + 1))


def _orders(db: sqlite3.Connection, rng: np.random.Generator, people: list[int], today: date) -> None:
    stock = dict(db.execute("SELECT id, price FROM product"))
    days = sorted((int(day) for day in rng.choice(np.arange(1, 400), size=ORDERS, replace=False)), reverse=True)
    number = 0
    for i, day in enumerate(days):
        placed = (today - timedelta(days=day)).isoformat()
        status = STATUSES[int(rng.choice(4, p=(0.3, 0.25, 0.3, 0.15)))]
        contact = people[int(rng.integers(len(people)))]
        db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, '')", (1001 + i, contact, placed, status))
        for product in rng.choice(PRODUCTS, size=int(rng.integers(1, 4)), replace=False):
            number += 1
            key = int(product) + 1
            db.execute(
                "INSERT INTO line VALUES (?, ?, ?, ?, ?)", (number, 1001 + i, key, int(rng.integers(1, 6)), stock[key])
            )
