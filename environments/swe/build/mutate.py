"""Bugs by changing syntax trees: SWE-smith's families of procedural mutations, ours on libcst.

A mutation is named by its family and its place in the file: the n-th change that the family could make, in the order
of the source. So a recipe is two words and a number, and anybody with the same source plants the same bug.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentgym.core.errors import ConfigError, DataError, MissingExtraError

try:
    import libcst as cst
except ModuleNotFoundError as error:
    raise MissingExtraError("Planting bugs needs libcst. Install it with: pip install 'agentgym-kit[swe]'") from error


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change that could be made."""

    family: str
    index: int
    """Place among the family's changes in this file."""
    target: str
    """Qualified name of the function or class that it changes."""


Change = tuple[cst.CSTNode, cst.CSTNode]
"""A node, and what to put in its place."""
Family = Callable[[cst.CSTNode], Iterator[Change]]

_ARITHMETIC: dict[type[cst.BaseBinaryOp], Sequence[type[cst.BaseBinaryOp]]] = {
    cst.Add: (cst.Subtract,),
    cst.Subtract: (cst.Add,),
    cst.Multiply: (cst.FloorDivide, cst.Add),
    cst.Divide: (cst.FloorDivide, cst.Multiply),
    cst.FloorDivide: (cst.Divide,),
    cst.Modulo: (cst.FloorDivide,),
    cst.Power: (cst.Multiply,),
    cst.BitAnd: (cst.BitOr,),
    cst.BitOr: (cst.BitAnd,),
    cst.LeftShift: (cst.RightShift,),
    cst.RightShift: (cst.LeftShift,),
}
_COMPARISONS: dict[type[cst.BaseCompOp], Sequence[type[cst.BaseCompOp]]] = {
    cst.LessThan: (cst.LessThanEqual, cst.GreaterThan),
    cst.LessThanEqual: (cst.LessThan,),
    cst.GreaterThan: (cst.GreaterThanEqual, cst.LessThan),
    cst.GreaterThanEqual: (cst.GreaterThan,),
    cst.Equal: (cst.NotEqual,),
    cst.NotEqual: (cst.Equal,),
    cst.In: (cst.NotIn,),
    cst.NotIn: (cst.In,),
    cst.Is: (cst.IsNot,),
    cst.IsNot: (cst.Is,),
}


def change_operator(node: cst.CSTNode) -> Iterator[Change]:
    """Another arithmetic operator, comparison or connective."""
    if isinstance(node, cst.BinaryOperation):
        for other in _ARITHMETIC.get(type(node.operator), ()):
            yield node, node.with_changes(operator=other())
    elif isinstance(node, cst.Comparison):
        for i, part in enumerate(node.comparisons):
            for comparison in _COMPARISONS.get(type(part.operator), ()):
                parts = [*node.comparisons]
                parts[i] = part.with_changes(operator=comparison())
                yield node, node.with_changes(comparisons=parts)
    elif isinstance(node, cst.BooleanOperation):
        connective = cst.Or() if isinstance(node.operator, cst.And) else cst.And()
        yield node, node.with_changes(operator=connective)


def swap_operands(node: cst.CSTNode) -> Iterator[Change]:
    """Left and right change places where that matters."""
    if isinstance(node, cst.BinaryOperation) and not isinstance(node.operator, cst.BitOr | cst.BitAnd):
        yield node, node.with_changes(left=_wrapped(node.right), right=_wrapped(node.left))
    elif isinstance(node, cst.Comparison) and len(node.comparisons) == 1:
        part = node.comparisons[0]
        if isinstance(part.operator, cst.LessThan | cst.LessThanEqual | cst.GreaterThan | cst.GreaterThanEqual):
            yield (
                node,
                node.with_changes(
                    left=_wrapped(part.comparator), comparisons=[part.with_changes(comparator=_wrapped(node.left))]
                ),
            )


def break_chain(node: cst.CSTNode) -> Iterator[Change]:
    """One operand instead of the whole operation."""
    if isinstance(node, cst.BinaryOperation | cst.BooleanOperation):
        yield node, _wrapped(node.left)
        yield node, _wrapped(node.right)


