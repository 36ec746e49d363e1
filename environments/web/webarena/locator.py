"""The expressions by which tasks point at a part of a page: a small language, parsed and walked, never executed.

WebArena's tasks write them in JavaScript. All that the published ones use are chains of ``querySelector`` and its kin,
attributes, a few string and list methods, ``+``, ``||`` and arrow functions; nothing else is part of this language, and
nothing in it can change a page (``click()`` is an expression of its own kind, for ``prep_actions``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

MAX_LOCATOR = 4_000
"""Characters of an expression."""
_MAX_DEPTH = 60

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\$]|\\.)*`)|(?P<number>\d+(?:\.\d+)?)
    |(?P<name>[A-Za-z_$][\w$]*)|(?P<sign>\.\.\.|\?\.|\?\?|=>|===|!==|==|!=|<=|>=|\|\||&&|[-.,;:?!()\[\]{}+<>=]))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}

_PROPERTIES = (
    "alt checked childElementCount children childNodes className dateTime disabled firstChild firstElementChild href id"
    " innerHTML innerText lastChild lastElementChild length name nextElementSibling nextSibling nodeName options"
    " outerHTML outerText parentElement parentNode placeholder previousElementSibling previousSibling selectedIndex"
    " selectedOptions src tagName text textContent title type value body documentElement"
)
_METHODS = (
    "at closest concat endsWith every filter find getAttribute getElementById getElementsByClassName"
    " getElementsByTagName hasAttribute includes indexOf item join map matches querySelector querySelectorAll replace"
    " slice some split startsWith substr substring toLocaleLowerCase toLowerCase toLocaleUpperCase toString toUpperCase"
    " trim"
)
PROPERTIES, METHODS = frozenset(_PROPERTIES.split()), frozenset(_METHODS.split())
FUNCTIONS = frozenset(("parseFloat", "parseInt", "String", "Number", "Array.from"))


class NotALocator(ValueError):
    """The text is no expression of the language."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression: its kind, a name or value, and its parts."""

    kind: str
    value: Any = None
    parts: tuple[Node, ...] = ()


def parse(text: str) -> Node:
    """Reads an expression. ``lambda:`` and an immediately called arrow function around it may stand there.

    Raises:
        NotALocator: What is wrong and where.
    """
    return _Parser(text.strip().removeprefix("lambda:")).whole()


def parse_click(text: str) -> Node:
    """Reads ``<expression>.click()``, and returns the expression: what a ``prep_action`` clicks.

    Raises:
        NotALocator: It is something else.
    """
    body = text.strip().removesuffix(";").rstrip()
    if not body.endswith(".click()"):
        raise NotALocator(f"{text!r} is no click")
    return parse(body.removesuffix(".click()").removesuffix("?"))


