"""CSS-lite: the few properties that decide what a reader of the text gets.

``display``, ``visibility``, ``text-transform`` and what ``::before`` and ``::after`` generate. Selectors are matched by
lexbor; what it can't read is left out, as a browser leaves out a rule that it can't read. Media queries are judged for
a screen 1280 pixels wide.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import tinycss2
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from agentgym.tools.browser import generated

WIDTH = 1280
"""Width of the page in CSS pixels, in both backends."""
MAX_SELECTOR = 1_000
"""Characters of a selector; longer ones match nothing."""
MAX_RULES = 5_000
"""Rules of a page that say something about our properties."""

MAX_SHEETS = 1_000_000
"""Characters of all sheets of a page together; what goes beyond says nothing."""
MAX_STEPS = 2_000_000_000
"""Steps that matching may take for a page at worst (some seconds); a selector that could take more than are left
matches nothing. Steps rather than seconds, so that a page reads the same on a busy machine."""
_LOOK, _MATCH = 50, 1_000
"""What it costs to look at an element, and to take one that matches, in steps from an element to its ancestor."""

_PROPERTIES = ("display", "visibility", "text-transform", "content", "float", "position", *generated.PROPERTIES)
_RELEVANT = re.compile(r"display|visibility|text-transform|content|float|position|counter-|quotes|--", re.IGNORECASE)
_DYNAMIC = re.compile(r":(hover|focus|active|target|visited|focus-within|focus-visible|fullscreen|autofill)\b")
_NEVER = re.compile(r"(?<=[\w\]\)]):not\(\s*:(?:hover|focus|active|target|focus-within|focus-visible)\s*\)")
_PSEUDO = re.compile(r"::?(before|after)\s*$", re.IGNORECASE)
_OTHER_PSEUDO = re.compile(r"::")
_WIDTHS = re.compile(r"\(\s*(min|max)-width\s*:\s*([\d.]+)\s*(px|em|rem)\s*\)")
_JOINT = re.compile(r"(?<=[^\s>+~,(])(?:\s+(?![\s>+~,)])|\s*~\s*(?!=))")
_ENCLOSED = re.compile(r"\([^()]*\)|\[[^\]]*\]")
_NAMED = re.compile(r"[.#]((?:[^\s.#:>+~,\[(\\]|\\.)+)")
_SPECIFIC = re.compile(
    r"(?P<id>#[\w-]+)|(?P<class>\.[\w-]+|\[[^\]]*\]|:(?!not|is|where|has)[\w-]+(?:\([^)]*\))?)|(?P<tag>(?<![\w.#:-])[a-z][\w-]*)",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Style:
    """What the sheets say of one element; an empty string where they say nothing."""

    display: str = ""
    visibility: str = ""
    transform: str = ""
    floats: str = ""
    position: str = ""
    more: dict[str, dict[str, Any]] | None = None
    """What is set of ``before`` and ``after``, and under ``""`` of the element's counters and quotes."""

    @property
    def apart(self) -> bool:
        """Whether the element leaves the line of its neighbours, which makes a block of it."""
        return is_apart({"float": self.floats, "position": self.position})


@dataclass(frozen=True, slots=True)
class Rule:
    """One selector and what it sets."""

    selector: str
    pseudo: str
    important: bool
    specificity: tuple[int, int, int]
    order: int
    settings: tuple[tuple[str, Any], ...]
    joints: int = 0
    """Combinators that a matcher has to try all ancestors or siblings for."""
    needs: frozenset[str] = frozenset()
    """Classes and ids, in lower case, without which a page can't have an element that matches."""


def is_apart(settings: Mapping[str, str]) -> bool:
    """Whether something floats or is placed."""
    floats = settings.get("float", "") in ("left", "right", "inline-start", "inline-end")
    return floats or settings.get("position", "") in ("absolute", "fixed")