def change_constant(node: cst.CSTNode) -> Iterator[Change]:
    """A number off by one, the other truth value."""
    if isinstance(node, cst.Integer) and node.value.isdecimal():
        yield node, node.with_changes(value=str(int(node.value) + 1))
        if int(node.value) > 0:
            yield node, node.with_changes(value=str(int(node.value) - 1))
    elif isinstance(node, cst.Name) and node.value in ("True", "False"):
        yield node, node.with_changes(value="False" if node.value == "True" else "True")


def invert_condition(node: cst.CSTNode) -> Iterator[Change]:
    """The branches of an ``if`` change places, or its condition is negated."""
    if isinstance(node, cst.If) and isinstance(node.orelse, cst.Else):
        yield node, node.with_changes(body=node.orelse.body, orelse=node.orelse.with_changes(body=node.body))
    elif isinstance(node, cst.If) and node.orelse is None:
        yield node, node.with_changes(test=cst.UnaryOperation(cst.Not(), _wrapped(node.test)))
    elif isinstance(node, cst.IfExp):
        yield node, node.with_changes(body=_wrapped(node.orelse), orelse=_wrapped(node.body))


def remove_condition(node: cst.CSTNode) -> Iterator[Change]:
    """An ``if`` without ``else`` goes, body and all."""
    yield from _removals(node, lambda child: isinstance(child, cst.If) and child.orelse is None)


def remove_loop(node: cst.CSTNode) -> Iterator[Change]:
    """A loop goes, body and all."""
    yield from _removals(node, lambda child: isinstance(child, cst.For | cst.While))


def remove_assignment(node: cst.CSTNode) -> Iterator[Change]:
    """An assignment or a call for its effect goes."""

    def fits(child: cst.CSTNode) -> bool:
        if not isinstance(child, cst.SimpleStatementLine) or len(child.body) != 1:
            return False
        small = child.body[0]
        call = isinstance(small, cst.Expr) and isinstance(small.value, cst.Call)
        return call or isinstance(small, cst.Assign | cst.AugAssign)

    yield from _removals(node, fits)


def remove_wrapper(node: cst.CSTNode) -> Iterator[Change]:
    """A ``try`` loses its handlers: what it caught comes through."""
    if not isinstance(node, cst.IndentedBlock):
        return
    for i, child in enumerate(node.body):
        if isinstance(child, cst.Try) and isinstance(child.body, cst.IndentedBlock) and child.finalbody is None:
            yield node, node.with_changes(body=[*node.body[:i], *child.body.body, *node.body[i + 1 :]])


def shuffle_lines(node: cst.CSTNode) -> Iterator[Change]:
    """Two neighbouring statements change places."""
    if not isinstance(node, cst.IndentedBlock):
        return
    for i in range(len(node.body) - 1):
        first, second = node.body[i], node.body[i + 1]
        if _is_docstring(first) or isinstance(first, cst.FunctionDef) or isinstance(second, cst.FunctionDef):
            continue
        yield node, node.with_changes(body=[*node.body[:i], second, first, *node.body[i + 2 :]])


def remove_method(node: cst.CSTNode) -> Iterator[Change]:
    """A class loses a method."""
    if isinstance(node, cst.ClassDef) and isinstance(node.body, cst.IndentedBlock) and len(node.body.body) > 1:
        for i, child in enumerate(node.body.body):
            if isinstance(child, cst.FunctionDef) and child.name.value != "__init__":
                body = [*node.body.body[:i], *node.body.body[i + 1 :]]
                yield node, node.with_changes(body=node.body.with_changes(body=body))


def shuffle_methods(node: cst.CSTNode) -> Iterator[Change]:
    """Two neighbouring methods change places: of two with one name (a property and its setter) the other one wins."""
    if not isinstance(node, cst.ClassDef) or not isinstance(node.body, cst.IndentedBlock):
        return
    body = node.body.body
    for i in range(len(body) - 1):
        first, second = body[i], body[i + 1]
        if isinstance(first, cst.FunctionDef) and isinstance(second, cst.FunctionDef):
            yield node, node.with_changes(body=node.body.with_changes(body=[*body[:i], second, first, *body[i + 2 :]]))


