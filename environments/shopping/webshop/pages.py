"""The official pages as lists of text nodes, and the two ways in which they become observations.

Interface strings and their order are those of princeton-nlp/WebShop's templates; the tests compare them byte by byte
with recorded official outputs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from agentgym.environments.shopping.product import Product, Row

BACK_TO_SEARCH = "Back to Search"
NEXT_PAGE = "Next >"
PREV_PAGE = "< Prev"
BUY_NOW = "Buy Now"
SUB_PAGES = ("Description", "Features", "Reviews")
ATTRIBUTES_PAGE = "Attributes"

SEPARATOR = " [SEP] "

_HTML_SPACES = " \n\t\f\r"


class Kind(Enum):
    """What a text node is on its page; ``text_rich`` marks each kind differently."""

    PLAIN = 0
    BUTTON = 1
    OPTION = 2
    PRODUCT = 3


class Node(NamedTuple):
    """One visible text node."""

    text: str
    kind: Kind = Kind.PLAIN


def _instruction(text: str, heading: str = "Instruction:") -> list[Node]:
    return [Node(heading), *_cell(text)]


def _cell(text: str, indent: str = "") -> list[Node]:
    """The node of a value in the page's HTML: none for an empty one; only blanks count as one blank or as nothing."""
    content = indent + text
    if not content.isspace() and content:
        return [Node(content)]
    if content.strip(_HTML_SPACES):
        return [Node(content)]  # blanks that HTML doesn't know, such as the unbreakable one
    return [] if "\n" in content or not content else [Node(" ")]


def search_page(instruction: str) -> list[Node]:
    """The first page."""
    return [Node("WebShop"), *_instruction(instruction, "Instruction: "), Node("Search", Kind.BUTTON)]


def results_page(instruction: str, page: int, total: int, rows: Iterable[Row]) -> list[Node]:
    """A page of search results."""
    nodes = [
        *_instruction(instruction),
        Node(BACK_TO_SEARCH, Kind.BUTTON),
        Node(f"Page {page} (Total results: {total})"),
    ]
    if page > 1:
        nodes.append(Node(PREV_PAGE, Kind.BUTTON))
    nodes.append(Node(NEXT_PAGE, Kind.BUTTON))
    for row in rows:
        nodes.append(Node(row.asin, Kind.PRODUCT))
        nodes.extend(_cell(row.title))
        nodes.append(Node(row.price_tag))
    return nodes


def item_head(instruction: str) -> list[Node]:
    """The upper part of a product's pages."""
    return [*_instruction(instruction), Node(BACK_TO_SEARCH, Kind.BUTTON), Node(PREV_PAGE, Kind.BUTTON)]


def product_nodes(product: Product, *, show_attributes: bool) -> tuple[Node, ...]:
    """The rest of a product's page, which is the same in every episode."""
    nodes: list[Node] = []
    for name, values in product.options.items():
        nodes.extend(_cell(name))
        for value in values:
            nodes.extend(Node(cell.text, Kind.OPTION) for cell in _cell(value))
    nodes.extend(_cell(product.title))
    nodes += [Node(f"Price: {product.price_tag}"), Node("Rating: N.A.")]
    nodes.extend(Node(name, Kind.BUTTON) for name in SUB_PAGES)
    if show_attributes:
        nodes.append(Node(ATTRIBUTES_PAGE, Kind.BUTTON))
    nodes.append(Node(BUY_NOW, Kind.BUTTON))
    return tuple(nodes)


def sub_page(instruction: str, product: Product, name: str) -> list[Node]:
    """The description, features, reviews (always none) or attributes of a product."""
    nodes = item_head(instruction)
    if name == "Description":
        nodes.extend(_cell(product.description))
    elif name == "Features":
        for bullet in product.bullets:
            nodes.extend(_cell(bullet, indent=" "))
    elif name == ATTRIBUTES_PAGE:
        for attribute in product.attributes:
            nodes.extend(_cell(attribute, indent=" "))
        for value in (product.category, product.query, product.product_category):
            nodes.extend(_cell(value))
    return nodes


def done_page(asin: str, options: Mapping[str, str], reward: float) -> list[Node]:
    """The page after the purchase. The official one shows the score and leaves most fields empty."""
    texts = (
        "Thank you for shopping with us!", "Your code: ", "None", " (Paste it in your MTurk interface.)",
        "Purchased", "asin", asin, "options", _html_json(options), "attrs", "None", "category", "None", "query",
        "None", "product category", "None",
        "Target", "asin", "options", "attrs", "price upper", "instuction text", "category", "product category",
        "query", "Goal ", "None",
        "Reward", "Your score (min 0.0, max 1.0)", str(reward), "Reward Details ", "None",
    )  # fmt: skip
    return [Node(text) for text in texts]


def _html_json(value: Mapping[str, str]) -> str:
    """JSON as the official template engine writes it: sorted, and safe inside HTML."""
    text = json.dumps(dict(value), sort_keys=True)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def render_text(nodes: Iterable[Node]) -> str:
    """Observation mode ``text``: stripped nodes joined by ``" [SEP] "``."""
    return SEPARATOR.join([node.text.strip() for node in nodes])


def render_text_rich(nodes: Iterable[Node], url: str, visited: Collection[str]) -> str:
    """Observation mode ``text_rich``: a line a node, with marks on what can be clicked.

    Args:
        nodes: The page.
        url: Its address. An option counts as clicked where its quoted value occurs in it.
        visited: Names of products that were opened since the last new search page.
    """
    clicked: list[str] = []
    lines: list[str] = []
    for text, kind in nodes:
        if kind is Kind.PLAIN:
            lines.append(text)
        elif kind is Kind.BUTTON:
            lines.append(f"[button] {text} [button_]")
        elif kind is Kind.PRODUCT:
            mark = "clicked button" if text in visited else "button"
            lines.append(f"\n[{mark}] {text} [{mark}_]")
        elif f'"{text}"' in url:
            lines.append(f"  [clicked button] {text} [clicked button_]")
            clicked.append(f"You have clicked {text}.")
        else:
            lines.append(f"  [button] {text} [button_]")
    return "".join(f"{line}\n" for line in [*reversed(clicked), *lines])
