"""Content of the shop: products, reviews, customers and orders drawn from a number."""

from __future__ import annotations

import sqlite3
import zlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np

from agentgym.core.seeding import derive_rng
from agentgym.environments.web.sites.seeding import Rows, base_database, filled, kept_world

GENERATOR = 2
"""Raised when what is below changes what a world holds."""
VISITOR, CLERK = 1, 2
"""Keys of the customer who visits the shop, and of the one who works in its dashboard."""
PEOPLE = 9
STATUSES = ("Pending", "Being processed", "Shipped", "Cancelled")
APPROVED, WAITING = 1, 0
"""Of reviews."""
PASSWORD = "md5$salt$" + "9be4ef8a8a9ab1d0c5e3bcdfa7dbd7ab"
"""Matches no password: everyone is signed in already."""

_words = str.split

_AISLES = {
    "Kitchen": (("Cookware", "Saucepan Skillet Wok Casserole Griddle"), ("Tableware", "Bowl Plate Mug Carafe Platter")),
    "Garden": (("Tools", "Spade Rake Trowel Shears Hoe"), ("Planters", "Flowerpot Trough Basket Urn Box")),
    "Travel": (("Bags", "Backpack Suitcase Duffel Satchel Pouch"), ("Comfort", "Pillow Blanket Mask Bottle Umbrella")),
    "Office": (("Desk", "Lamp Organizer Stand Clock Tray"), ("Paper", "Notebook Planner Folder Album Binder")),
    "Sports": (("Outdoor", "Tent Hammock Lantern Canteen Compass"), ("Training", "Mat Rope Dumbbell Band Roller")),
}
_LOOKS = _words("Amber Arctic Cobalt Coral Crimson Ebony Golden Indigo Ivory Jade Maroon Olive Scarlet Silver Teal")
_MAKES = _words("Alder Bamboo Birch Cedar Copper Granite Hazel Linen Maple Marble Oak Pewter Sage Stone Walnut")
_PLACES = _words("Austria Brazil Canada Denmark Estonia Finland Ghana Hungary Iceland Japan Kenya Latvia")
_FIRST = _words("Ada Boris Carla Dario Edith Felix Greta Hugo Ines Jonas Karin Lucia Marek Nadia Oscar Petra Rosa")
_LAST = _words(
    "Adler Becker Castro Duarte Fischer Gruber Hansen Ito Keller Lopez Moreau Novak Olsen Petrov Rossi Weber"
)
_STREETS = _words("Acorn Birch Chapel Dover Elm Forest Garden Harbour Ivy Juniper Kiln Lime Mill North Orchard Park")
_TOWNS = _words("Alderton Brenfield Cordova Dunmore Eastvale Glenrock Harwick Jorvale Kelso Larkspur Milbridge Norrow")
_COUNTRIES = (("US", "USA", "840", "United States"), ("CA", "CAN", "124", "Canada"), ("DE", "DEU", "276", "Germany"),
              ("JP", "JPN", "392", "Japan"), ("GB", "GBR", "826", "United Kingdom"))  # fmt: skip
_OPINIONS = {
    1: ("Broke at once", "It fell apart in a week."), 2: ("Not great", "It feels cheaper than it looks."),
    3: ("It is fine", "Does what it should, no more."), 4: ("Good buy", "Solid, and it came quickly."),
    5: ("Love it", "Better than I had hoped for."),
}  # fmt: skip


@lru_cache(maxsize=64)
def golden(world: int) -> bytes:
    """The serialised database of a world, with its log of changes installed and empty."""
    versions = f"{version('django-oscar')}-{version('Django')}-{GENERATOR}"
    return kept_world("shop", versions, world, lambda: _make(world, versions))


def _make(world: int, versions: str) -> bytes:
    base = base_database("shop", "agentgym.environments.web.sites.shop.inside:make", versions)
    rng = derive_rng("web shop", world)
    now = datetime(2026, 1, 5, 10, tzinfo=UTC) + timedelta(days=int(rng.integers(300)), minutes=int(rng.integers(480)))
    return filled(base, lambda db: _Maker(db, rng, now).fill())


