"""What Shopping-v0 shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agentgym.environments.shopping.product import Product, Row

BACK = "back to search"
NEXT = "next >"
PREV = "< prev"
BUY = "buy now"
DETAILS = ("description", "features")


def search_page(instruction: str) -> str:
    """The first page."""
    return f"Instruction: {instruction}\nSearch page. Write search[words]."


def results_page(
    instruction: str, query: str, rows: Iterable[Row], *, page: int, pages: int, total: int, buttons: Sequence[str]
) -> str:
    """Search results, a line a product."""
    if total:
        head = f"Results for '{query}', page {page} of {pages}, {total} found:"
    else:
        head = f"Nothing was found for '{query}'. Try other words."
    lines = [f"Instruction: {instruction}", head]
    lines += [f"[{row.asin}] {row.title}, {row.price_tag}" for row in rows]
    lines.append(_buttons(buttons))
    return "\n".join(lines)


def item_page(instruction: str, product: Product, selected: Mapping[str, str], buttons: Sequence[str]) -> str:
    """A product with its options; a selected value stands between stars."""
    lines = [f"Instruction: {instruction}", product.title, f"Price: {product.price_tag}"]
    for name, values in product.options.items():
        shown = [f"*{value}*" if selected.get(name) == value else value for value in values]
        lines.append(f"{name}: {' | '.join(shown)}")
    lines.append(_buttons(buttons))
    return "\n".join(lines)


def detail_page(instruction: str, product: Product, name: str, buttons: Sequence[str]) -> str:
    """The description or the features of a product."""
    lines = [f"Instruction: {instruction}", f"{product.title}, {name}:"]
    lines += [product.description] if name == "description" else [f"- {bullet}" for bullet in product.bullets]
    lines.append(_buttons(buttons))
    return "\n".join(lines)


def done_page(product: Product, selected: Mapping[str, str]) -> str:
    """After the purchase. Doesn't tell how well it went."""
    chosen = ", ".join(f"{name} {value}" for name, value in selected.items())
    return f"Bought: {product.title}, {product.price_tag}" + (f" ({chosen})." if chosen else ".")


def _buttons(names: Sequence[str]) -> str:
    return "Buttons: " + ", ".join(f"[{name}]" for name in names)
