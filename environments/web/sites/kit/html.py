"""HTML of the first-party sites, from values. Everything is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import urlencode

_STYLE = (
    "body{font:16px sans-serif;margin:1em auto;max-width:70em}nav a{margin-right:1em}table{border-collapse:collapse}"
    "td,th{padding:.2em .8em;text-align:left}.trap{display:none}.badge{text-transform:capitalize}"
    ".field{margin:.4em 0}.field label{display:inline-block;min-width:9em}"
)
TOKEN = "b00c5e55"
"""Every form carries it, as sites against forged requests want; the world is frozen, so it is too."""


def money(cents: int) -> str:
    """``$1,234.50``."""
    return f"${cents // 100:,}.{cents % 100:02d}"


def layout(site: str, links: str, title: str, body: str, flash: str = "") -> str:
    """A whole page of a site, with the links of its sections."""
    status = f'<p role="status">{escape(flash)}</p>' if flash else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)} - {escape(site)}</title>'
        f"<style>{_STYLE}</style></head><body><header><nav>{links}</nav></header>"
        f"<main><h1>{escape(title)}</h1>{status}{body}</main></body></html>"
    )


def link(href: str, text: str, extra: str = "") -> str:
    """A link."""
    return f'<a href="{escape(href)}"{extra}>{escape(text)}</a>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> str:
    """A table of cells that are HTML already; a sentence when there are no rows."""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    if not body:
        return f"<p>{escape(empty)}</p>"
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values, one a row; values are HTML already."""
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{value}</td></tr>' for name, value in pairs)
    return f"<table>{rows}</table>"


def field(name: str, label: str, value: str, kind: str = "text", extra: str = "") -> str:
    """A labelled text field."""
    return (
        f'<div class="field"><label for="f-{name}">{escape(label)}</label>'
        f'<input id="f-{name}" name="{name}" type="{kind}" value="{escape(value)}"{extra}></div>'
    )


def area(name: str, label: str, value: str) -> str:
    """A labelled text of several lines."""
    return (
        f'<div class="field"><label for="f-{name}">{escape(label)}</label>'
        f'<textarea id="f-{name}" name="{name}" rows="3">\n{escape(value)}</textarea></div>'
    )


def select(name: str, label: str, options: Iterable[tuple[str, str]], value: str) -> str:
    """A labelled list of options, value and text each."""
    items = "".join(
        f'<option value="{escape(key)}"{" selected" if key == value else ""}>{escape(text)}</option>'
        for key, text in options
    )
    return (
        f'<div class="field"><label for="f-{name}">{escape(label)}</label>'
        f'<select id="f-{name}" name="{name}">{items}</select></div>'
    )


def radios(name: str, label: str, options: Sequence[str], value: str) -> str:
    """A group of radio buttons."""
    items = " ".join(
        f'<label><input type="radio" name="{name}" value="{escape(key)}"{" checked" if key == value else ""}>'
        f" {escape(key.capitalize())}</label>"
        for key in options
    )
    return f"<fieldset><legend>{escape(label)}</legend>{items}</fieldset>"


def checkbox(name: str, label: str, on: bool) -> str:
    """A checkbox."""
    return (
        f'<div class="field"><label><input type="checkbox" name="{name}" value="1"{" checked" if on else ""}>'
        f" {escape(label)}</label></div>"
    )


def form(action: str, inner: str, button: str, method: str = "post", extra: str = "") -> str:
    """A form with its button, a trap that people don't see, and the token that posts need. ``extra``: more buttons."""
    hidden = (
        f'<input type="hidden" name="token" value="{TOKEN}"><div class="trap"><label>Leave this empty '
        '<input name="website" tabindex="-1" autocomplete="off"></label></div>'
        if method == "post"
        else ""
    )
    return (
        f'<form method="{method}" action="{escape(action)}">{hidden}{inner}'
        f'<div class="field"><button type="submit">{escape(button)}</button>{extra}</div></form>'
    )


def pager(path: str, query: Mapping[str, str], page: int, pages: int) -> str:
    """Links to the other pages of a list."""
    if pages < 2:
        return ""
    kept = {key: value for key, value in query.items() if value and key != "page"}
    parts = []
    for number, text in ((page - 1, "Previous page"), (page + 1, "Next page")):
        if 1 <= number <= pages:
            parts.append(link(f"{path}?{urlencode({**kept, 'page': str(number)})}", text))
    return f"<p>Page {page} of {pages}. {' '.join(parts)}</p>"


def errors(problems: Sequence[str]) -> str:
    """What is wrong with a form that was sent."""
    items = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    return f'<div role="alert"><ul>{items}</ul></div>' if problems else ""
