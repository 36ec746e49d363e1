"""Takes tests out of test files, so that an agent can't read what it will be graded by."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache

from agentgym.tools.python_source import parse


def function_of(test_id: str) -> tuple[str, tuple[str, ...]]:
    """File and names (classes, then function) of a test id such as ``tests/test_x.py::Class::test_y[param]``."""
    path, *names = test_id.split("[", 1)[0].split("::")
    return path, tuple(names)


def place_of(test_id: str, files: Mapping[str, bytes]) -> str:
    """Id of the function that a test is: ``path::Class::function``, in a base class where it is inherited.

    Args:
        test_id: The test.
        files: All test files. Base classes are looked for by name: in the same file, then in all of them.

    Returns:
        An id without parameters, or ``""`` where the function isn't found: made at run time, or inherited from
        elsewhere.
    """
    path, names = function_of(test_id)
    waiting, seen = [(path, names[:-1])], set()
    while waiting:
        place = waiting.pop(0)
        if place in seen:
            continue
        seen.add(place)
        where, cls = place
        # The file itself first; what it lacks it has imported.
        nearest = sorted(files, key=lambda other: (other != where, other))
        for other in nearest:
            if (*cls, names[-1]) in _tests_of(other, files[other]):
                return "::".join((other, *cls, names[-1]))
            if cls in _bases_of(other, files[other]):
                waiting += [(other, (base,)) for base in _bases_of(other, files[other])[cls]]
                break
    return ""


@lru_cache(maxsize=256)
def _tests_of(path: str, source: bytes) -> frozenset[tuple[str, ...]]:
    return frozenset(functions(source)) if path.endswith(".py") else frozenset()


@lru_cache(maxsize=256)
def _bases_of(path: str, source: bytes) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """Class -> last parts of its bases' names, for the classes of a file."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}

    def walk(node: ast.Module | ast.ClassDef, prefix: tuple[str, ...]) -> None:
        for child in node.body:
            if isinstance(child, ast.ClassDef):
                name = (*prefix, child.name)
                found[name] = tuple(ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in child.bases)
                walk(child, name)

    if path.endswith(".py"):
        walk(parse(source), ())
    return found


def without_tests(source: bytes, names: set[tuple[str, ...]]) -> bytes:
    """The source without those functions, decorators included. A body that would be empty becomes ``pass``."""
    tree = parse(source)
    lines = source.splitlines(keepends=True)
    edits: list[tuple[int, int, bytes]] = []
    _collect(tree, (), names, edits)
    for first, last, text in sorted(edits, reverse=True):
        lines[first:last] = [text] if text else []
    return b"".join(lines)


def _collect(
    node: ast.Module | ast.ClassDef,
    prefix: tuple[str, ...],
    names: set[tuple[str, ...]],
    edits: list[tuple[int, int, bytes]],
) -> None:
    removed = 0
    for child in node.body:
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        name = (*prefix, child.name)
        if name not in names:
            if isinstance(child, ast.ClassDef):
                _collect(child, name, names, edits)
            continue
        removed += 1
        first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
        filler = b"" if removed < len(node.body) else b" " * child.col_offset + b"pass\n"
        edits.append((first - 1, child.end_lineno or child.lineno, filler))


def functions(source: bytes) -> list[tuple[str, ...]]:
    """Names of every test function in a file, classes first."""
    found: list[tuple[str, ...]] = []

    def walk(node: ast.Module | ast.ClassDef, prefix: tuple[str, ...]) -> None:
        for child in node.body:
            if isinstance(child, ast.ClassDef):
                walk(child, (*prefix, child.name))
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((*prefix, child.name))

    walk(parse(source), ())
    return found
