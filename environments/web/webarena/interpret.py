"""Walks the expressions of ``locator`` over a page, with JavaScript's results as Python values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentgym.environments.web.webarena.dom import PageDom
from agentgym.environments.web.webarena.locator import Node
from agentgym.tools.browser import forms
from agentgym.tools.browser.element import Element

MAX_STEPS = 200_000
"""Parts of an expression that are walked."""


class Failed(Exception):
    """What JavaScript would throw here."""


class _Undefined:
    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = _Undefined()


@dataclass(frozen=True)
class TextNode:
    """Text between elements."""

    text: str
    parent: Element


def evaluate(node: Node, dom: PageDom) -> Any:
    """The value of an expression: text, number, bool, list, element, or None.

    Raises:
        Failed: It reaches for what isn't there.
    """
    try:
        found = _Walk(dom).walk(node, {})
    except (ValueError, TypeError, IndexError, RecursionError, OverflowError) as error:
        raise Failed(str(error)) from error
    return None if found is UNDEFINED else found


def as_python_text(value: Any) -> str:
    """What ``str(page.evaluate(...))`` gives in the harnesses; nothing is ``None``, elements are references."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "ref: <Node>" if isinstance(value, (Element, TextNode)) else str(value)


class _Walk:
    def __init__(self, dom: PageDom) -> None:
        self.dom = dom
        self.steps = 0

    def walk(self, node: Node, scope: dict[str, Any]) -> Any:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Failed("the expression takes too long")
        return getattr(self, f"_{node.kind}")(node, scope)

    # ------------------------------------------------------------------ plain parts

    def _value(self, node: Node, scope: dict[str, Any]) -> Any:
        return node.value

    def _document(self, node: Node, scope: dict[str, Any]) -> Any:
        return self.dom

    def _undefined(self, node: Node, scope: dict[str, Any]) -> Any:
        return UNDEFINED

    def _variable(self, node: Node, scope: dict[str, Any]) -> Any:
        return scope[node.value]

    def _list(self, node: Node, scope: dict[str, Any]) -> list[Any]:
        return self._arguments(node.parts, scope)

    def _arguments(self, parts: Sequence[Node], scope: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for part in parts:
            if part.kind == "spread":
                found.extend(_listed(self.walk(part.parts[0], scope)))
            else:
                found.append(self.walk(part, scope))
        return found

    def _choice(self, node: Node, scope: dict[str, Any]) -> Any:
        condition, first, second = node.parts
        return self.walk(first if truthy(self.walk(condition, scope)) else second, scope)

    def _unary(self, node: Node, scope: dict[str, Any]) -> Any:
        value = self.walk(node.parts[0], scope)
        if node.value == "!":
            return not truthy(value)
        number = _number(value)
        return -number if node.value == "-" else number

    def _binary(self, node: Node, scope: dict[str, Any]) -> Any:
        left = self.walk(node.parts[0], scope)
        match node.value:
            case "||":
                return left if truthy(left) else self.walk(node.parts[1], scope)
            case "&&":
                return self.walk(node.parts[1], scope) if truthy(left) else left
            case "??":
                return self.walk(node.parts[1], scope) if _nothing(left) else left
        return _combined(node.value, left, self.walk(node.parts[1], scope))

    def _arrow(self, node: Node, scope: dict[str, Any]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            return self.walk(node.parts[0], scope | dict(zip(node.value, values, strict=False)))

        return call

    # ------------------------------------------------------------------ statements

    def _body(self, node: Node, scope: dict[str, Any]) -> Any:
        returned = self._run(node, dict(scope))
        return UNDEFINED if returned is None else returned[0]

    def _run(self, body: Node, scope: dict[str, Any]) -> tuple[Any] | None:
        for part in body.parts:
            returned = self._statement(part, scope)
            if returned is not None:
                return returned
        return None

    def _statement(self, part: Node, scope: dict[str, Any]) -> tuple[Any] | None:
        if part.kind == "return":
            return (self.walk(part.parts[0], scope),)
        if part.kind == "assign":
            scope[part.value] = self.walk(part.parts[0], scope)
            return None
        try:
            return self._run(part.parts[0], scope)
        except (Failed, ValueError, TypeError, IndexError):
            return self._run(part.parts[1], scope)

    # ------------------------------------------------------------------ properties and methods

    def _index(self, node: Node, scope: dict[str, Any]) -> Any:
        holder = self.walk(node.parts[0], scope)
        if _nothing(holder):
            if node.value:
                return UNDEFINED
            raise Failed("nothing has no items")
        place = self.walk(node.parts[1], scope)
        items = _listed(holder) if not isinstance(holder, str) else holder
        return items[place] if type(place) is int and 0 <= place < len(items) else UNDEFINED

    def _get(self, node: Node, scope: dict[str, Any]) -> Any:
        name, optional = node.value
        holder = self.walk(node.parts[0], scope)
        if _nothing(holder):
            if optional:
                return UNDEFINED
            raise Failed(f"nothing has no {name}")
        if isinstance(holder, (str, list)):
            return len(holder) if name == "length" else UNDEFINED
        if isinstance(holder, PageDom):
            return self._of_document(name)
        if isinstance(holder, TextNode):
            texts = ("textContent", "nodeValue", "data")
            return holder.text if name in texts else holder.parent if name in ("parentElement", "parentNode") else None
        return self._of_element(holder, name) if isinstance(holder, Element) else UNDEFINED

    def _of_document(self, name: str) -> Any:
        match name:
            case "title":
                return self.dom.document.title
            case "documentElement":
                return self.dom.document.root
            case "body":
                return next((e for e in self.dom.document.elements if e.tag == "body"), None)
        return UNDEFINED

    def _of_element(self, element: Element, name: str) -> Any:
        dom = self.dom
        if name in _TREE:
            return _TREE[name](element)
        match name:
            case "outerText" | "innerText":
                return dom.text(element)
            case "textContent" | "text":
                return element.text() if name == "textContent" or element.tag in ("a", "option", "title") else UNDEFINED
            case "innerHTML" | "outerHTML":
                return dom.html(element, inner=name == "innerHTML")
            case "value":
                found = dom.value(element)
                return UNDEFINED if found is None else found
            case "checked":
                return dom.controls.checked(element) if element.tag == "input" else UNDEFINED
            case "selectedIndex":
                return next(iter(dom.controls.selected(element)), -1) if element.tag == "select" else UNDEFINED
            case "options":
                return forms.options(element) if element.tag == "select" else UNDEFINED
            case "selectedOptions":
                offered = forms.options(element)
                return [offered[place] for place in dom.controls.selected(element)]
            case "href" | "src":
                return dom.address(element, name)
            case "disabled":
                return forms.disabled(element)
            case "tagName" | "nodeName":
                return element.tag.upper()
        attribute = {"className": "class", "dateTime": "datetime"}.get(name, name)
        return element.attrs.get(attribute, "") if attribute in _REFLECTED else UNDEFINED

    def _call(self, node: Node, scope: dict[str, Any]) -> Any:
        name, optional = node.value
        holder = self.walk(node.parts[0], scope)
        if _nothing(holder):
            if optional:
                return UNDEFINED
            raise Failed(f"nothing has no {name}()")
        arguments = self._arguments(node.parts[1:], scope)
        if isinstance(holder, (Element, PageDom)):
            return self._of_node(holder, name, arguments)
        methods = _STRING if isinstance(holder, str) else _LIST if isinstance(holder, list) else _OTHER
        if name not in methods:
            raise Failed(f"{name} is not a function")
        return methods[name](holder, *arguments)

    def _of_node(self, node: Element | PageDom, name: str, arguments: Sequence[Any]) -> Any:
        wanted = str(arguments[0]) if arguments else ""
        below = node if isinstance(node, Element) else None
        match name:
            case "querySelector":
                return next(iter(self.dom.select(wanted, below)), None)
            case "querySelectorAll":
                return self.dom.select(wanted, below)
            case "getElementsByTagName":
                found = self.dom.document.elements if below is None else below.descendants()
                return [element for element in found if wanted in ("*", element.tag)]
            case "getElementsByClassName":
                found = self.dom.document.elements if below is None else below.descendants()
                return [e for e in found if set(wanted.split()) <= set(e.attrs.get("class", "").split())]
            case "getElementById" if below is None:
                return self.dom.document.by_id.get(wanted)
            case "getAttribute" if below is not None:
                return below.attrs.get(wanted.lower())
            case "hasAttribute" if below is not None:
                return wanted.lower() in below.attrs
            case "matches" if below is not None:
                return any(element is below for element in self.dom.select(wanted))
            case "closest" if below is not None:
                found_all = self.dom.select(wanted)
                chain = (below, *below.ancestors())
                return next((e for e in chain if any(e is found_one for found_one in found_all)), None)
        raise Failed(f"{name} is not a function")

    def _function(self, node: Node, scope: dict[str, Any]) -> Any:
        arguments = self._arguments(node.parts, scope)
        first = arguments[0] if arguments else UNDEFINED
        match node.value:
            case "parseFloat" | "parseInt":
                form = r"\s*([-+]?\d+(?:\.\d+)?)" if node.value == "parseFloat" else r"\s*([-+]?\d+)"
                found = re.match(form, _text(first))
                if found is None:
                    return float("nan")
                return float(found[1]) if "." in found[1] else int(found[1][:300])
            case "Number":
                return _number(first)
            case "String":
                return _text(first)
        items = _listed(first)
        return [arguments[1](item, place) for place, item in enumerate(items)] if len(arguments) > 1 else items


# ------------------------------------------------------------------ JavaScript's values


def truthy(value: Any) -> bool:
    """Whether JavaScript takes a value for true."""
    if isinstance(value, (list, Element, PageDom, TextNode)):
        return True
    return not _nothing(value) and bool(value) and value == value


def _nothing(value: Any) -> bool:
    return value is None or value is UNDEFINED


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "NaN" if value != value else str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, list):
        return ",".join("" if _nothing(item) else _text(item) for item in value)
    return "null" if value is None else str(value)


def _number(value: Any) -> float | int:
    if isinstance(value, (int, float)):
        return value
    try:
        text = _text(value).strip()
        return 0 if not text else int(text) if re.fullmatch(r"[-+]?\d{1,300}", text) else float(text)
    except ValueError:
        return float("nan")


def _combined(sign: str, left: Any, right: Any) -> Any:
    if sign in ("===", "!==", "==", "!="):
        equal = left is right or (_nothing(left) and _nothing(right) and len(sign) == 2)
        equal = equal or (type(left) is type(right) and not isinstance(left, (list, Element)) and left == right)
        return equal == (sign[0] == "=")
    numbers = not isinstance(left, str) and not isinstance(right, str)
    if sign == "+":
        return _number(left) + _number(right) if numbers and _plain(left, right) else _text(left) + _text(right)
    if sign == "-":
        return _number(left) - _number(right)
    a: Any
    b: Any
    a, b = (left, right) if _both_text(left, right) else (_number(left), _number(right))
    return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[sign]


def _plain(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) for value in values)