class _Maker:
    def __init__(self, db: sqlite3.Connection, rng: np.random.Generator, now: datetime) -> None:
        self.db, self.rng, self.now = db, rng, now
        self.rows = Rows(db, _stamp(now))
        self.prices: dict[int, float] = {}
        self.titles: dict[int, str] = {}

    def fill(self) -> None:
        self.db.execute("INSERT INTO agentgym_world VALUES (?, ?)", (int(self.now.timestamp()), VISITOR))
        self.db.execute("UPDATE django_site SET domain = 'shop.test', name = 'Corner Shop'")
        for order, (two, three, number, name) in enumerate(_COUNTRIES):
            self.rows.put(
                "address_country", iso_3166_1_a2=two, iso_3166_1_a3=three, iso_3166_1_numeric=number, name=name,
                printable_name=name, display_order=len(_COUNTRIES) - order, is_shipping_country=1,
            )  # fmt: skip
        self.people()
        self.catalogue()
        self.reviews()
        self.orders()

    def pick(self, words: Any) -> Any:
        return words[int(self.rng.integers(len(words)))]

    def ago(self, low: int, high: int) -> str:
        """A moment so many days ago."""
        return _stamp(self.now - timedelta(days=int(self.rng.integers(low, high)), minutes=int(self.rng.integers(600))))

    def people(self) -> None:
        names = self.rng.choice(len(_FIRST) * len(_LAST), size=PEOPLE, replace=False)
        for key, number in enumerate(map(int, names), 1):
            first, last = _FIRST[number // len(_LAST)], _LAST[number % len(_LAST)]
            self.rows.put(
                "auth_user", id=key, password=PASSWORD, username=f"user{key}", first_name=first, last_name=last,
                email=f"{first}.{last}@mail.example".lower(), is_active=1, is_staff=int(key == CLERK),
                is_superuser=int(key == CLERK), date_joined=self.ago(400, 900), last_login=_stamp(self.now),
            )  # fmt: skip
            self.rows.put("basket_basket", owner_id=key, status="Open")
            for place in range(2 if key == VISITOR else 1):
                self.address("address_useraddress", first, last, user_id=key, is_default_for_shipping=int(place == 0))
        self.rows.put("wishlists_wishlist", name="Birthday", key="BDAY01", visibility="Private", owner_id=VISITOR)

    def address(self, table: str, first: str, last: str, **more: Any) -> int:
        line = f"{int(self.rng.integers(2, 190))} {self.pick(_STREETS)} Street"
        town, code = self.pick(_TOWNS), f"{int(self.rng.integers(10_000, 99_999))}"
        whole = f"{first} {last}, {line}, {town}, {code}, United States"
        if table == "address_useraddress":  # by this Oscar knows an address again
            more["hash"] = str(zlib.crc32(whole.upper().encode()))
        return self.rows.put(
            table, title="", first_name=first, last_name=last, line1=line, line4=town, postcode=code, country_id="US",
            search_text=whole.replace(",", ""), **more,
        )  # fmt: skip

    def catalogue(self) -> None:
        kind = self.rows.put("catalogue_productclass", name="Goods", slug="goods", requires_shipping=1, track_stock=1)
        partner = self.rows.put("partner_partner", code="warehouse", name="Warehouse")
        chosen = [list(_AISLES)[int(i)] for i in self.rng.permutation(len(_AISLES))[:4]]
        looks = iter(self.rng.permutation(len(_LOOKS) * len(_MAKES)))
        prices = iter(self.rng.permutation(np.arange(395, 18_000, 5))[:200])
        for place, aisle in enumerate(chosen, 1):
            shelves = _AISLES[aisle]
            self.category(f"{place:04d}", 1, len(shelves), aisle)
            for number, (shelf, things) in enumerate(shelves, 1):
                own = self.category(f"{place:04d}{number:04d}", 2, 0, shelf)
                for thing in [self.pick(_words(things)) for _ in range(9)]:
                    look = int(next(looks))
                    title = f"{_LOOKS[look // len(_MAKES)]} {_MAKES[look % len(_MAKES)]} {thing}"
                    self.product(title, kind, partner, own, int(next(prices)) / 100)

    def category(self, path: str, depth: int, children: int, name: str) -> int:
        return self.rows.put(
            "catalogue_category", path=path, depth=depth, numchild=children, name=name, slug=name.lower(), is_public=1,
            ancestors_are_public=1,
        )  # fmt: skip

    def product(self, title: str, kind: int, partner: int, category: int, price: float) -> None:
        number = len(self.titles) + 1
        weight = int(self.rng.integers(2, 60)) * 50
        text = f"Made in {self.pick(_PLACES)}. Weight {weight} g. Warranty {int(self.rng.integers(1, 11))} years."
        day = self.ago(30, 700)
        code = (
            f"{title[0]}{title.split()[1][0]}{title.split()[2][0]}-{int(self.rng.integers(1000, 10_000))}{number:02d}"
        )
        key = self.rows.put(
            "catalogue_product", structure="standalone", upc=code, title=title, slug=title.lower().replace(" ", "-"),
            description=text, product_class_id=kind, is_public=1, is_discountable=1, date_created=day,
            date_updated=day, meta_description="",
        )  # fmt: skip
        stock = 0 if self.rng.random() < 0.12 else int(self.rng.integers(3, 70))
        self.rows.put("catalogue_productcategory", category_id=category, product_id=key)
        self.rows.put("partner_stockrecord", product_id=key, partner_id=partner, partner_sku=code, price=price,
                      price_currency="USD", num_in_stock=stock)  # fmt: skip
        self.prices[key], self.titles[key] = price, title

    def reviews(self) -> None:
        reviewed = [int(product) + 1 for product in self.rng.permutation(len(self.titles))[:30]]
        for key in reviewed:
            scores: list[int] = []
            authors = self.rng.permutation(np.arange(3, PEOPLE + 1))[: int(self.rng.integers(1, 5))]
            marks = self.rng.permutation(np.arange(1, 6))
            for author, mark in zip(map(int, authors), map(int, marks), strict=False):
                waiting = self.rng.random() < 0.1 or (key == reviewed[0] and author == authors[0])  # at least one
                title, body = _OPINIONS[mark]
                self.rows.put(
                    "reviews_productreview", product_id=key, user_id=author, score=mark, title=title, body=body,
                    status=WAITING if waiting else APPROVED, date_created=self.ago(2, 300),
                )  # fmt: skip
                scores += [] if waiting else [mark]
            if scores:
                rating = sum(scores) / len(scores)
                self.db.execute("UPDATE catalogue_product SET rating = ? WHERE id = ?", (rating, key))

    def orders(self) -> None:
        names = {row[0]: row[1:] for row in self.db.execute("SELECT id, first_name, last_name FROM auth_user")}
        days = sorted((int(day) for day in self.rng.choice(np.arange(1, 200), size=22, replace=False)), reverse=True)
        for number, day in enumerate(days):
            user = VISITOR if number % 4 == 1 else int(self.rng.integers(3, PEOPLE + 1))
            placed = _stamp(self.now - timedelta(days=day, minutes=int(self.rng.integers(500))))
            shipping = self.address("order_shippingaddress", *names[user])
            basket = self.rows.put("basket_basket", owner_id=user, status="Submitted", date_submitted=placed)
            drawn = int(self.rng.choice(4, p=(0.4, 0.2, 0.3, 0.1)))
            status = STATUSES[number if number < 4 else drawn]  # so that each occurs
            order = self.rows.put(
                "order_order", number=str(100_200 + number * 3), currency="USD", shipping_method="Free shipping",
                shipping_code="free-shipping", status=status, date_placed=placed, basket_id=basket, user_id=user,
                shipping_address_id=shipping, site_id=1,
            )  # fmt: skip
            total = sum(self.line(order, status) for _ in range(int(self.rng.integers(1, 4))))
            self.db.execute("UPDATE order_order SET total_incl_tax = ?1, total_excl_tax = ?1 WHERE id = ?2",
                            (round(total, 2), order))  # fmt: skip

    def line(self, order: int, status: str) -> float:
        taken = {row[0] for row in self.db.execute("SELECT product_id FROM order_line WHERE order_id = ?", (order,))}
        product = self.pick([key for key in self.prices if key not in taken])
        quantity, price = int(self.rng.integers(1, 4)), self.prices[product]
        total = round(quantity * price, 2)
        columns = ("line_price_incl_tax", "line_price_excl_tax", "line_price_before_discounts_incl_tax",
                   "line_price_before_discounts_excl_tax")  # fmt: skip
        self.rows.put(
            "order_line", order_id=order, product_id=product, stockrecord_id=product, partner_id=1,
            partner_name="Warehouse", title=self.titles[product], quantity=quantity, unit_price_incl_tax=price,
            unit_price_excl_tax=price, status=status, **dict.fromkeys(columns, total),
        )  # fmt: skip
        return total


def _stamp(moment: datetime) -> str:
    """A moment as Django writes it into SQLite."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")
