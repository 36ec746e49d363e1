"""The functions that tasks may call (``func:``), by name. Calls are read with ``ast`` and never executed.

Five of them are WebArena's, the rest VisualWebArena's. What they need from a shop's interface is read with the account
of the published images, or the one in the environment variable ``AGENTGYM_WEBARENA_ADMIN`` (``name:password``).
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from agentgym.core.errors import Boundary, Fault
from agentgym.environments.web.webarena.dom import PageDom
from agentgym.environments.web.webarena.strings import OR, Dialect
from agentgym.tools.browser.element import Element

ADMIN = "AGENTGYM_WEBARENA_ADMIN"
_PUBLISHED_ADMIN = "admin:admin1234"
_PAGE, _LAST_URL = "__page__", "__last_url__"


class Api(Protocol):
    """A deployment's interface, as helper functions use it."""

    def base(self, site: str) -> str:
        """Address of a site, without a slash at its end."""
        ...

    def json(self, method: str, url: str, body: Any = None, token: str = "") -> Any:
        """The answer to a request, read as JSON. Raises Fault of the grader."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a helper function is called."""

    api: Api
    last_url: str
    page: PageDom | None = None


@dataclass(frozen=True)
class Call:
    """A call as a task writes it."""

    name: str
    arguments: tuple[str, ...]
    """``__page__`` left out."""


def parse_call(text: str, dialect: Dialect) -> Call:
    """Reads ``func:name(__page__, 'text')``.

    Raises:
        ValueError: It is no call of a known function with texts.
    """
    source = text.removeprefix("func:").strip()
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{source!r} is no call") from None
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.keywords:
        raise ValueError(f"{source!r} is no plain call")
    name = tree.func.id
    known = _TABLE.get(name)
    if known is None or dialect not in known[1]:
        raise ValueError(
            f"the function {name!r} is not among {', '.join(n for n in _TABLE if dialect in _TABLE[n][1])}"
        )
    arguments: list[str] = []
    for number, part in enumerate(tree.args):
        if isinstance(part, ast.Name) and part.id == _PAGE and number == 0:
            continue
        if not isinstance(part, ast.Constant) or not isinstance(part.value, str):
            raise ValueError(f"{source!r} has an argument that is no text")
        arguments.append(part.value)
    if len(arguments) != known[2]:
        raise ValueError(f"{name} takes {known[2]} texts, got {len(arguments)}")
    return Call(name, tuple(arguments))


def run_call(call: Call, place: Place) -> Any:
    """What a helper function gives: text, or a number."""
    arguments = [part.replace(_LAST_URL, place.last_url) for part in call.arguments]
    return _TABLE[call.name][0](place, *arguments)


# ------------------------------------------------------------------ addresses


def _post_url(place: Place, url: str) -> str:
    """Address of the post that a page of the forum belongs to; others come back as they are."""
    parts = urlsplit(url)
    steps = parts.path.split("/")
    if len(steps) < 4 or steps[1] != "f":
        return url
    return f"{parts.scheme}://{parts.netloc}/f/{steps[2]}/{steps[3]}/"


# ------------------------------------------------------------------ the shop's interface


def _token(place: Place) -> str:
    name, _, password = os.environ.get(ADMIN, _PUBLISHED_ADMIN).partition(":")
    url = f"{place.api.base('shopping')}/rest/default/V1/integration/admin/token"
    return str(place.api.json("POST", url, {"username": name, "password": password}))


def _latest_order_url(place: Place) -> str:
    base = place.api.base("shopping")
    order = "searchCriteria[sortOrders][0][field]=created_at&searchCriteria[sortOrders][0][direction]=DESC"
    found = place.api.json("GET", f"{base}/rest/V1/orders?{order}&searchCriteria[pageSize]=1", token=_token(place))
    try:
        return f"{base}/sales/order/view/order_id/{int(found['items'][0]['increment_id'])}/"
    except (KeyError, IndexError, TypeError, ValueError):
        raise Fault(Boundary.GRADER, "The shop names no latest order.") from None


def _latest_review(place: Place, sku: str) -> Mapping[str, Any]:
    url = f"{place.api.base('shopping')}/rest/V1/products/{quote(sku, safe='')}/reviews"
    found = place.api.json("GET", url, token=_token(place))
    return found[-1] if isinstance(found, list) and found else {}


def _review_author(place: Place, sku: str) -> str:
    return str(_latest_review(place, sku).get("nickname", ""))


def _review_rating(place: Place, sku: str) -> str:
    ratings = _latest_review(place, sku).get("ratings") or [{}]
    return str(ratings[0].get("percent", ""))


def _review_text(place: Place, sku: str) -> str:
    return str(_latest_review(place, sku).get("detail", ""))


# ------------------------------------------------------------------ what stands on a page


def _select(place: Place, selector: str) -> list[Element]:
    try:
        return place.page.select(selector) if place.page is not None else []
    except ValueError:
        return []


def _first_text(place: Place, selector: str) -> str:
    found = _select(place, selector)
    return place.page.text(found[0]) if found and place.page is not None else ""


def _member_role(place: Place, account: str) -> str:
    names = _select(place, "td[data-label='Account'] span.gl-avatar-labeled-sublabel")
    roles = _select(place, "td.col-max-role span")
    page = place.page
    number = next((i for i, name in enumerate(names) if page is not None and page.text(name) == f"@{account}"), -1)
    return page.text(roles[number]) if page is not None and 0 <= number < len(roles) else ""


def _query_text(place: Place, selector: str) -> str:
    found = _select(place, selector)
    return found[0].text() if found else ""


def _query_text_lowercase(place: Place, selector: str) -> str:
    return _query_text(place, selector).lower()


