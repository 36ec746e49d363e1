"""How experts find their way in the shop and in its dashboard."""

from __future__ import annotations

from agentgym.core.actions import Action
from agentgym.environments.web.guide import Guide
from agentgym.tools.browser.element import Element

PRODUCTS = (
    "SELECT p.id, p.title, p.slug, p.upc, p.description, s.price, s.num_in_stock FROM catalogue_product p"
    " JOIN partner_stockrecord s ON s.product_id = p.id ORDER BY p.id"
)
IN_STOCK = PRODUCTS.replace("ORDER", "WHERE s.num_in_stock > 0 ORDER")
CLERK_AT_WORK = {"shop": ("UPDATE agentgym_world SET visitor = 2",)}
"""Edits for a task of the one who works in the dashboard."""


def product_path(row: dict[str, object]) -> str:
    """Path of a product's page."""
    return f"/catalogue/{row['slug']}_{row['id']}/"


def dollars(amount: float) -> str:
    """An amount as the shop shows it."""
    return f"${amount:,.2f}"


class ShopGuide(Guide):
    """A guide of the shop."""

    @property
    def outside(self) -> bool:
        """Whether the page has no navigation of the shop: checkout, dashboard, errors."""
        return self.find("textbox", "Search") is None

    def find_product(self, title: str, path: str) -> Action | None:
        """Opens a product's page by searching for it; None once it is open."""
        if self.path == path:
            return None
        if self.outside:
            return self.away()
        if self.path == "/search/" and self.query.get("q") == title:
            return self.click("link", title) or self.away()
        return self.enter("Search", title) or self.click("button", "Search") or self.away()

    def account(self, page: str, path: str) -> Action | None:
        """Opens a page of the account by its links; None once it is open."""
        if self.path == path:
            return None
        if self.outside:
            return self.away()
        return self.click("link", page) or self.click("link", "Account") or self.away()

    def cart(self) -> Action | None:
        """Opens the cart; None once it is open."""
        if self.path == "/basket/":
            return None
        return self.click("link", "View cart") or (self.follow("/basket/") if not self.outside else None) or self.away()

    def office(self, page: str, path: str) -> Action | None:
        """Opens a page of the dashboard by its menu; None once it is open."""
        if self.path == path:
            return None
        if self.path.startswith("/dashboard/"):
            return self.follow(path) or Action("goto", {"url": f"{self.home}dashboard/"})
        return self.click("link", "Dashboard") or self.away()

    def open_order(self, number: str) -> Action | None:
        """Opens an order in the dashboard by its number; None once it is open."""
        path = f"/dashboard/orders/{number}/"
        if self.path == path:
            return None
        if self.path != "/dashboard/orders/":
            return self.office("Orders", "/dashboard/orders/")
        return self.follow(path) or self.put("order_number", number) or self.click("button", "Search") or self.away()

    def stocked(self, title: str, key: int) -> Action | None:
        """Opens a product in the dashboard by its title; None once it is open."""
        path = f"/dashboard/catalogue/products/{key}/"
        if self.path == path:
            return None
        if self.path != "/dashboard/catalogue/":
            return self.office("Products", "/dashboard/catalogue/")
        if self.query.get("title") == title:
            return self.click("link", title) or self.away()
        return self.put("title", title) or self.click("button", "Search") or self.away()

    def update(self, place: int) -> Action | None:
        """Sends a new quantity of the cart's line at this place."""
        buttons = [ref for ref, element in self._buttons() if self._namer.name(element, "button") == "Update"]
        return Action("click", {"bid": buttons[place]}) if place < len(buttons) else None

    def ship_to(self, key: int) -> Action | None:
        """At the checkout, chooses an address of the address book: the button before the link that deletes it."""
        chosen: str | None = None
        for number, index in enumerate(self.page.view.refs, 1):
            element = self.page.document.elements[index]
            if element.tag == "button" and self._namer.name(element, "button").startswith("Ship to"):
                chosen = f"a{number}"
            if element.attrs.get("href", "").endswith(f"/user-address/delete/{key}/"):
                return Action("click", {"bid": chosen}) if chosen else None
        return None

    def _buttons(self) -> list[tuple[str, Element]]:
        found = ((f"a{n}", self.page.document.elements[i]) for n, i in enumerate(self.page.view.refs, 1))
        return [(ref, element) for ref, element in found if element.tag == "button"]

    def review_of(self, author: str, key: int, page: str) -> Action | None:
        """Opens a page of a review in the dashboard (empty: its form); None once it is open."""
        path = f"/dashboard/reviews/{key}/{page}"
        if self.path == path:
            return None
        if self.path != "/dashboard/reviews/":
            return self.office("Reviews", "/dashboard/reviews/")
        if self.query.get("name") != author:
            return self.put("name", author) or self.click("button", "Search") or self.away()
        return self.follow(path) or self.click("link", "next") or self.away()