class _Parser:
    """Recursive descent, one method a level of precedence."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LOCATOR:
            raise NotALocator(f"it has more than {MAX_LOCATOR} characters")
        self._text = text
        self._tokens = _tokens(text)
        self._place = 0
        self._depth = 0
        self._names: list[str] = []
        """Variables and parameters in scope."""

    def whole(self) -> Node:
        found = self._expression()
        self._take(";")
        if self._kind != "end":
            raise self._wrong("the end")
        return found

    # ------------------------------------------------------------------ tokens

    @property
    def _kind(self) -> str:
        return self._tokens[self._place][0]

    @property
    def _value(self) -> str:
        return self._tokens[self._place][1]

    def _next(self) -> str:
        value = self._value
        self._place += 1
        return value

    def _is(self, *signs: str) -> bool:
        return self._kind in ("sign", "name") and self._value in signs

    def _take(self, sign: str) -> bool:
        if self._is(sign):
            self._place += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise self._wrong(repr(sign))

    def _wrong(self, wanted: str) -> NotALocator:
        return NotALocator(f"expected {wanted}, found {self._value or 'the end'!r} in {self._text!r}")

    # ------------------------------------------------------------------ expressions

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise NotALocator("it is nested too deeply")
        found = self._arrow() or self._choice()
        self._depth -= 1
        return found

    def _choice(self) -> Node:
        condition = self._binary(0)
        if not self._take("?"):
            return condition
        first = self._expression()
        self._need(":")
        return Node("choice", None, (condition, first, self._expression()))

    _LEVELS = (("||", "??"), ("&&",), ("===", "!==", "==", "!="), ("<", ">", "<=", ">="), ("+", "-"))

    def _binary(self, level: int) -> Node:
        if level == len(self._LEVELS):
            return self._unary()
        found = self._binary(level + 1)
        while self._kind == "sign" and self._value in self._LEVELS[level]:
            sign = self._next()
            found = Node("binary", sign, (found, self._binary(level + 1)))
        return found

    def _unary(self) -> Node:
        for sign in ("!", "-", "+"):
            if self._take(sign):
                return Node("unary", sign, (self._unary(),))
        return self._chain(self._primary())

    def _chain(self, found: Node) -> Node:
        while True:
            optional = self._take("?.")
            if self._is("[") and not (optional and self._kind == "name"):
                self._place += 1
                found = Node("index", optional, (found, self._expression()))
                self._need("]")
            elif optional or self._take("."):
                found = self._member(found, optional)
            else:
                return found

    def _member(self, found: Node, optional: bool) -> Node:
        if self._kind != "name":
            raise self._wrong("a name")
        name = self._next()
        if self._take("("):
            if name not in METHODS:
                raise NotALocator(f"the method {name!r} is not allowed in {self._text!r}")
            return Node("call", (name, optional), (found, *self._items(")")))
        if name not in PROPERTIES:
            raise NotALocator(f"the property {name!r} is not allowed in {self._text!r}")
        return Node("get", (name, optional), (found,))

    def _items(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take(end):
            items.append(Node("spread", None, (self._expression(),)) if self._take("...") else self._expression())
            if not self._is(end):
                self._need(",")
        return tuple(items)

    def _primary(self) -> Node:
        kind, value = self._kind, self._value
        if kind == "string":
            self._place += 1
            return Node("value", re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), value[1:-1], flags=re.DOTALL))
        if kind == "number":
            self._place += 1
            return Node("value", float(value) if "." in value else int(value))
        if self._take("("):
            inner = self._expression()
            self._need(")")
            if inner.kind == "body":
                self._need("(")
                self._need(")")
            return inner
        if self._take("["):
            return Node("list", None, self._items("]"))
        if kind == "name":
            return self._named(self._next())
        raise self._wrong("an expression")

    def _named(self, name: str) -> Node:
        if name in _CONSTANTS:
            return Node("value", _CONSTANTS[name])
        if name in ("document", "undefined"):
            return Node(name)
        if name in self._names:
            return Node("variable", name)
        if name == "Array" and self._take("."):
            name = f"Array.{self._next()}"
        if name in FUNCTIONS and self._take("("):
            return Node("function", name, self._items(")"))
        raise NotALocator(f"the name {name!r} is not allowed in {self._text!r}")

    # ------------------------------------------------------------------ arrow functions

    def _arrow(self) -> Node | None:
        start = self._place
        names = self._parameters()
        if names is None or not self._take("=>"):
            self._place = start
            return None
        self._names.extend(names)
        if self._take("{"):
            if names:
                raise NotALocator("a function with parameters must be a single expression")
            body = Node("body", None, self._statements())
        else:
            body = Node("arrow", tuple(names), (self._expression(),))
        del self._names[len(self._names) - len(names) :]
        return body

    def _parameters(self) -> list[str] | None:
        if self._kind == "name":
            return [self._next()]
        if not self._take("("):
            return None
        names: list[str] = []
        while self._kind == "name":
            names.append(self._next())
            if not self._take(","):
                break
        return names if self._take(")") else None

    def _statements(self) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._take("}"):
            found.append(self._statement())
            self._take(";")
        return tuple(found)

    def _statement(self) -> Node:
        if self._take("return"):
            return Node("return", None, (self._expression(),))
        if self._take("try"):
            self._need("{")
            tried = Node("body", None, self._statements())
            self._need("catch")
            if self._take("("):
                self._next()
                self._need(")")
            self._need("{")
            return Node("try", None, (tried, Node("body", None, self._statements())))
        for word in ("const", "let", "var"):
            if self._take(word):
                break
        if self._kind != "name":
            raise self._wrong("a statement")
        name = self._next()
        self._need("=")
        value = self._expression()
        self._names.append(name)
        return Node("assign", name, (value,))


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise NotALocator(f"{text[place : place + 20]!r} can't be read in {text!r}")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        place = match.end()
    return [*found, ("end", ""), ("end", "")]