def _both_text(left: Any, right: Any) -> bool:
    return isinstance(left, str) and isinstance(right, str)


def _listed(value: Any) -> list[Any]:
    if isinstance(value, (list, str)):
        return list(value)
    raise Failed("it is no list")


def _bounds(size: int, start: Any, end: Any = UNDEFINED) -> tuple[int, int]:
    """Of ``slice``: negative counts from the end."""
    low = int(start or 0)
    high = size if end is UNDEFINED else int(end or 0)
    return max(low + size, 0) if low < 0 else low, max(high + size, 0) if high < 0 else high


def _substring(text: str, start: Any, end: Any = UNDEFINED) -> str:
    low, high = sorted((max(int(start), 0), len(text) if end is UNDEFINED else max(int(end), 0)))
    return text[low:high]


def _substr(text: str, start: Any, length: Any = UNDEFINED) -> str:
    low = max(int(start) + len(text), 0) if int(start) < 0 else int(start)
    return text[low:] if length is UNDEFINED else text[low : low + max(int(length), 0)]


def _sliced(items: Any, start: Any = 0, end: Any = UNDEFINED) -> Any:
    low, high = _bounds(len(items), start, end)
    return items[low:high]


def _split(text: str, separator: Any = UNDEFINED) -> list[str]:
    if separator is UNDEFINED:
        return [text]
    return text.split(separator) if separator else list(text)