def remove_base(node: cst.CSTNode) -> Iterator[Change]:
    """A class loses a base."""
    if isinstance(node, cst.ClassDef):
        for i in range(len(node.bases)):
            bases = [*node.bases[:i], *node.bases[i + 1 :]]
            if bases:
                bases[-1] = bases[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            yield node, node.with_changes(bases=bases)


FAMILIES: dict[str, Family] = {
    "change_operator": change_operator,
    "swap_operands": swap_operands,
    "break_chain": break_chain,
    "change_constant": change_constant,
    "invert_condition": invert_condition,
    "remove_condition": remove_condition,
    "remove_loop": remove_loop,
    "remove_assignment": remove_assignment,
    "remove_wrapper": remove_wrapper,
    "shuffle_lines": shuffle_lines,
    "remove_method": remove_method,
    "remove_base": remove_base,
    "shuffle_methods": shuffle_methods,
}
"""Family -> what it can change. New ones go at the end: recipes name families."""


def _removals(node: cst.CSTNode, fits: Callable[[cst.CSTNode], bool]) -> Iterator[Change]:
    if not isinstance(node, cst.IndentedBlock):
        return
    for i, child in enumerate(node.body):
        if fits(child):
            rest = [*node.body[:i], *node.body[i + 1 :]]
            if not rest or (len(rest) == 1 and _is_docstring(rest[0])):
                rest.append(cst.SimpleStatementLine([cst.Pass()]))
            yield node, node.with_changes(body=rest)


def _is_docstring(node: cst.CSTNode) -> bool:
    if not isinstance(node, cst.SimpleStatementLine) or len(node.body) != 1:
        return False
    small = node.body[0]
    return isinstance(small, cst.Expr) and isinstance(small.value, cst.SimpleString | cst.ConcatenatedString)


def _wrapped(node: Any) -> Any:
    """In parentheses unless it binds tightly anyway."""
    tight = (cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.Integer, cst.SimpleString, cst.List, cst.Dict)
    if isinstance(node, tight) or node.lpar:
        return node
    return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


class _Finder(cst.CSTVisitor):
    """Collects every change that the families could make inside functions and classes, in the order of the source."""

    def __init__(self, families: dict[str, Family]) -> None:
        super().__init__()
        self.families = families
        self.found: dict[str, list[tuple[str, Change]]] = {name: [] for name in families}
        self._names: list[str] = []
        self._functions = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Decorator | cst.Parameters | cst.Import | cst.ImportFrom):
            return False
        named = isinstance(node, cst.FunctionDef | cst.ClassDef)
        if named:
            self._names.append(node.name.value)  # type: ignore[attr-defined]
            self._functions += isinstance(node, cst.FunctionDef)
        if self._functions or isinstance(node, cst.ClassDef):
            for name, family in self.families.items():
                self.found[name] += [(".".join(self._names), change) for change in family(node)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef):
            self._names.pop()
            self._functions -= isinstance(original_node, cst.FunctionDef)


def find(source: bytes) -> list[Mutation]:
    """Every mutation of a file, family by family.

    Raises:
        DataError: The file is not Python that libcst reads.
    """
    _, finder = _search(source, FAMILIES)
    return [
        Mutation(family, index, target)
        for family, changes in finder.found.items()
        for index, (target, _) in enumerate(changes)
    ]


def apply(source: bytes, family: str, index: int) -> bytes:
    """The file with one mutation.

    Raises:
        ConfigError: No such family, or it has fewer places in this file.
        DataError: The file is not Python that libcst reads.
    """
    if family not in FAMILIES:
        raise ConfigError(f"Unknown family of mutations {family!r}. Known: {', '.join(FAMILIES)}.")
    module, finder = _search(source, {family: FAMILIES[family]})
    changes = finder.found[family]
    if not 0 <= index < len(changes):
        raise ConfigError(f"{family} has {len(changes)} places in this file, not one with number {index}.")
    _, (node, replacement) = changes[index]
    changed = module.deep_replace(node, replacement)
    assert isinstance(changed, cst.Module)
    return changed.bytes


def _search(source: bytes, families: dict[str, Family]) -> tuple[cst.Module, _Finder]:
    try:
        module = cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        raise DataError(f"libcst can't read the file: {error}") from error
    finder = _Finder(families)
    module.visit(finder)
    return module, finder