def cascade(tree: LexborHTMLParser, sheets: Sequence[str]) -> dict[int, Style]:
    """Styles by the memory id of the node; nodes that no rule reaches are absent."""
    own = [node.text() for node in tree.css("style")]
    rules = compiled(tuple(sheets) + tuple(own))
    styles: dict[int, Style] = {}
    size, depth = _measure(tree) if rules else (0, 0)
    left = MAX_STEPS
    present = _present(tree) if rules else set()
    for rule in rules:
        if not rule.needs <= present:
            continue
        steps = size * (_LOOK + (math.comb(depth, rule.joints) if rule.joints > 1 else 0))
        if steps > left:
            continue
        left -= steps
        try:
            matched = tree.css(rule.selector)
        except (SelectolaxError, ValueError, RuntimeError):
            continue
        left -= _MATCH * len(matched)
        for node in matched:
            style = styles.get(node.mem_id)
            if style is None:
                style = styles[node.mem_id] = Style()
            for name, value in rule.settings:
                _set(style, rule.pseudo, name, value)
    return styles


def _present(tree: LexborHTMLParser) -> set[str]:
    """The classes and ids of a page. Most rules of a site's sheets name others, and need not be tried."""
    found: set[str] = set()
    for node in tree.css("[class]"):
        found.update((node.attributes["class"] or "").lower().split())
    found.update((node.attributes["id"] or "").lower() for node in tree.css("[id]"))
    return found


def _needs(selector: str) -> frozenset[str]:
    inner = None
    while inner != selector:  # what stands in parentheses or brackets may be a choice, or a denial
        inner, selector = selector, _ENCLOSED.sub("", selector)
    return frozenset(name.lower() for name in _NAMED.findall(selector) if "\\" not in name)


def _measure(tree: LexborHTMLParser) -> tuple[int, int]:
    """Elements of a page and how deep they are nested."""
    node, size, depth, deepest = tree.root, 0, 0, 0
    while node is not None:
        size += node.is_element_node
        deepest = max(deepest, depth)
        if node.child is not None:
            node, depth = node.child, depth + 1
            continue
        while node is not None and node.next is None:
            node, depth = (node.parent, depth - 1) if depth else (None, 0)
        node = node.next if node is not None else None
    return size, deepest


def _set(style: Style, pseudo: str, name: str, value: Any) -> None:
    if pseudo or name in generated.PROPERTIES or name.startswith("--"):
        style.more = style.more or {}
        style.more.setdefault(pseudo, {})[name] = value
    elif name == "display":
        style.display = value
    elif name == "visibility":
        style.visibility = value
    elif name == "text-transform":
        style.transform = value
    elif name == "float":
        style.floats = value
    elif name == "position":
        style.position = value


@lru_cache(maxsize=64)
def imports(sheet: str) -> tuple[str, ...]:
    """Addresses that a sheet imports for a screen, as written. They come before all of its rules."""
    if "@import" not in sheet:
        return ()
    found: list[str] = []
    for node in tinycss2.parse_stylesheet(sheet[:MAX_SHEETS], skip_comments=True, skip_whitespace=True):
        if node.type != "at-rule" or node.lower_at_keyword not in ("import", "charset", "layer"):
            break
        if node.lower_at_keyword == "import":
            tokens: list[Any] = [token for token in node.prelude if token.type != "whitespace"] or [None]
            first, *rest = tokens
            if getattr(first, "lower_name", "") == "url":
                first = next((token for token in first.arguments if token.type == "string"), None)
            if first is not None and first.type in ("string", "url") and _media(rest):
                found.append(first.value)
    return tuple(found)


@lru_cache(maxsize=64)
def compiled(sheets: tuple[str, ...]) -> tuple[Rule, ...]:
    """The rules of a set of sheets that matter here, in the order in which they are applied."""
    rules: list[Rule] = []
    left = MAX_SHEETS
    for whole in sheets:
        sheet = whole[:left]
        left -= len(sheet)
        if _RELEVANT.search(sheet):
            for rule in _rules(tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True), len(rules)):
                rules.append(rule)
                if len(rules) >= MAX_RULES:
                    break
    return tuple(sorted(rules, key=lambda rule: (rule.important, rule.specificity, rule.order)))