def _at(items: Any, place: Any) -> Any:
    place = int(place)
    return items[place] if -len(items) <= place < len(items) else UNDEFINED


_STRING: Mapping[str, Callable[..., Any]] = {
    "trim": str.strip,
    "toLowerCase": str.lower,
    "toLocaleLowerCase": str.lower,
    "toUpperCase": str.upper,
    "toLocaleUpperCase": str.upper,
    "toString": str,
    "includes": lambda text, part: _text(part) in text,
    "startsWith": lambda text, part: text.startswith(_text(part)),
    "endsWith": lambda text, part: text.endswith(_text(part)),
    "indexOf": lambda text, part: text.find(_text(part)),
    "replace": lambda text, old, new: text.replace(_text(old), _text(new), 1),
    "concat": lambda text, *parts: text + "".join(map(_text, parts)),
    "split": _split,
    "slice": _sliced,
    "substring": _substring,
    "substr": _substr,
    "at": _at,
}
_LIST: Mapping[str, Callable[..., Any]] = {
    "map": lambda items, f: [f(item, place) for place, item in enumerate(items)],
    "filter": lambda items, f: [item for item in items if truthy(f(item))],
    "find": lambda items, f: next((item for item in items if truthy(f(item))), UNDEFINED),
    "some": lambda items, f: any(truthy(f(item)) for item in items),
    "every": lambda items, f: all(truthy(f(item)) for item in items),
    "join": lambda items, sign=",": _text(sign).join("" if _nothing(item) else _text(item) for item in items),
    "includes": lambda items, wanted: wanted in items,
    "indexOf": lambda items, wanted: items.index(wanted) if wanted in items else -1,
    "concat": lambda items, *others: items + [item for other in others for item in _listed(other)],
    "slice": _sliced,
    "at": _at,
    "item": _at,
    "toString": _text,
}
_OTHER: Mapping[str, Callable[..., Any]] = {"toString": _text}