def _product_attributes(place: Place, attribute: str) -> str:
    wanted = attribute.lower().split(OR.lower())
    found: list[str] = []
    for row in _select(place, "#productDetails_detailBullets_sections1 > tbody > *"):
        cells = list(row.elements())
        if place.page is not None and len(cells) > 1:
            name = place.page.text(cells[0]).lower()
            if any(part in name for part in wanted):
                found.append(place.page.text(cells[1]))
    return ", ".join(found)


def _product_price(place: Place) -> float:
    price = "#maincontent > div.columns > div > div.product-info-main > div.product-info-price"
    found = re.match(
        r"\d+(?:\.\d+)?", _first_text(place, f"{price} > div.price-box.price-final_price > span > span")[1:]
    )
    return float(found[0]) if found else 0.0


def _num_reviews(place: Place) -> int:
    words = _first_text(place, "#tab-label-reviews-title").split(" ")
    found = re.match(r"\d+", words[1]) if len(words) > 1 else None
    return int(found[0]) if found else 0


def _rating(place: Place) -> int:
    found = _select(place, ".rating-result")
    percent = re.match(r"\s*(\d+)", found[0].attrs.get("title", "")) if found else None
    return int(percent[1]) if percent else 0


def _ordered(place: Place) -> list[dict[str, Any]]:
    """Products of an order's page: cells by the second class of each, and the options that stand below a name."""
    found: list[dict[str, Any]] = []
    for body in _select(place, "#my-orders-table tbody"):
        product: dict[str, Any] = {"options": {}}
        for cell in (element for element in body.descendants() if element.tag == "td"):
            classes = cell.attrs.get("class", "").split()
            if len(classes) > 1 and place.page is not None:
                product[classes[1]] = place.page.text(cell)
                parts = [e for dl in cell.descendants() if dl.tag == "dl" for e in dl.elements()]
                texts = [place.page.text(part) for part in parts]
                product["options"] |= dict(zip(texts[::2], texts[1::2], strict=False))
        found.append(product)
    return found


def _order_names(place: Place) -> str:
    return OR.join(str(product.get("name", "")) for product in _ordered(place))


def _order_quantity(place: Place, sku: str) -> int:
    for product in _ordered(place):
        digits = re.search(r"\d+", str(product.get("qty", "")))
        if str(product.get("sku", "")).strip() in sku.split(OR) and digits:
            return int(digits[0])
    return 0


def _order_option(place: Place, sku: str, option: str) -> str:
    product = next((item for item in _ordered(place) if str(item.get("sku", "")).strip() == sku), None)
    return str(product["options"].get(option, "")) if product else ""


def _latest_comment(place: Place, user: str) -> Element | None:
    """The latest comment of a user, by the time that stands on it."""
    mine = [(t, c) for c in _select(place, ".comment") if _author(c) == user and (t := _moment(c))]
    return max(mine, key=lambda item: item[0])[1] if mine else None


def _within(element: Element, name: str) -> Element | None:
    """The first element of a class below; in a comment that is its own, since answers stand behind it."""
    return next((node for node in element.descendants() if name in node.attrs.get("class", "").split()), None)


def _author(element: Element) -> str:
    found = _within(element, "fg-inherit")
    return found.text().strip() if found is not None else ""


def _moment(comment: Element) -> str:
    return next((node.attrs.get("datetime", "") for node in comment.descendants() if node.tag == "time"), "")


def _comment_text(place: Place, user: str) -> str:
    comment = _latest_comment(place, user)
    content = _within(comment, "comment__content") if comment is not None else None
    return place.page.text(content) if content is not None and place.page is not None else ""


def _parent_author(place: Place, user: str) -> str:
    comment = _latest_comment(place, user)
    if comment is None:
        return ""
    above: Sequence[Element] = [e for e in comment.ancestors() if "comment" in e.attrs.get("class", "").split()]
    parent = above[0] if above else next(iter(_select(place, "#main")), None)
    return _author(parent) if parent is not None else ""


_BOTH: tuple[Dialect, ...] = ("webarena", "vwa")
_VWA: tuple[Dialect, ...] = ("vwa",)
_TABLE: Mapping[str, tuple[Callable[..., Any], tuple[Dialect, ...], int]] = {
    "reddit_get_post_url": (_post_url, _BOTH, 1),
    "gitlab_get_project_memeber_role": (_member_role, _BOTH, 1),  # spelled as in the tasks
    "shopping_get_latest_order_url": (_latest_order_url, _BOTH, 0),
    "shopping_get_sku_latest_review_author": (_review_author, _BOTH, 1),
    "shopping_get_sku_latest_review_rating": (_review_rating, _BOTH, 1),
    "shopping_get_sku_latest_review_text": (_review_text, _VWA, 1),
    "shopping_get_product_attributes": (_product_attributes, _VWA, 1),
    "shopping_get_product_price": (_product_price, _VWA, 0),
    "shopping_get_num_reviews": (_num_reviews, _VWA, 0),
    "shopping_get_rating_as_percentage": (_rating, _VWA, 0),
    "shopping_get_order_product_name_list": (_order_names, _VWA, 0),
    "shopping_get_order_product_quantity": (_order_quantity, _VWA, 1),
    "shopping_get_order_product_option": (_order_option, _VWA, 2),
    "reddit_get_latest_comment_content_by_username": (_comment_text, _VWA, 1),
    "reddit_get_parent_comment_username_of_latest_comment_by_username": (_parent_author, _VWA, 1),
    "get_query_text": (_query_text, _VWA, 1),
    "get_query_text_lowercase": (_query_text_lowercase, _VWA, 1),
}
"""Name -> function, dialects that have it, and how many texts it takes."""