def _rules(nodes: Sequence[Any], order: int) -> Iterator[Rule]:
    for node in nodes:
        if node.type == "at-rule" and node.lower_at_keyword in ("media", "supports", "layer"):
            if node.content is not None and (node.lower_at_keyword != "media" or _media(node.prelude)):
                inner = tinycss2.parse_rule_list(node.content, skip_comments=True, skip_whitespace=True)
                for rule in _rules(inner, order):
                    order = rule.order + 1
                    yield rule
        elif node.type == "qualified-rule":
            for rule in _qualified(node, order):
                order = rule.order + 1
                yield rule


def _media(prelude: Sequence[Any]) -> bool:
    """Whether one of the queries of a list holds."""
    return any(_holds(query.strip().lower()) for query in tinycss2.serialize(prelude).split(","))


def _holds(query: str) -> bool:
    if re.search(r"\bprint\b|\bspeech\b", query) and not query.startswith("not"):
        return False
    if re.search(
        r"prefers-color-scheme\s*:\s*dark|prefers-contrast|orientation\s*:\s*portrait|hover\s*:\s*none", query
    ):
        return False
    for bound, number, unit in _WIDTHS.findall(query):
        pixels = float(number) * (1 if unit == "px" else 16)
        if (bound == "min" and pixels > WIDTH) or (bound == "max" and pixels < WIDTH):
            return False
    return True


def _qualified(node: Any, order: int) -> Iterator[Rule]:
    settings: dict[bool, list[tuple[str, Any]]] = {False: [], True: []}
    for item in tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True):
        if item.type == "declaration" and _ours(item):
            settings[item.important].append((_name(item), _value(item)))
    if not settings[False] and not settings[True]:
        return
    for written in _split(tinycss2.serialize(node.prelude)):
        if len(written) > MAX_SELECTOR:
            continue
        selector = _NEVER.sub("", written)  # no pointer, no focus: `:not(:hover)` holds always
        if _DYNAMIC.search(selector):
            continue
        found = _PSEUDO.search(selector)
        bare = selector[: found.start()].strip() or "*" if found else selector
        if _OTHER_PSEUDO.search(bare):
            continue
        for important, items in settings.items():
            if items:
                pseudo = found[1].lower() if found else ""
                joints = len(_JOINT.findall(bare))
                yield Rule(bare, pseudo, important, specificity(bare), order, tuple(items), joints, _needs(bare))
                order += 1


def _ours(item: Any) -> bool:
    return item.lower_name in _PROPERTIES or generated.custom(item.name, item.value)


def _name(item: Any) -> str:
    """Names of custom properties have upper and lower case."""
    return str(item.name if item.name.startswith("--") else item.lower_name)


def _value(item: Any) -> Any:
    if item.lower_name == "content" or item.name.startswith("--"):
        return generated.content(item.value)
    text = str(tinycss2.serialize(item.value)).strip()
    return text if item.lower_name in generated.PROPERTIES else text.lower()


def _split(selectors: str) -> list[str]:
    """The selectors of a list; commas in brackets don't separate."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(selectors):
        depth += (char in "([") - (char in ")]")
        if char == "," and depth == 0:
            parts.append(selectors[start:i])
            start = i + 1
    return [part.strip() for part in [*parts, selectors[start:]] if part.strip()]


def specificity(selector: str) -> tuple[int, int, int]:
    """Ids, classes and tags of a selector (Selectors 4, section 17, without the arguments of ``:where``)."""
    counts = [0, 0, 0]
    for match in _SPECIFIC.finditer(re.sub(r":(?:not|is|where|has)\(|\)", " ", selector)):
        counts[("id", "class", "tag").index(str(match.lastgroup))] += 1
    return counts[0], counts[1], counts[2]


def inline(text: str) -> Style | None:
    """What a ``style`` attribute says; None where it says nothing of ours."""
    if not _RELEVANT.search(text):
        return None
    style = Style()
    for item in tinycss2.parse_blocks_contents(text, skip_comments=True, skip_whitespace=True):
        if item.type == "declaration" and _ours(item):
            _set(style, "", _name(item), _value(item))
    return style
