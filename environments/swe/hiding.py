"""Takes tests out of test files, so that an agent can't read what it will be graded by."""

from __future__ import annotations

import ast


def function_of(test_id: str) -> tuple[str, tuple[str, ...]]:
    """File and names (classes, then function) of a test id such as ``tests/test_x.py::Class::test_y[param]``."""
    path, *names = test_id.split("[", 1)[0].split("::")
    return path, tuple(names)


def without_tests(source: bytes, names: set[tuple[str, ...]]) -> bytes:
    """The source without those functions, decorators included. A body that would be empty becomes ``pass``."""
    tree = ast.parse(source)
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

    walk(ast.parse(source), ())
    return found