# ------------------------------------------------------------------ the tree


def _nodes(element: Element) -> list[Any]:
    return [child if isinstance(child, Element) else TextNode(child, element) for child in element.children]


def _beside(element: Element, step: int, elements: bool) -> Any:
    if element.parent is None:
        return None
    siblings: list[Any] = list(element.parent.elements()) if elements else _nodes(element.parent)
    place = next(number for number, node in enumerate(siblings) if node is element) + step
    return siblings[place] if 0 <= place < len(siblings) else None


_TREE: Mapping[str, Callable[[Element], Any]] = {
    "children": lambda element: list(element.elements()),
    "childElementCount": lambda element: sum(1 for _ in element.elements()),
    "childNodes": _nodes,
    "firstChild": lambda element: next(iter(_nodes(element)), None),
    "lastChild": lambda element: next(reversed(_nodes(element)), None),
    "firstElementChild": lambda element: next(element.elements(), None),
    "lastElementChild": lambda element: next(reversed(list(element.elements())), None),
    "parentElement": lambda element: element.parent,
    "parentNode": lambda element: element.parent,
    "nextElementSibling": lambda element: _beside(element, 1, True),
    "previousElementSibling": lambda element: _beside(element, -1, True),
    "nextSibling": lambda element: _beside(element, 1, False),
    "previousSibling": lambda element: _beside(element, -1, False),
}
_REFLECTED = frozenset(("id", "class", "title", "alt", "name", "type", "placeholder", "datetime"))
